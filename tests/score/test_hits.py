"""What a budget meets, against counts by hand and by drawing groups."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_rollouts import frame_of, rollouts
from medrl_core.errors import UserError
from medrl_core.score.hits import Budget, expected, signal_rate
from medrl_core.score.statistics import per_item


def test_a_budget_counts_its_completions():
    assert Budget(200, 64, 8).completions == 102_400
    with pytest.raises(UserError, match="at least one of its group"):
        Budget(1, 1, 0)


@given(st.integers(1, 7).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
       st.integers(1, 9))
def test_signal_is_the_share_of_mixed_groups_among_all_groups(counts, group):
    n, c = counts
    answers = [1] * c + [0] * (n - c)
    groups = list(itertools.combinations(answers, min(group, n)))
    mixed = np.mean([0 < sum(one) < len(one) for one in groups])
    assert signal_rate(n, c, group) == pytest.approx(mixed, abs=1e-9)


def test_hits_are_the_budget_times_the_mean_chance():
    frame = frame_of(*(
        rollouts(f"i{i}", "-", ["A", "B", "B", "B"] if i % 2 else ["B"] * 4) for i in range(40)
    ))  # fmt: skip
    found = expected(per_item(frame), Budget(10, 8, 4))
    assert found["p"].value == pytest.approx(1 / 8)
    assert found["hits"].value == pytest.approx(320 / 8)
    assert found["hits"].low == pytest.approx(320 * found["p"].low)
    assert found["signal"].value == pytest.approx(0.5)
    assert found["groups"].value == pytest.approx(40)


def test_an_item_that_was_never_right_may_still_be_met():
    found = expected(per_item(frame_of(rollouts("i", "-", ["B"] * 4))), Budget(100, 8, 4))
    assert found["hits"].value == 0 and found["hits"].high > 100
    with pytest.raises(UserError, match="no item has sampled answers"):
        expected(per_item(frame_of(rollouts("i", "A", []))), Budget(1, 1, 1))
