"""Two models on the items that both answered: A minus B, item by item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from medrl_core.errors import UserError
from medrl_core.score.intervals import paired_difference, permutation_test
from medrl_core.score.passk import pass_at_k
from medrl_core.score.statistics import SCORE_COLUMNS, default_ks, per_item, scopes

COMPARE_COLUMNS = [*SCORE_COLUMNS[:7], "p", "n_items", "n_images", "n_unpaired"]


def matched(
    frame_a: pd.DataFrame, frame_b: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Give the items of two models that both answered, in one order.

    Arguments: `frame_a`, `frame_b` as for `per_item`.
    Returns: their `per_item` rows, and how many items only one of the two has.
    Raises: UserError as `per_item`, or when no item is common or a common item differs in gold.
    """
    a, b = per_item(frame_a), per_item(frame_b)
    both = a.index.intersection(b.index).sort_values()
    if both.empty:
        raise UserError("the two models share no item; score them on the same items first")
    unpaired = len(a) + len(b) - 2 * len(both)
    a, b = a.loc[both], b.loc[both]
    different = a.index[a.gold != b.gold]
    if len(different):
        raise UserError(
            f"item {different[0]} has two gold answers in the two sets of rollouts; "
            "sample both models on the same items"
        )
    return a, b, unpaired


def compare(
    frame_a: pd.DataFrame, frame_b: pd.DataFrame, k: int | Sequence[int] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare two models on the items both answered: A minus B, item by item.

    Arguments: `frame_a`, `frame_b` as for `per_item`; `k` one or more K (default: powers of two
    that both have samples for); `seed`.
    Returns: rows COMPARE_COLUMNS for acc@1 and pass@k: value, interval (bootstrap over images),
    p (swaps whole images; not adjusted for several tests), and in n_unpaired the items that only
    one of the two has.
    Raises: UserError as `score`, or when no item is common or a common item differs in gold.
    """
    a, b, unpaired = matched(frame_a, frame_b)
    ks = [k] if isinstance(k, int) else k
    ks = default_ks(pd.concat([a, b])) if ks is None else ks
    rows: list[tuple[Any, ...]] = []
    for scope, name, part in scopes(a):
        other = b.loc[part.index]
        pairs = [("acc@1", 1, part.greedy.to_numpy(), other.greedy.to_numpy())]
        sampled = ((part.n > 0) & (other.n > 0)).to_numpy()
        for one_k in ks:
            x, y = np.full(len(part), np.nan), np.full(len(part), np.nan)
            x[sampled] = pass_at_k(part.n[sampled], part.c[sampled], one_k)
            y[sampled] = pass_at_k(other.n[sampled], other.c[sampled], one_k)
            pairs.append(("pass@k", one_k, x, y))
        for metric, one_k, x, y in pairs:
            usable = ~(np.isnan(x) | np.isnan(y))
            if not usable.any():
                continue
            x, y, images = x[usable], y[usable], part.image_id[usable]
            e = paired_difference(x, y, images, seed=seed)
            p = permutation_test(x, y, images, seed=seed)
            rows.append((scope, name, metric, one_k, e.value, e.low, e.high, p, e.n,
                         images.nunique(), unpaired))
    return pd.DataFrame(rows, columns=COMPARE_COLUMNS)
