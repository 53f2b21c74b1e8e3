"""The decision rule: bridge with SFT, sharpen with RL, or stop, from a measured model.

Bridge where support is low, sharpen where support is there and Acc@1 lies well under it, stop
where support is there and nothing is left to sharpen; undecided where the intervals leave it open.
Run its test: `pytest tests/test_boundary.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from medrl_core.errors import UserError
from medrl_core.measure.stats import Estimate
from medrl_core.thresholds import DELTA_GAP, TAU_SUPPORT

Action = Literal["bridge", "sharpen", "stop", "undecided"]


@dataclass(frozen=True)
class Decision:
    """What to do next and why.

    Arguments: `action`; `why` one sentence; `tau_support` and `delta_gap` the thresholds used.
    """

    action: Action
    why: str
    tau_support: float
    delta_gap: float


def _check(tau_support: float, delta_gap: float) -> None:
    for name, value in (("tau_support", tau_support), ("delta_gap", delta_gap)):
        if not 0 <= value <= 1:
            raise UserError(f"{name} must lie in [0, 1], not {value}; the default is documented")


def _text(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


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
    (also where an interval is nan). So a wider interval never turns one action into another.
    Raises: UserError when a threshold lies outside [0, 1].
    """
    _check(tau_support, delta_gap)
    s, g = _text(support), _text(gap)
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
    return Decision(action, f"{why}.", tau_support, delta_gap)


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


def diagnose(
    scores: pd.DataFrame,
    k: int,
    *,
    tau_support: float = TAU_SUPPORT,
    delta_gap: float = DELTA_GAP,
) -> pd.DataFrame:
    """Decide for each scope of a scored model, by our rule and by the paper's.

    Arguments: `scores` as `score.score` gives them; `k` one of its K; the thresholds.
    Returns: rows scope, name, action, why, paper_action.
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
        ours = decide(found["excess_support@k"], found["gap@k"], **limits)
        paper = paper_rule(found["pass@k"].value, found["acc@1"].value, **limits)
        rows.append((scope, name, ours.action, ours.why, paper.action))
    return pd.DataFrame(rows, columns=["scope", "name", "action", "why", "paper_action"])
