"""The K that reaches a level and the K at which two Pass@K curves cross, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from made_rollouts import frame_of, rollouts
from medrl_core.score.curves import crossings, first_on_the_other_side, k_to_reach
from medrl_core.score.statistics import all_ks, per_item, score


def model(right, name="h", n=12):
    """Items of four samples; `right` gives how many of an item's samples are right."""
    return frame_of(*(
        rollouts(f"i{i}", "A", ["A"] * right(i) + ["B"] * (4 - right(i)), model_hash=name)
        for i in range(n)
    ))  # fmt: skip


def test_by_hand():
    # Half of the items always and half never: Pass@K is 1/2. One of four right: it is K/4.
    sharp, broad = model(lambda i: 4 * (i % 2)), model(lambda i: 1, "g")
    found = crossings(sharp, broad).set_index("scope").loc["overall"]
    assert (found.k, found["n_items"]) == (3, 12)  # equal at 2, the other is ahead at 3
    assert 1 < found.low <= 3 <= found.high <= 4
    assert found.share > 0.9
    assert crossings(broad, sharp).k.tolist() == [3, 3, 3]  # overall, data set, modality
    apart = crossings(model(lambda i: 3), broad)
    assert apart.k.isna().all() and (apart.share == 0).all()


def test_without_samples_there_is_no_curve():
    greedy = frame_of(*(rollouts(f"i{i}", "A", []) for i in range(3)))
    assert crossings(greedy, greedy).empty


@pytest.mark.parametrize(("curve", "k"), [
    ([0.1, 0.0, -0.1], 4), ([0.0, 0.1, -0.1], 4), ([-0.1, 0.2, -0.3], 2), ([0.1, 0.2, 0.0], np.nan),
    ([0.0, 0.0, 0.0], np.nan), ([1e-15, -0.1, -0.2], np.nan),
])
def test_sides(curve, k):
    found = first_on_the_other_side(np.array([curve]), [1, 2, 4])
    assert found == pytest.approx([k], nan_ok=True)


def test_a_curve_that_begins_on_the_other_side_does_not_count():
    curves = np.array([[0.1, -0.1], [-0.1, 0.1]])
    assert first_on_the_other_side(curves, [1, 2], 1.0) == pytest.approx([2, np.nan], nan_ok=True)
    assert first_on_the_other_side(curves, [1, 2], -1.0) == pytest.approx([np.nan, 2], nan_ok=True)


def test_the_smallest_k_that_reaches_a_level():
    # Half of the items have one right of four (Pass@K = K/4), half have two: the means of
    # 1/4 and 1/2, 1/2 and 5/6, 3/4 and 1, 1 and 1.
    frame = model(lambda i: 1 + i % 2)
    assert all_ks(per_item(frame)) == [1, 2, 3, 4]
    scores = score(frame, ks=[1, 2, 3, 4])
    for level, k in ((0.375, 1), (0.5, 2), (2 / 3, 2), (0.7, 3), (1, 4)):
        row = k_to_reach(scores, level).set_index("scope").loc["overall"]
        assert (row.value, row.metric) == (k, f"k_to@{level:g}") and row.low <= k <= row.high
    never = k_to_reach(score(model(lambda i: i % 2), ks=[1, 2]), 0.6)
    assert never.value.isna().all()


def test_many_samples_are_scored_at_powers_of_two_beyond_64():
    frame = frame_of(rollouts("i", "A", ["A"] * 200))
    assert all_ks(per_item(frame)) == [*range(1, 65), 128, 200]
    assert all_ks(per_item(frame_of(rollouts("i", "A", [])))) == []
