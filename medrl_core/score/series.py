"""Logs of RL as a series: the same statistics at every training step, each step another policy."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medrl_core.errors import UserError
from medrl_core.score.intervals import bootstrap_mean
from medrl_core.score.ledger import COLUMNS as LEDGER
from medrl_core.score.ledger import ledger
from medrl_core.score.logs.log import NO_STEP
from medrl_core.score.passk import pass_at_k
from medrl_core.score.statistics import per_item

COLUMNS = [
    "step", "n_items", "n_images", "samples", "k", "pass@1", "pass@1_low", "pass@1_high", "pass@k",
    "pass@k_low", "pass@k_high", "acc@1", "acc@1_low", "acc@1_high", "right", "wrong", "no_answer",
    "truncated", "signal", "common", *LEDGER,
]  # fmt: skip


def over_steps(rollouts: pd.DataFrame, k: int | None = None, seed: int = 0) -> pd.DataFrame:
    """Score each step of a series by itself, and count its ledger against the first step.

    Arguments: `rollouts` of `grading.grade`, with a step in every row; `k` (default: the fewest
    samples that any item of any step has); `seed` of the intervals.
    Returns: COLUMNS, a row a step. `signal` is the share of items whose answers of this step are
    right and wrong ones; `right`, `wrong`, `no_answer` shares of the sampled answers; the ledger
    is of the `common` items of the first step and this one, nan where there are none.
    Raises: UserError where rows have no step or K exceeds an item's samples.
    """
    if (rollouts.step == NO_STEP).any():
        raise UserError("these answers are of no training step: there is no series in them")
    steps = {int(str(step)): per_item(rows) for step, rows in rollouts.groupby("step", sort=True)}
    sampled = {step: items[items.n > 0] for step, items in steps.items()}
    fewest = min((int(items.n.min()) for items in sampled.values() if len(items)), default=0)
    k = fewest if k is None else k
    first = next(iter(sampled.values()))
    rows = [
        _row(step, items, sampled[step], first, k, seed) for step, items in steps.items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(
    step: int, items: pd.DataFrame, sampled: pd.DataFrame, first: pd.DataFrame, k: int, seed: int
) -> dict[str, float]:
    n: NDArray[np.int64] = sampled.n.to_numpy()
    c: NDArray[np.int64] = sampled.c.to_numpy()
    row: dict[str, float] = {"step": step, "n_items": len(items), "k": k}
    row |= {"n_images": items.image_id.nunique(), "samples": int(n.sum())}
    greedy = items[items.greedy.notna()]
    if len(greedy):
        row |= _parts("acc@1", greedy.greedy.to_numpy(), greedy, seed)
    if len(sampled):
        row |= _parts("pass@1", c / n, sampled, seed)
        row |= _parts("pass@k", pass_at_k(n, c, k), sampled, seed)
        no_answer = float(np.average(sampled.no_answer, weights=n))
        right = float(c.sum() / n.sum())
        row |= {"right": right, "no_answer": no_answer, "wrong": 1 - right - no_answer}
        row["truncated"] = float(np.average(sampled.truncated, weights=n))
        row["signal"] = float(np.mean((c > 0) & (c < n)))
    both = first.index.intersection(sampled.index)
    row["common"] = len(both)
    if len(both):
        row |= ledger(first.loc[both], sampled.loc[both], k)
    return row


def _parts(name: str, values: np.ndarray, items: pd.DataFrame, seed: int) -> dict[str, float]:
    found = bootstrap_mean(values, items.image_id, seed=seed)
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
