"""What holds for the scores of any rollouts: several data sets, modalities and answer formats."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_rollouts import frame_of, rollouts
from medrl_core.score.comparison import compare
from medrl_core.score.statistics import score

RULES = st.sampled_from(["tag", "cue", "none"])
SHARES = {"majority_vote", "no_answer", "format_failure", "truncated", "greedy_format_failure",
          "greedy_truncated", "acc@1", "pass@k", "guess_floor@k"}


@st.composite
def frames(draw):
    """Rollouts of a few items, each with its own format, options, image and number of samples."""
    groups = []
    for index in range(draw(st.integers(1, 6))):
        dataset = draw(st.sampled_from(["d", "e", "f"]))
        mcq = draw(st.booleans())
        options = draw(st.sampled_from([2, 3, 4] if mcq else [0, 1, 8]))
        answer = st.sampled_from(["A", "B", "C", None])
        samples = draw(st.lists(answer, max_size=5))
        groups.append(rollouts(
            f"{dataset}/test/{index}", draw(answer if samples else st.sampled_from(["A", "B"])),
            samples, gold=draw(st.sampled_from(["A", "B"])), dataset=dataset,
            image=f"{dataset}/{draw(st.integers(0, 2))}", n_options=options,
            modality=draw(st.sampled_from(["m", "n"])), rules={0: draw(RULES)},
            answer_format="mcq" if mcq else "open",
        ))
        if samples and draw(st.booleans()):
            groups[-1] = groups[-1][1:]  # without its greedy answer
    return frame_of(*groups)


@settings(max_examples=20)
@given(frames(), st.randoms(use_true_random=False))
def test_any_rollouts(frame, random):
    scores = score(frame)
    assert not scores.duplicated(["scope", "name", "metric", "k"]).any()
    shares = scores[scores.metric.isin(SHARES) | scores.metric.str.match("cover@|recall:")]
    assert shares.value.between(0, 1).all()
    sure = scores.dropna(subset=["low", "high"])
    assert (sure.low <= sure.high).all()
    assert (scores.n_images <= scores.n_items).all() and (scores.n_images >= 1).all()
    shares = scores[scores.metric.isin(["acc@1", "pass@k", "majority_vote"])]
    assert (shares.high - shares.low > 0.005).all()  # all right or all wrong, too
    assert (shares.high - shares.low > 0.5)[shares.n_images == 1].all()
    assert not np.isinf(scores[["value", "low", "high"]].to_numpy(dtype=float)).any()
    for _, rows in scores.groupby(["scope", "name"]):
        part = dict(zip(zip(rows.metric, rows.k, strict=True), rows.value, strict=True))
        for metric in ("pass@k", "guess_floor@k", "label_floor@k"):
            along_k = rows[rows.metric == metric].sort_values("k").value
            assert (np.diff(along_k) >= -1e-12).all()
        if ("pass@k", 1) in part:
            p, floor = part["pass@k", 1], part["guess_floor@k", 1]
            if floor < 1:
                assert part["excess_support@k", 1] == pytest.approx((p - floor) / (1 - floor))
            assert p >= part["cover@1", 0] - 1e-12
            cover = [part[f"cover@{tau:g}", 0] for tau in (0.25, 0.5, 0.75, 1)]
            assert cover == sorted(cover, reverse=True)
    # A data set's rows are those of its rollouts alone: no other data set changes them.
    ks = sorted(set(scores.k[scores.metric == "pass@k"]))
    dataset = random.choice(sorted(set(frame.dataset)))
    alone = score(frame[frame.dataset == dataset], ks)
    pd.testing.assert_frame_equal(
        alone[alone.scope == "dataset"].reset_index(drop=True),
        scores[(scores.scope == "dataset") & (scores.name == dataset)].reset_index(drop=True),
    )
    # The mean over all items is the mean of the data sets weighted by their items.
    for metric, k in (("acc@1", 1), ("pass@k", 1), ("guess_floor@k", 1)):
        rows = scores[(scores.metric == metric) & (scores.k == k)]
        sets = rows[rows.scope == "dataset"]
        for whole in rows[rows.scope == "overall"].itertuples():
            assert whole.value == pytest.approx(np.average(sets.value, weights=sets.n_items))
            assert whole.n_items == sets.n_items.sum()
    order = list(range(len(frame)))
    random.shuffle(order)
    pd.testing.assert_frame_equal(score(frame.iloc[order]), scores)


@settings(max_examples=25)
@given(frames())
def test_a_model_compared_with_itself_does_not_differ(frame):
    same = compare(frame, frame)
    assert (same.value == 0).all() and (same.p == 1).all() and (same.n_unpaired == 0).all()
    assert not same.duplicated(["scope", "name", "metric", "k"]).any()
