"""Guess floors: Pass@K of answerers who never look at the picture.

    >>> label_floor(["yes"] * 9 + ["no"], 1)          # knows that nine of ten are "yes"
    array([1., 1., 1., 1., 1., 1., 1., 1., 1., 0.])

The uniform floor (`passk.guess_floor`) guesses among an item's options. Where labels are skewed one
can do better without any skill: the label floor is the best that is possible for an answerer who
draws every answer from one distribution and knows only how frequent each label is among the items.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from medrl_core.errors import UserError


def best_guesses(shares: ArrayLike, k: int) -> NDArray[np.float64]:
    """Give the chances of labels by which k independent guesses are right most often.

    Arguments: `shares` (L,) of the labels among the items, positive and adding to 1; `k` guesses.
    Returns: (L,) chances: for k = 1 all on the commonest label (the first of several), and the
    larger k, the more even.
    Raises: UserError when k is below 1.
    Source: maximises sum of q (1 - (1 - x)^k) over chances x; by Lagrange (1 - x) is
    s q^(-1/(k - 1)) for the m commonest labels, with s set by the sum, and x is 0 for the others.
    """
    if k < 1:
        raise UserError("K must be at least 1; ask for a larger K")
    q = np.asarray(shares, dtype=float)
    chances = np.zeros(len(q))
    order = np.argsort(-q, kind="stable")
    if k == 1:
        chances[order[0]] = 1.0
        return chances
    ratio = (q[order[0]] / q[order]) ** (1 / (k - 1))
    sizes = np.arange(1, len(q) + 1)
    level = (sizes - 1) / np.cumsum(ratio)
    size = int(np.flatnonzero(level * ratio < 1)[-1])
    chances[order[: size + 1]] = 1 - level[size] * ratio[: size + 1]
    return chances


def label_floors(labels: Sequence[str], ks: Sequence[int]) -> NDArray[np.float64]:
    """Give Pass@K of the best answerer who knows only label frequencies, for each item.

    Arguments: `labels` (N,) the right answer of each item; `ks` (M,).
    Returns: (N, M) chances that at least one of K guesses is the item's label.
    """
    codes, _ = pd.factorize(np.asarray(labels, dtype=object))
    shares = np.bincount(codes) / len(codes)
    found = [1 - (1 - best_guesses(shares, k)) ** k for k in ks]
    return np.stack(found, axis=1)[codes] if found else np.zeros((len(codes), 0))


def label_floor(labels: Sequence[str], k: int) -> NDArray[np.float64]:
    """Give `label_floors` of one K as (N,)."""
    return label_floors(labels, [k])[:, 0]
