"""The support ledger: of the items reachable before, how many are kept, lost and new after.

    >>> ledger(before, after, k=16)
    {'kept': 40, 'lost': 6, 'new': 1, 'never': 13, 'lost_by_chance': 3.1, 'new_by_chance': 2.9}

An item is reachable at K where its share of right samples is at least 1/K. Samples are few, so some
items change sides although nothing changed: the counts by chance say how many would.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import hypergeom

from medrl_core.errors import UserError

COLUMNS = ["kept", "lost", "new", "never", "lost_by_chance", "new_by_chance"]


def reachable(n: np.ndarray, c: np.ndarray, k: int) -> np.ndarray:
    """Say for each item whether the share of right samples is at least 1/K."""
    return c * k >= n


def sides(before: pd.DataFrame, after: pd.DataFrame, k: int) -> pd.Series:
    """Give each item's side: kept, lost, new or never.

    Arguments: `before`, `after` rows of `statistics.per_item` on the same items in one order, all
    with samples; `k` of the cut-off 1/K.
    Raises: UserError where items differ or lack samples.
    """
    if not before.index.equals(after.index):
        raise UserError("a ledger needs the same items before and after")
    if (before.n < 1).any() or (after.n < 1).any():
        raise UserError("a ledger needs samples of every item, before and after")
    was, now = (reachable(of.n.to_numpy(), of.c.to_numpy(), k) for of in (before, after))
    names = np.where(was, np.where(now, "kept", "lost"), np.where(now, "new", "never"))
    return pd.Series(names, before.index, name="side")


def ledger(before: pd.DataFrame, after: pd.DataFrame, k: int) -> dict[str, float]:
    """Count kept, lost, new and never, and what lost and new would be by chance alone.

    Arguments: as `sides`.
    Returns: COLUMNS by name. By chance: each item's right samples of both sides together are dealt
    at random to the two sides, as if its chance had not changed (hypergeometric).
    """
    found = sides(before, after, k).value_counts()
    counts: dict[str, float] = {name: int(found.get(name, 0)) for name in COLUMNS[:4]}
    n, m = before.n.to_numpy(), after.n.to_numpy()
    right = before.c.to_numpy() + after.c.to_numpy()
    counts["lost_by_chance"] = _crossing(n, m, right, k)
    counts["new_by_chance"] = _crossing(m, n, right, k)
    return counts


def _crossing(n: np.ndarray, m: np.ndarray, right: np.ndarray, k: int) -> float:
    """Items expected on the reachable side with n samples and off it with the other m."""
    # c of n reach where c k >= n; right - c of m do not where (right - c) k < m.
    least = np.maximum(-(-n // k), right - (-(-m // k)) + 1)
    return float(np.sum(hypergeom.sf(least - 1, n + m, right, n)))
