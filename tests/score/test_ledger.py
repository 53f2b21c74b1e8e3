"""Kept, lost, new and never, by hand and under no change."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from made_rollouts import frame_of, rollouts
from medrl_core.errors import UserError
from medrl_core.score.ledger import ledger, sides
from medrl_core.score.statistics import per_item


def items(*counts, n=4):
    return per_item(frame_of(*(
        rollouts(f"i{i}", "-", ["A"] * c + ["B"] * (n - c)) for i, c in enumerate(counts)
    )))  # fmt: skip


def test_by_hand():
    before, after = items(1, 4, 0, 0, 1), items(2, 0, 3, 0, 0)
    assert sides(before, after, 4).tolist() == ["kept", "lost", "new", "never", "lost"]
    # At K = 2 half of the samples must be right.
    assert sides(before, after, 2).tolist() == ["new", "lost", "new", "never", "never"]
    found = ledger(before, after, 4)
    assert [found[name] for name in ("kept", "lost", "new", "never")] == [1, 2, 1, 1]
    # Right samples of both sides: 3, 4, 3, 0, 1 of 8. All on one side with chance
    # C(4, 3) / C(8, 3) = 1/14, C(4, 4) / C(8, 4) = 1/70, 1/14, 0 and 1/2.
    by_chance = 1 / 14 + 1 / 70 + 1 / 14 + 1 / 2
    assert found["lost_by_chance"] == pytest.approx(by_chance)
    assert found["new_by_chance"] == pytest.approx(by_chance)


@pytest.mark.parametrize("k", [2, 3, 8])
def test_by_chance_agrees_with_dealing_at_random(k):
    rng = np.random.default_rng(0)
    n, m, right = 6, 8, 5
    before, after = items(3, n=n), items(2, n=m)
    dealt = [rng.permutation([1] * right + [0] * (n + m - right))[:n].sum() for _ in range(20_000)]
    lost = np.mean([c * k >= n and (right - c) * k < m for c in dealt])
    new = np.mean([c * k < n and (right - c) * k >= m for c in dealt])
    found = ledger(before, after, k)
    assert found["lost_by_chance"] == pytest.approx(lost, abs=0.01)
    assert found["new_by_chance"] == pytest.approx(new, abs=0.01)


def test_other_items_or_none_are_refused():
    with pytest.raises(UserError, match="the same items"):
        ledger(items(1, 2), items(1), 2)
    empty = per_item(frame_of(rollouts("i0", "A", [])))
    with pytest.raises(UserError, match="samples of every item"):
        ledger(items(1), empty, 2)
    assert isinstance(sides(items(1), items(1), 1), pd.Series)
