"""Scores and comparisons from rollout rows, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from made_rollouts import SAMPLED, frame_of, rollouts
from medrl_core.errors import UserError
from medrl_core.score.statistics import COMPARE_COLUMNS, SCORE_COLUMNS, compare, per_item, score


@pytest.fixture
def frame():
    return frame_of(
        rollouts("i1", "A", ["A", "B", "B", None], image="x",
                 rules={0: "cue", 4: "none"}, finish={4: "length"}),
        rollouts("i2", "B", ["B", "B", "B", "B"], image="x", dataset="e"),
        rollouts("i3", "A", ["A", "A", "B", "B"], image="y"),
    )


def value(scores, metric, k=0, name="all"):
    rows = scores[(scores.metric == metric) & (scores.k == k) & (scores.name == name)]
    assert len(rows) == 1, f"{metric} {k} {name}: {len(rows)} rows"
    return rows.iloc[0].value


def test_scores_by_hand(frame):
    scores = score(frame)
    assert list(scores.columns) == SCORE_COLUMNS
    assert value(scores, "acc@1", 1) == pytest.approx(2 / 3)
    assert value(scores, "pass@k", 1) == pytest.approx((1 / 4 + 0 + 1 / 2) / 3)
    assert value(scores, "pass@k", 2) == pytest.approx((1 / 2 + 0 + 5 / 6) / 3)
    assert value(scores, "pass@k", 4) == pytest.approx(2 / 3)
    assert value(scores, "guess_floor@k", 2) == pytest.approx(0.75)
    assert value(scores, "excess_support@k", 2) == pytest.approx((4 / 9 - 0.75) / 0.25)
    assert value(scores, "gap@k", 2) == pytest.approx(4 / 9 - 2 / 3)
    assert value(scores, "efficiency@k", 4) == pytest.approx(1.0)
    assert value(scores, "cover@0.25") == pytest.approx(2 / 3)
    assert value(scores, "cover@0.5") == pytest.approx(1 / 3)
    assert value(scores, "cover@1") == 0
    assert value(scores, "distinct_answers") == pytest.approx((2 + 1 + 2) / 3)
    entropy_1 = -(1 / 3) * math.log2(1 / 3) - (2 / 3) * math.log2(2 / 3)
    assert value(scores, "answer_entropy") == pytest.approx((entropy_1 + 0 + 1) / 3)
    assert value(scores, "majority_vote") == pytest.approx((0 + 0 + 1 / 2) / 3)
    assert value(scores, "no_answer") == pytest.approx(1 / 12)
    assert value(scores, "format_failure") == pytest.approx(1 / 12)
    assert value(scores, "truncated") == pytest.approx(1 / 12)
    assert value(scores, "greedy_format_failure") == pytest.approx(1 / 3)
    assert value(scores, "greedy_truncated") == 0
    assert sorted(set(scores.k)) == [0, 1, 2, 4]


def test_scopes_and_sizes(frame):
    scores = score(frame)
    assert value(scores, "acc@1", 1, "d") == 1.0
    assert value(scores, "acc@1", 1, "e") == 0.0
    assert value(scores, "recall:A", 0, "d") == 1.0
    assert set(scores.scope) == {"overall", "dataset", "modality"}
    overall = scores[scores.scope == "overall"]
    assert set(overall.n_items) == {3} and set(overall.n_images) == {2}
    e = scores[scores.name == "e"]
    assert e.low.isna().all()  # one image: no interval


def test_every_interval_holds_its_value_and_comes_again(frame):
    scores = score(frame, seed=3)
    known = scores.dropna()
    assert (known.low <= known.value + 1e-9).all() and (known.value <= known.high + 1e-9).all()
    pd.testing.assert_frame_equal(scores, score(frame.sample(frac=1, random_state=0), seed=3))


def test_recall_is_of_the_gold_answer():
    frame = frame_of(
        rollouts("i1", "A", [], gold="A"), rollouts("i2", "B", [], gold="A"),
        rollouts("i3", "B", [], gold="B"), rollouts("i4", "x", [], gold="x", n_options=0),
    )
    scores = score(frame)
    assert value(scores, "recall:A", 0, "d") == 0.5
    assert value(scores, "recall:B", 0, "d") == 1.0
    assert "recall:x" not in set(scores.metric)
    assert "pass@k" not in set(scores.metric)  # no samples: nothing is said of them


def test_excess_support_is_of_the_means():
    frame = frame_of(
        rollouts("i1", "-", ["A"], n_options=2), rollouts("i2", "-", ["B"], n_options=10),
        rollouts("i3", "-", ["A"], n_options=1), rollouts("i4", "-", ["A"], n_options=0),
    )
    scores = score(frame)
    floor = (0.5 + 0.1 + 1 + 0) / 4
    assert value(scores, "guess_floor@k", 1) == pytest.approx(floor)
    assert value(scores, "excess_support@k", 1) == pytest.approx((0.75 - floor) / (1 - floor))
    assert "acc@1" not in set(scores.metric) and "gap@k" not in set(scores.metric)


def test_uniform_guessing_has_no_excess_support():
    rng = np.random.default_rng(0)
    draws = np.array(list("ABCD"))[rng.integers(4, size=(400, 16))]
    scores = score(frame_of(*(rollouts(f"i{i}", "-", list(row), n_options=4)
                              for i, row in enumerate(draws))))
    for k in (1, 2, 4):
        row = scores[(scores.metric == "excess_support@k") & (scores.k == k)].iloc[0]
        assert row.low <= 0 <= row.high


def test_ragged_samples(frame):
    more = frame_of(rollouts("i9", "A", ["A", "B"], image="z"))
    scores = score(pd.concat([frame, more], ignore_index=True))
    assert sorted(set(scores.k)) == [0, 1, 2]
    assert value(scores, "pass@k", 2) == pytest.approx((1 / 2 + 0 + 5 / 6 + 1) / 4)
    with pytest.raises(UserError, match="Pass@4.*only 2"):
        score(pd.concat([frame, more], ignore_index=True), ks=[4])


def test_per_item_counts(frame):
    items = per_item(frame)
    assert list(items.index) == ["i1", "i2", "i3"]
    assert list(items.n) == [4, 4, 4] and list(items.c) == [1, 0, 2]
    assert list(items.greedy) == [1.0, 0.0, 1.0]


def test_no_answer_at_all():
    items = per_item(frame_of(rollouts("i1", None, [None, None])))
    row = items.iloc[0]
    assert (row.distinct_answers, row.answer_entropy, row.majority_vote) == (0, 0, 0)
    assert (row.no_answer, row.greedy) == (1.0, 0.0)


@pytest.mark.parametrize("change, message", [
    (lambda f: f.drop(columns="correct"), "lack the columns.*correct"),
    (lambda f: f.iloc[:0], "no rollouts"),
    (lambda f: f.assign(model_hash=["g"] + ["h"] * (len(f) - 1)), "mix 2 models"),
    (lambda f: f.assign(decoding=["greedy", "x"] + [SAMPLED] * (len(f) - 2)), "mix 2 samplings"),
    (lambda f: pd.concat([f, f]), "several greedy"),
])
def test_frames_that_cannot_be_scored(frame, change, message):
    with pytest.raises(UserError, match=message):
        score(change(frame))


def test_compare_by_hand(frame):
    other = frame_of(
        rollouts("i1", "B", ["B", "B", "B", "B"], image="x", model_hash="g"),
        rollouts("i3", "A", ["A", "A", "A", "A"], image="y", model_hash="g"),
        rollouts("i7", "A", ["A", "A", "A", "A"], image="z", model_hash="g"),
    )
    result = compare(frame, other, k=2)
    assert list(result.columns) == COMPARE_COLUMNS
    assert value(result, "acc@1", 1) == pytest.approx((1 + 0) / 2)
    assert value(result, "pass@k", 2) == pytest.approx(((1 / 2 - 0) + (5 / 6 - 1)) / 2)
    overall = result[result.scope == "overall"]
    assert set(overall.n_items) == {2} and set(overall.n_unpaired) == {2}  # i2 and i7
    assert overall[overall.metric == "acc@1"].iloc[0].p == 1.0
    back = compare(other, frame, k=[2])
    assert value(back, "acc@1", 1) == pytest.approx(-1 / 2)
    assert sorted(set(compare(frame, other).k)) == [1, 2, 4]


def test_compare_finds_a_true_difference():
    better = frame_of(*(rollouts(f"i{i}", "A", ["A"]) for i in range(12)))
    worse = frame_of(*(rollouts(f"i{i}", "AB"[i < 10], ["B"]) for i in range(12)))
    row = compare(better, worse).iloc[0]
    assert row.value == pytest.approx(10 / 12)
    assert row.low > 0.5
    assert row.p == pytest.approx(2 / 2**10)


def test_compare_refuses_what_does_not_match(frame):
    with pytest.raises(UserError, match="share no item"):
        compare(frame, frame_of(rollouts("zz", "A", ["A"])))
    with pytest.raises(UserError, match="i1.*two gold"):
        compare(frame, frame.assign(gold="B"))
