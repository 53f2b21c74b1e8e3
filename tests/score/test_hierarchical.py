"""The hierarchical interval: against its formula, and where a level has one unit."""

from __future__ import annotations

import numpy as np
import pytest

from medrl_core.errors import UserError
from medrl_core.score.intervals import bootstrap_mean, hierarchical_mean


def test_groups_count_the_same_whatever_their_size():
    found = hierarchical_mean([[0.0, 0.0, 0.0, 0.0], [1.0]])
    assert found.value == 0.5
    assert found.n == 5


def test_without_seeds_it_is_the_bootstrap_over_items():
    values = np.random.default_rng(1).random(60)
    ours, known = hierarchical_mean([values], draws=4000), bootstrap_mean(values, draws=4000)
    assert ours.value == pytest.approx(known.value)
    assert ours.low == pytest.approx(known.low, abs=0.01)
    assert ours.high == pytest.approx(known.high, abs=0.01)


def test_seeds_that_differ_widen_the_interval_and_equal_items_do_not():
    # Two seeds, all items alike: the mean is 0, 1/2 or 1 with chances 1/4, 1/2, 1/4.
    found = hierarchical_mean([np.repeat([[0.0], [1.0]], 50, axis=1)])
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)


def test_its_spread_is_that_of_crossed_levels():
    rng = np.random.default_rng(2)
    table = rng.normal(size=(8, 1)) + rng.normal(size=(1, 40))
    found = hierarchical_mean([table], draws=20000)
    error = np.sqrt(table.mean(1).var() / 8 + table.mean(0).var() / 40)
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(error, rel=0.05)


@pytest.mark.parametrize("groups", [[], [[]], [[0.5, np.nan]]])
def test_nothing_to_average_is_refused(groups):
    with pytest.raises(UserError):
        hierarchical_mean(groups)
