"""Paired gains, means over data sets, contrasts and slopes, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_rollouts import frame_of, rollouts
from medrl_core.errors import UserError
from medrl_core.score.effects import (
    by_dataset,
    contrast,
    gains,
    item_values,
    mean_over_datasets,
    slope,
    support_gain,
)
from medrl_core.score.intervals import bootstrap_mean


def answers(item, greedy, samples, model="base", weights=None, dataset="d", **more):
    """Rollouts of one test item with the columns that several models need."""
    item_id = f"{dataset}/test/{item}/open"
    return rollouts(item_id, greedy, samples, dataset=dataset, model=model,
                    model_hash=weights or model, **more)


def table(**sets):
    """Columns item_id, image_id, dataset, value: one image an item."""
    rows = [(f"{name}{i}", f"{name}{i}", name, float(v))
            for name, values in sets.items() for i, v in enumerate(values)]
    return pd.DataFrame(rows, columns=["item_id", "image_id", "dataset", "value"])


def parts(estimate):
    return (estimate.value, estimate.low, estimate.high)


def test_item_values_by_hand():
    frame = frame_of(
        answers("1", "A", ["A", "B", "B", "B"], n_options=2),
        answers("2", "B", ["B", "B", "B", "B"], n_options=4),
    )
    values = item_values(frame, 2).set_index("item_id")
    first, second = values.loc["d/test/1/open"], values.loc["d/test/2/open"]
    # One right of four: 1 - C(3, 2) / C(4, 2) = 1/2; the floor of two options is 3/4.
    assert (first["acc@1"], first["pass@k"]) == (1, pytest.approx(1 / 2))
    assert first["excess_support@k"] == pytest.approx((1 / 2 - 3 / 4) / (1 / 4))
    # None right; the floor of four options is 1 - (3/4)^2 = 7/16.
    assert (second["acc@1"], second["pass@k"]) == (0, 0)
    assert second["excess_support@k"] == pytest.approx(-(7 / 16) / (9 / 16))
    assert set(values.split) == {"test"} and set(values.dataset) == {"d"}


def test_an_item_that_cannot_be_guessed_has_floor_zero_and_one_option_leaves_no_room():
    values = item_values(frame_of(
        answers("1", "A", ["A", "B"], n_options=0), answers("2", "A", ["A", "B"], n_options=1),
    ), 1)
    assert values["excess_support@k"].iloc[0] == pytest.approx(1 / 2)
    assert math.isnan(values["excess_support@k"].iloc[1])


def test_seeds_are_averaged_item_by_item_and_equal_weights_count_twice():
    frames = [
        frame_of(answers("1", "A", ["A", "A"], "seed0", "h"), answers("2", "B", ["B", "B"],
                                                                      "seed0", "h")),
        frame_of(answers("1", "A", ["A", "A"], "seed1", "h"), answers("2", "B", ["B", "B"],
                                                                      "seed1", "h")),
        frame_of(answers("1", "B", ["B", "A"], "seed2"), answers("2", "A", ["B", "A"], "seed2")),
    ]
    values = item_values(pd.concat(frames), 1)
    assert list(values["acc@1"]) == pytest.approx([2 / 3, 1 / 3])
    assert list(values["pass@k"]) == pytest.approx([5 / 6, 1 / 6])


def test_an_item_id_without_a_split_is_kept():
    values = item_values(frame_of(rollouts("plain", "A", ["A"], model="m")), 1)
    assert len(values) == 1 and values.split.isna().all()


@pytest.mark.parametrize("second", [
    answers("1", "A", ["A"], "seed1"),  # item 2 lacks
    answers("1", "A", ["A"], "seed1") + answers("2", "-", ["A"], "seed1"),  # its greedy answer
])
def test_seeds_on_different_items_are_refused(second):
    first = answers("1", "A", ["A"], "seed0") + answers("2", "A", ["A"], "seed0")
    with pytest.raises(UserError, match="items of d lack"):
        item_values(frame_of(first, second), 1)
    elsewhere = answers("9", "A", ["A"], "seed1", dataset="e")  # each data set has its own models
    assert len(item_values(frame_of(first, elsewhere), 1)) == 3


def test_item_values_refuses_too_few_samples_and_no_rollouts():
    frame = frame_of(answers("1", "A", ["A"]))
    with pytest.raises(UserError, match="Pass@2.*only 1"):
        item_values(frame, 2)
    with pytest.raises(UserError, match="no rollouts"):
        item_values(frame.iloc[:0], 1)


def test_gains_pair_the_items_that_both_have():
    before = frame_of(answers("1", "A", ["A"]), answers("2", "B", ["B"]), answers("3", "A", ["A"]))
    after = frame_of(answers("2", "A", ["B"], "rl"), answers("1", "B", ["A"], "rl"))
    gained = gains(item_values(after, 1), item_values(before, 1), "acc@1")
    assert list(gained.columns) == ["item_id", "image_id", "dataset", "value"]
    assert dict(zip(gained.item_id, gained.value, strict=True)) == {
        "d/test/1/open": -1, "d/test/2/open": 1}
    other = item_values(frame_of(answers("7", "A", ["A"])), 1)
    with pytest.raises(UserError, match="both before and after"):
        gains(other, item_values(before, 1), "acc@1")


def test_by_dataset_is_the_mean_with_the_interval_of_images():
    rows = table(d=[0, 1, 1, 1], e=[0, 0]).assign(image_id=["x", "x", "y", "z", "u", "v"])
    found = by_dataset(rows, seed=3).set_index("dataset")
    assert found.loc["d", "value"] == 3 / 4 and found.loc["d", "n"] == 4
    alone = bootstrap_mean([0, 1, 1, 1], ["x", "x", "y", "z"], seed=3)
    assert (found.loc["d", "low"], found.loc["d", "high"]) == (alone.low, alone.high)
    assert tuple(found.loc["e", ["value", "low", "high"]]) == (0, 0, 0)


def test_every_data_set_counts_the_same():
    estimate = mean_over_datasets(table(d=[1] * 9, e=[0]), seed=0)
    assert estimate.value == 1 / 2 and estimate.n == 10
    assert math.isnan(estimate.low)  # e has one image, which tells no spread
    assert parts(mean_over_datasets(table(d=[1] * 9, e=[0, 0]))) == (1 / 2, 1 / 2, 1 / 2)


def test_the_interval_of_a_mean_over_data_sets_has_the_right_width():
    # Each set has 200 coin flips: variance of its mean 1/4/200; of the mean of two sets half that.
    half = table(d=[0, 1] * 100, e=[0, 1] * 100)
    estimate = mean_over_datasets(half, seed=1)
    expected = 1.96 * math.sqrt(1 / 4 / 200 / 2)
    assert estimate.high - estimate.low == pytest.approx(2 * expected, rel=0.1)


def test_without_rows_the_estimate_is_unknown():
    nothing = table(d=[]).iloc[:0]
    assert all(math.isnan(x) for x in parts(mean_over_datasets(nothing)))
    assert all(math.isnan(x) for x in parts(contrast(table(d=[0, 1]), nothing)))
    assert math.isnan(slope(nothing, {}).value)


def test_contrast_subtracts_means_over_data_sets():
    a, b = table(d=[1, 1], e=[0, 0]), table(f=[0.25, 0.25], g=[-0.25, -0.25], h=[0, 0])
    estimate = contrast(a, b)
    assert parts(estimate) == pytest.approx((1 / 2, 1 / 2, 1 / 2)) and estimate.n == 10


def test_contrast_adds_the_variances_of_its_sides():
    a, b = table(d=[0, 1] * 100), table(e=[0, 1] * 100)
    estimate = contrast(a, b, seed=2)
    assert estimate.value == 0
    expected = 1.96 * math.sqrt(2 * 1 / 4 / 200)
    assert estimate.high - estimate.low == pytest.approx(2 * expected, rel=0.1)


def test_slope_by_hand():
    # Gains 0, 1, 2 at support 0, 1, 3: slope = sum (x - 4/3) y / sum (x - 4/3)^2
    #   = (-1/3 * 1 + 5/3 * 2) / (16/9 + 1/9 + 25/9) = 3 / (42/9) = 9/14.
    # Set f has more items, and counts no more.
    rows = table(d=[0, 0], e=[1, 1], f=[2] * 7)
    estimate = slope(rows, {"f": 3, "e": 1, "d": 0, "not asked": 9})
    assert parts(estimate) == pytest.approx((9 / 14,) * 3) and estimate.n == 11


def test_slope_needs_two_data_sets_and_a_varying_number():
    for rows, x in ((table(d=[0, 1]), {"d": 1}),
                    # The mean of three times 0.7 is not 0.7 in floating point.
                    (table(d=[0, 1], e=[1, 1], f=[0, 0]), dict.fromkeys("def", 0.7))):
        assert math.isnan(slope(rows, x).value)


def test_slope_refuses_a_data_set_without_its_number():
    with pytest.raises(UserError, match="no number for.*e"):
        slope(table(d=[0, 1], e=[1, 1]), {"d": 1})


VALUES = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=2, max_size=6)


@settings(max_examples=25)
@given(st.lists(VALUES, min_size=2, max_size=4), st.permutations(range(4)))
def test_order_of_rows_changes_nothing_and_a_mean_is_the_mean_of_means(sets, order):
    rows = table(**{f"s{i}": values for i, values in enumerate(sets)})
    estimate = mean_over_datasets(rows)
    assert estimate.value == pytest.approx(np.mean([np.mean(values) for values in sets]))
    assert estimate.low - 1e-9 <= estimate.value <= estimate.high + 1e-9
    x = {f"s{i}": float(order[i]) for i in range(len(sets))}
    line = np.polyfit([x[f"s{i}"] for i in range(len(sets))], [np.mean(v) for v in sets], 1)
    assert slope(rows, x).value == pytest.approx(line[0], abs=1e-9)
    blocks = [part for _, part in rows.groupby("dataset")]
    again = pd.concat(blocks[::-1], ignore_index=True)
    assert parts(mean_over_datasets(again)) == pytest.approx(parts(estimate))


def test_support_gain_counts_nothing_below_the_guess_floor():
    """Data set a rises from under the floor to 0.4, b falls from 0.6 to 0.2: (0.4 - 0.4) / 2."""

    def table(**means):
        rows = [
            (f"{name}/{i}", f"{name}/{i}", name, value)
            for name, value in means.items()
            for i in range(6)
        ]
        columns = ["item_id", "image_id", "dataset", "excess_support@k"]
        return pd.DataFrame(rows, columns=columns)

    after, before = table(a=0.4, b=0.2), table(a=-15.0, b=0.6)
    found = support_gain(after, before)
    assert found.value == pytest.approx(0.0)
    assert (found.low, found.high) == (pytest.approx(0.0), pytest.approx(0.0))
    only = support_gain(table(a=0.4), table(a=-15.0))
    assert only.value == pytest.approx(0.4) and only.n == 6
    assert np.isnan(support_gain(table(), table()).value)
