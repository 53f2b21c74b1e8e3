"""Numbers of support, out of per-item chances and of what was said: for the twin and for pixels.

    >>> pass_curve([0.0, 0.01, 0.5], ks=(1, 16))  # mean Pass@K of three items
    array([0.17      , 0.38284232])
    >>> ledger(before=[0.0, 0.1, 0.2], after=[0.3, 0.0, 0.2], cutoff=1 / 16).lost
    1

All functions take NumPy arrays; p is the chance that one sampled answer to an item is right.
Run its test: `pytest tests/score/test_support.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from medrl_core.errors import UserError
from medrl_core.score.passk import exact_pass_at_k, pass_at_k

Floats = NDArray[np.float64]
KS = (1, 4, 16, 64, 256, 1024)
# An item is reachable at K if it is expected to be answered rightly once in K samples.
LEDGER_KS = (16, 256, 1024)


def pass_curve(p: ArrayLike, ks: Iterable[int] = KS) -> Floats:
    """Give Pass@K, averaged over items, from their exact chances.

    Arguments: `p` (B,); `ks`.
    Returns: one value a K, without any sampling error.
    """
    p = _chances(p)
    return np.array([exact_pass_at_k(p, k).mean() for k in ks])


def sampled_pass_curves(right: ArrayLike, ks: Iterable[int]) -> pd.DataFrame:
    """Estimate Pass@K from samples in two ways, to be shown beside `pass_curve`.

    Arguments: `right` (B, n) booleans; `ks`, none above n.
    Returns: one row a K: k, unbiased (2107.03374), and plugged, 1 - (1 - c/n)^K, which is too low,
        and at c = 0 exactly 0 however large K is.
    """
    right = np.asarray(right, dtype=bool)
    n, c = right.shape[1], right.sum(1)
    rows = [(k, pass_at_k(n, c, k).mean(), exact_pass_at_k(c / n, k).mean()) for k in ks]
    return pd.DataFrame(rows, columns=["k", "unbiased", "plugged"])


def frequency_floor(gold: ArrayLike, ks: Iterable[int] = KS) -> Floats:
    """Give Pass@K of an answerer that draws answers by their frequency in the gold.

    Arguments: `gold` (B,) or (B, S) right answers.
    Returns: one value a K.
    """
    found = np.unique_all(_rows(gold))
    return pass_curve(found.counts[found.inverse_indices] / len(found.inverse_indices), ks)


@dataclass(frozen=True)
class Ledger:
    """Items by whether they were reachable before and after training.

    Arguments: `kept` both; `lost` before only; `new` after only; `out` neither.
    """

    kept: int
    lost: int
    new: int
    out: int

    @property
    def retention(self) -> float:
        """Share of what was reachable that still is (SRR of 2507.14843); nan if nothing was."""
        return self.kept / (self.kept + self.lost) if self.kept + self.lost else float("nan")

    @property
    def discovery(self) -> float:
        """Share of what is reachable that is new (NDR of 2507.14843); nan if nothing is."""
        return self.new / (self.kept + self.new) if self.kept + self.new else float("nan")


def ledger(before: ArrayLike, after: ArrayLike, cutoff: float) -> Ledger:
    """Count items that training kept reachable, lost, or made reachable.

    Arguments: `before`, `after` (B,) chances of the same items; `cutoff`: an item is reachable if
        its chance is at least that.
    Raises: UserError when the lengths differ.
    """
    before, after = _chances(before), _chances(after)
    if before.shape != after.shape:
        raise UserError(
            f"a ledger needs the same items before and after, not {before.size} and {after.size}"
        )
    had, has = before >= cutoff, after >= cutoff
    counts = ((had & has), (had & ~has), (~had & has), (~had & ~has))
    return Ledger(*(int(one.sum()) for one in counts))


def ledgers(
    before: ArrayLike, after: ArrayLike, again: ArrayLike, ks: Iterable[int] = LEDGER_KS
) -> pd.DataFrame:
    """Put ledgers at several cut-offs beside their null.

    Arguments: `before`, `after` (B,); `again` (B,): the untouched model measured a second time,
        whose "losses" and "gains" are those of measuring; `ks`: cut-offs 1 / K.
    Returns: one row a K: k; kept, lost, new, out; lost_null, new_null.
    """
    rows: list[dict[str, int]] = []
    for k in ks:
        found, null = ledger(before, after, 1 / k), ledger(before, again, 1 / k)
        rows.append({"k": k, **vars(found), "lost_null": null.lost, "new_null": null.new})
    return pd.DataFrame(rows)


def commonest_share(answers: ArrayLike) -> float:
    """Give the share of the commonest answer.

    Arguments: `answers` (N,) or (N, S), one answer a row.
    """
    counts = np.unique(_rows(answers), return_counts=True)[1]
    return float(counts.max() / counts.sum())


def distinct_words(said: ArrayLike) -> NDArray[np.int64]:
    """Count the distinct words that each slot says: 1 is a constant word, which reads no picture.

    Arguments: `said` (N, S).
    Returns: (S,).
    """
    return np.array([len(np.unique(slot)) for slot in np.asarray(said).T])


def information(gold: ArrayLike, said: ArrayLike) -> float:
    """Give the mutual information of gold and answer in bits: 0 for any constant answer.

    It is the plug-in estimate, too high by about (g - 1)(a - 1) / (2 N ln 2) for g gold and a
    answer values in N rows (Miller 1955): take it slot by slot, and with N well above g x a.

    Arguments: `gold`, `said` (N,) labels of any kind.
    """
    gold, said = np.asarray(gold), np.asarray(said)
    if gold.shape != said.shape or gold.ndim != 1 or not gold.size:
        raise UserError(
            f"information is of as many answers as gold labels, not {said.shape} and {gold.shape}"
        )
    rows, columns = (np.unique(one, return_inverse=True)[1] for one in (gold, said))
    joint = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(joint, (rows, columns), 1 / len(rows))
    alone = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    there = joint > 0
    return max(0.0, float((joint[there] * np.log2(joint[there] / alone[there])).sum()))


def slot_information(gold: ArrayLike, said: ArrayLike) -> Floats:
    """Give `information` slot by slot: (N, S) and (N, S) to (S,) bits."""
    pairs = zip(np.asarray(gold).T, np.asarray(said).T, strict=True)
    return np.array([information(right, word) for right, word in pairs])


def majority_right(answers: ArrayLike, right: ArrayLike) -> Floats:
    """Give each item's chance that the commonest of its sampled answers is right.

    Arguments: `answers` (B, K) or (B, K, S); `right` (B, K).
    Returns: (B,), a fraction where several answers are equally common.
    """
    right = np.asarray(right, dtype=float)
    chances = np.empty(len(right))
    for item, (said, good) in enumerate(zip(np.asarray(answers), right, strict=True)):
        found = np.unique_all(_rows(said))
        chances[item] = good[found.indices[found.counts == found.counts.max()]].mean()
    return chances


def power_right(
    completions: ArrayLike, logprob: ArrayLike, right: ArrayLike, power: float = 4
) -> Floats:
    """Give each item's chance of a right answer under p^power, renormalised over what was sampled.

    The distribution of sharpening without training (2510.14901). A power of 4 leaves next to
    nothing to completions that samples miss, so a few hundred samples an item are enough.

    Arguments: `completions` (B, K, T) or (B, K), of which equal ones count once; `logprob` (B, K)
        of whole completions; `right` (B, K).
    Returns: (B,).
    """
    chances = np.empty(len(np.asarray(right)))
    parts = zip(np.asarray(completions), np.asarray(logprob), np.asarray(right), strict=True)
    for item, (said, logs, good) in enumerate(parts):
        first = np.unique(_rows(said), return_index=True)[1]
        weights = np.exp(power * (logs[first] - logs[first].max()))
        chances[item] = (weights * good[first]).sum() / weights.sum()
    return chances


def _chances(p: ArrayLike) -> Floats:
    p = np.atleast_1d(np.asarray(p, dtype=float))
    if p.ndim != 1 or not p.size:
        raise UserError(f"chances are one number an item, not of shape {p.shape}")
    return p


def _rows(answers: ArrayLike) -> NDArray[Any]:
    """Turn each row (N, S) into one value (N,) that is equal for equal rows."""
    answers = np.asarray(answers)
    if answers.ndim == 1:
        return answers
    flat = answers.reshape(len(answers), -1)
    return np.unique(flat, axis=0, return_inverse=True)[1].reshape(-1)
