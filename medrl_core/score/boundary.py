"""The decision rule: bridge with SFT, sharpen with RL, or stop, from a measured model.

Bridge where support is low, sharpen where support is there and Acc@1 lies well under it, stop
where support is there and nothing is left to sharpen; undecided where the intervals leave it open.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from medrl_core.errors import UserError
from medrl_core.score.intervals import Estimate
from medrl_core.score.thresholds import DELTA_GAP, TAU_SUPPORT

Action = Literal["bridge", "sharpen", "stop", "undecided"]


@dataclass(frozen=True)
class Decision:
    """What to do next and why.

    Arguments: `action`; `why` one sentence; `tau_support` and `delta_gap` the thresholds used;
    `more_items` about how many more items would decide: 0 once decided, None where no number of
    items would.
    """

    action: Action
    why: str
    tau_support: float
    delta_gap: float
    more_items: int | None = 0


def _check(tau_support: float, delta_gap: float) -> None:
    for name, value in (("tau_support", tau_support), ("delta_gap", delta_gap)):
        if not 0 <= value <= 1:
            raise UserError(f"{name} must lie in [0, 1], not {value}; the default is documented")


def _text(estimate: Estimate) -> str:
    if math.isnan(estimate.low + estimate.high):  # all items show one image
        return f"{estimate.value:.2f} (no interval)"
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def more_items(estimate: Estimate, threshold: float) -> int | None:
    """About how many more items would bring the whole interval to one side of a threshold.

    An approximation: the value stays, and the distance from it to each end of the interval shrinks
    with the square root of the number of items (with as many items an image as now).
    Arguments: `estimate` with its interval, from n items; `threshold` that it is held against.
    Returns: items beyond n, rounded up to two digits; 0 where the interval decides already; None
    where the value is the threshold itself or has no interval.
    """
    value, low, high = estimate.value, estimate.low, estimate.high
    if math.isnan(value + low + high):
        return None
    if high < threshold or low >= threshold:
        return 0
    if value == threshold:
        return None
    reach = value - low if value > threshold else high - value
    wanted = estimate.n * ((reach / (value - threshold)) ** 2 - 1)
    more = max(1, math.ceil(wanted - 1e-6))  # 150.0000001 is 150 by hand
    step = 10 ** max(0, len(str(more)) - 2)
    return math.ceil(more / step) * step


def _outlook(more: int | None) -> str:
    if more is None:
        return "more items will not decide unless the measured value moves"
    return f"about {more} more items would decide if the measured values stay"


def decide(
    support: Estimate,
    gap: Estimate,
    *,
    tau_support: float = TAU_SUPPORT,
    delta_gap: float = DELTA_GAP,
) -> Decision:
    """Decide from excess support and the gap, both with their intervals.

    Arguments: `support` excess support at K; `gap` Pass@K - Acc@1 at the same K; the thresholds in
    [0, 1]. "Surely" means: the whole interval lies on one side of the threshold.
    Returns: bridge where support is surely low; stop where support is surely high and the gap
    surely small; sharpen where support is surely high and the gap surely large; else undecided
    (also where an interval is nan). So a wider interval never turns one action into another. An
    undecided case says how many more items would decide, by `more_items` of both quantities.
    Raises: UserError when a threshold lies outside [0, 1].
    """
    _check(tau_support, delta_gap)
    s, g = _text(support), _text(gap)
    more: int | None = 0
    if support.high < tau_support:
        action, why = "bridge", f"excess support {s} lies under {tau_support:g}"
    elif not support.low >= tau_support:  # written so that nan is undecided
        action = "undecided"
        why = f"excess support {s} may lie on either side of {tau_support:g}"
    elif gap.high < delta_gap:
        action = "stop"
        why = f"support suffices and Pass@K exceeds Acc@1 by {g}, under {delta_gap:g}"
    elif gap.low >= delta_gap:
        action = "sharpen"
        why = f"excess support {s} reaches {tau_support:g} and Pass@K exceeds Acc@1 by {g}"
    else:
        action = "undecided"
        why = f"support suffices, but the gap {g} may lie on either side of {delta_gap:g}"
    if action == "undecided":
        needed = [more_items(support, tau_support)]
        if support.value >= tau_support:  # a weak one is a bridge, whatever the gap is
            needed.append(more_items(gap, delta_gap))
        more = None if None in needed else max(needed)
        why = f"{why}; {_outlook(more)}"
    return Decision(action, f"{why}.", tau_support, delta_gap, more)


def paper_rule(
    pass_k: float,
    acc_1: float,
    *,
    tau_support: float = TAU_SUPPORT,
    delta_gap: float = DELTA_GAP,
) -> Decision:
    """Decide from raw Pass@K and Acc@1 as they stand: no guess floor, no interval.

    Arguments: `pass_k`, `acc_1` in [0, 1]; the thresholds as in `decide`.
    Returns: bridge under tau_support, else sharpen from a gap of delta_gap on, else stop.
    Raises: UserError when a threshold lies outside [0, 1].
    Source: the recipe of Jeddi et al. (arXiv 2603.01301).
    """
    _check(tau_support, delta_gap)
    gap = pass_k - acc_1
    if pass_k < tau_support:
        action, why = "bridge", f"Pass@K {pass_k:.2f} lies under {tau_support:g}"
    elif gap >= delta_gap:
        action, why = "sharpen", f"Pass@K {pass_k:.2f} exceeds Acc@1 {acc_1:.2f} by {gap:.2f}"
    else:
        action, why = "stop", f"Pass@K {pass_k:.2f} hardly exceeds Acc@1 {acc_1:.2f}"
    return Decision(action, f"{why}.", tau_support, delta_gap)


DIAGNOSIS = [
    "scope", "name", "action", "why", "more_items", "paper_action", "paper_why", "n_items",
    "support", "support_low", "support_high", "gap", "gap_low", "gap_high", "pass@k", "acc@1",
]  # fmt: skip


def diagnose(
    scores: pd.DataFrame,
    k: int,
    *,
    tau_support: float = TAU_SUPPORT,
    delta_gap: float = DELTA_GAP,
) -> pd.DataFrame:
    """Decide for each scope of a scored model, by our rule and by the paper's.

    Arguments: `scores` as `score.score` gives them; `k` one of its K; the thresholds.
    Returns: rows DIAGNOSIS: both decisions with their reasons, and what they rest on.
    Raises: UserError when the scores lack that K or greedy answers.
    """
    wanted = {"acc@1": 1, "pass@k": k, "excess_support@k": k, "gap@k": k}
    rows = []
    for (scope, name), part in scores.groupby(["scope", "name"], sort=False):
        found = {}
        for row in part.itertuples():
            if wanted.get(row.metric) == row.k:
                found[row.metric] = Estimate(row.value, row.low, row.high, row.n_items)
        if missing := sorted(wanted.keys() - found.keys()):
            raise UserError(
                f"the scores of {name} lack {missing} at K = {k}; "
                "sample K completions and a greedy one for each item"
            )
        limits = {"tau_support": tau_support, "delta_gap": delta_gap}
        support, gap = found["excess_support@k"], found["gap@k"]
        raw = found["pass@k"].value, found["acc@1"].value
        ours, paper = decide(support, gap, **limits), paper_rule(*raw, **limits)
        rows.append((
            scope, name, ours.action, ours.why, ours.more_items, paper.action, paper.why, gap.n,
            support.value, support.low, support.high, gap.value, gap.low, gap.high, *raw,
        ))  # fmt: skip
    table = pd.DataFrame(rows, columns=DIAGNOSIS)
    # Whole numbers and None: as floats they would be 140.0 and nan.
    return table.assign(more_items=pd.Series([row[4] for row in rows], dtype=object))
