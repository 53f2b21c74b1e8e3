"""Pass@K without bias, and what goes with it: guess floor, excess support, known chances.

Every function takes NumPy arrays of any shape that broadcast, one entry an item.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from medrl_core.errors import UserError

# Pass@K values are sums of a few rounded terms; a level reached within this counts as reached.
LEVEL_TOLERANCE = 1e-12


def _counts(n: ArrayLike, c: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    n, c = np.broadcast_arrays(np.asarray(n, dtype=np.int64), np.asarray(c, dtype=np.int64))
    if np.any(n < 1) or np.any(c < 0) or np.any(c > n):
        raise UserError(
            "counts are wrong: every item needs n >= 1 samples and 0 <= c <= n correct ones; "
            "check the rollouts"
        )
    return n, c


def pass_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> NDArray[np.float64]:
    """Estimate, without bias, the chance that at least one of k samples is right.

    Arguments: `n` samples drawn an item, `c` of them right, `k` samples (all integers, any
    shapes that broadcast; n may differ between items).
    Returns: 1 - C(n-c, k) / C(n, k), in [0, 1].
    Raises: UserError when some k is below 1 or above its n, or c lies outside 0..n.
    Source: Chen et al. 2021 (arXiv 2107.03374), section 2.1; here through log-gamma, so that
    n of many thousands neither overflows nor takes a loop.
    """
    n, c = _counts(n, c)
    k = np.asarray(k, dtype=np.int64)
    n, c, k = np.broadcast_arrays(n, c, k)
    if np.any(k < 1):
        raise UserError("K must be at least 1; ask for a larger K")
    if np.any(k > n):
        worst = int(np.argmin((n - k).ravel()))
        raise UserError(
            f"Pass@{int(k.ravel()[worst])} needs as many samples an item, but some item has only "
            f"{int(n.ravel()[worst])}; sample more or ask for a smaller K"
        )
    wrong = n - c
    possible = wrong >= k  # with fewer wrong samples than k, every draw of k holds a right one
    wrong_in = np.where(possible, wrong, k)
    log_ratio = (
        gammaln(wrong_in + 1) - gammaln(wrong_in - k + 1) - gammaln(n + 1) + gammaln(n - k + 1)
    )
    # c = 0 is exactly zero; log-gamma would leave rounding noise there.
    missed = np.where(possible, np.where(c == 0, 1.0, np.exp(np.minimum(log_ratio, 0.0))), 0.0)
    return 1.0 - missed


def exact_pass_at_k(p: ArrayLike, k: ArrayLike) -> NDArray[np.float64]:
    """Give the true Pass@K of an item whose every sample is right with chance p.

    Arguments: `p` in [0, 1]; `k` >= 1.
    Returns: 1 - (1 - p)^k, exact for tiny p too.
    Raises: UserError when p is no probability or k is below 1.
    """
    p, k = np.asarray(p, dtype=float), np.asarray(k, dtype=float)
    if np.any(~((p >= 0) & (p <= 1))):
        raise UserError("a chance of being right must lie in [0, 1]; check the probabilities")
    if np.any(k < 1):
        raise UserError("K must be at least 1; ask for a larger K")
    with np.errstate(divide="ignore"):
        return -np.expm1(k * np.log1p(-p))


def guess_floor(m: ArrayLike, k: ArrayLike) -> NDArray[np.float64]:
    """Give Pass@K of uniform guessing among m options.

    Arguments: `m` options or labels an item (>= 1); `k` samples.
    Returns: 1 - (1 - 1/m)^k.
    Raises: UserError when m or k is below 1.
    """
    m = np.asarray(m, dtype=float)
    if np.any(~(m >= 1)):
        raise UserError(
            "the guess floor needs at least one option an item; give items options or a label set"
        )
    return exact_pass_at_k(1.0 / m, k)


def excess_support(p: ArrayLike, floor: ArrayLike) -> NDArray[np.float64]:
    """Give the share of the room above the guess floor that Pass@K fills.

    Arguments: `p` Pass@K; `floor` the guess floor at the same K.
    Returns: (p - floor) / (1 - floor): 1 at best, 0 at the floor, negative below it, nan where
    the floor is 1 and no room is left.
    """
    p, floor = np.broadcast_arrays(np.asarray(p, dtype=float), np.asarray(floor, dtype=float))
    room = 1.0 - floor
    return np.divide(p - floor, room, out=np.full(room.shape, np.nan), where=room > 0)
