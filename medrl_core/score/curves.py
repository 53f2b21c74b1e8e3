"""What Pass@K curves say as a whole: the K that reaches a level, the K at which two curves cross.

`medrl score` and `medrl score A B` print them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medrl_core.score.comparison import matched
from medrl_core.score.intervals import bootstrap_draws, interval
from medrl_core.score.passk import LEVEL_TOLERANCE, pass_at_k
from medrl_core.score.statistics import SCORE_COLUMNS, all_ks, scopes

CROSSING_COLUMNS = ["scope", "name", "k", "low", "high", "share", "n_items"]


def k_to_reach(scores: pd.DataFrame, level: float) -> pd.DataFrame:
    """Give the smallest scored K whose Pass@K reaches a level: the sampling efficiency.

    Arguments: `scores` rows of `medrl_core.score.statistics.score`; `level` in (0, 1].
    Returns: rows SCORE_COLUMNS with metric k_to@<level>, k 0 and a K as value, low and high; nan
    where no scored K reaches it. Each draw's curve rises with K, so the ends are the K at which
    the upper and the lower end of Pass@K reach the level.
    """

    def first(part: pd.DataFrame, column: str) -> float:
        return part.k[part[column] >= level - LEVEL_TOLERANCE].min()

    rows: list[tuple[Any, ...]] = []
    for (scope, name), part in scores[scores.metric == "pass@k"].groupby(["scope", "name"]):
        ends = [first(part, column) for column in ("value", "high", "low")]
        sizes = part[["n_items", "n_images"]].iloc[0]
        rows.append((scope, name, f"k_to@{level:g}", 0, *ends, *sizes))
    return pd.DataFrame(rows, columns=SCORE_COLUMNS)


def first_on_the_other_side(
    differences: NDArray[np.float64], ks: Sequence[int], side: float | None = None
) -> NDArray[np.float64]:
    """Give the first K at which each curve has another sign than where it began.

    Arguments: `differences` (curves, K) of two Pass@K; `ks` (K,) ascending; `side` the sign, 1 or
    -1, on which a curve must begin to count (None: any).
    Returns: (curves,) K; nan for a curve that stays on its side or on zero, or does not count.
    """
    sign = np.sign(np.where(np.abs(differences) < 1e-12, 0.0, differences))
    begin = np.take_along_axis(sign, (sign != 0).argmax(axis=1)[:, None], axis=1)
    other = (sign == -begin) & (begin != 0) & (side is None or begin == side)
    return np.where(other.any(axis=1), np.asarray(ks, dtype=float)[other.argmax(axis=1)], np.nan)


def crossings(frame_a: pd.DataFrame, frame_b: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Find the K at which Pass@K of two models changes sides, overall, a data set, and a modality.

    Arguments: `frame_a`, `frame_b` as for `comparison.compare`; `seed` of the bootstrap.
    Returns: CROSSING_COLUMNS; `k` the first K at which the other model is ahead (the curves cross
    between the scored K before it and this one), nan where the curves do not cross; `low` and
    `high` the 95% interval over the draws that cross the same way, and `share` of the draws that
    do.
    Raises: UserError as `comparison.matched`.
    """
    a, b, _ = matched(frame_a, frame_b)
    sampled = (a.n > 0) & (b.n > 0)
    a, b = a[sampled], b[sampled]
    if a.empty:
        return pd.DataFrame(columns=CROSSING_COLUMNS)
    ks = all_ks(pd.concat([a, b]))
    rows: list[tuple[Any, ...]] = []
    for scope, name, part in scopes(a):
        curves = [
            pass_at_k(items.n.to_numpy()[:, None], items.c.to_numpy()[:, None], ks)
            for items in (part, b.loc[part.index])
        ]
        difference = curves[0] - curves[1]
        mean = difference.mean(axis=0)
        k = first_on_the_other_side(mean[None], ks)[0]
        draws = bootstrap_draws(difference, part.image_id, seed=seed)
        # A draw that begins on the other side crosses the other way: another event.
        ahead = mean[np.abs(mean) >= 1e-12]
        side = np.sign(ahead[0]) if len(ahead) else None
        drawn = first_on_the_other_side(draws, ks, side)
        share = np.nan if np.isnan(draws).any() else float(np.mean(~np.isnan(drawn)))
        rows.append((scope, name, k, *interval(drawn), share, len(part)))
    return pd.DataFrame(rows, columns=CROSSING_COLUMNS)
