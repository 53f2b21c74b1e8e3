"""Intervals and tests over clusters of rows: items about one image stay together.

Questions on one image are not independent, so every draw takes whole images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from medrl_core.errors import UserError

DRAWS = 2000
LEVEL = 0.95
# Ranges of what is averaged: shares and chances, and differences of two of them.
SHARE = (0.0, 1.0)
DIFFERENCE = (-1.0, 1.0)
# Weights of one block of draws; keeps a block under 100 MB however many images there are.
_BLOCK = 4_000_000


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Arguments: `value`; `low` and `high` ends of the interval (nan where there is none); `n` the
    observations behind it.
    """

    value: float
    low: float
    high: float
    n: int


def _sums(
    values: NDArray[np.float64], clusters: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Add up values (N, M) within clusters: sums (J, M) and row counts (J,)."""
    n = len(values)
    if n == 0:
        raise UserError("there are no observations to average; check the filter or the rollouts")
    if not np.isfinite(values).all():
        raise UserError("a value to average is missing or infinite; check the rollouts")
    codes = np.arange(n) if clusters is None else pd.factorize(np.asarray(clusters))[0]
    if len(codes) != n:
        raise UserError(f"there are {n} values but {len(codes)} clusters; give one a value")
    groups = int(codes.max()) + 1
    sums = np.stack(
        [np.bincount(codes, weights=column, minlength=groups) for column in values.T], axis=1
    )
    return sums.astype(float), np.bincount(codes, minlength=groups).astype(float)


def bootstrap_draws(
    values: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    prior: ArrayLike | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Weigh clusters at random and average every column over the rows: a Bayesian bootstrap.

    Resampling alone has no spread where all rows are alike (all right, none right), and too little
    where there are few. A prior worth one cluster in all keeps it honest there and is lost among
    many: for independent rows of 0 and 1 and the prior [[0], [1]], the draws are those of the
    Beta(c + 1/2, n - c + 1/2) distribution (Jeffreys).

    Arguments: `values` (N, M); `clusters` (N,) names, for example image ids (None: each row its
    own); `prior` (P, M) rows that stand for what might have been seen, the ends of each column's
    range, which share the weight of one cluster (None: none); `draws` D; `seed`. All columns see
    the same weights, so what is computed from several columns keeps their dependence.
    Returns: (D, M) means; nan throughout where one cluster and no prior tell no spread.
    Raises: UserError without rows, with a value that is not finite, or with unequal lengths.
    Source: Rubin 1981 (The Bayesian Bootstrap), Ferguson 1973 (the prior); advised for evaluations
    of few items by arXiv 2503.01747 and 2510.04265.
    """
    values = np.asarray(values, dtype=float)
    sums, counts = _sums(values, clusters)
    groups = len(counts)
    rows = np.zeros((0, values.shape[1])) if prior is None else np.asarray(prior, dtype=float)
    if groups + len(rows) < 2:
        return np.full((draws, values.shape[1]), np.nan)
    size = counts.mean()
    totals = np.concatenate(
        [
            np.concatenate([sums, counts[:, None]], axis=1),
            np.concatenate([rows * size, np.full((len(rows), 1), size)], axis=1),
        ]
    )
    rng = np.random.default_rng(seed)
    # Drawn first and whole, so that the draws do not depend on how they are split into blocks.
    prior_weights = rng.standard_gamma(1 / max(len(rows), 1), size=(draws, len(rows)))
    step = max(1, _BLOCK // groups)
    means = np.empty((draws, values.shape[1]))
    for start in range(0, draws, step):
        block = min(step, draws - start)
        drawn = rng.standard_exponential((block, groups))
        total = drawn @ totals[:groups] + prior_weights[start : start + block] @ totals[groups:]
        means[start : start + block] = total[:, :-1] / total[:, -1:]
    return means


def interval(
    draws: NDArray[np.float64], level: float = LEVEL, value: float | None = None
) -> tuple[float, float]:
    """Give the percentile interval of bootstrap draws (D,), leaving out draws that are nan.

    With `value` the interval is widened to hold it: at an end of its range the value is the end.
    """
    draws = draws[~np.isnan(draws)]
    if draws.size == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    if value is not None and not np.isnan(value):
        low, high = min(low, value), max(high, value)
    return float(low), float(high)


def ends(values: NDArray[np.float64], bounds: tuple[float, float]) -> NDArray[np.float64]:
    """Give the prior of one column (2, 1): its bounds, moved out to the values beyond them."""
    low, high = min(bounds[0], values.min()), max(bounds[1], values.max())
    return np.array([[low], [high]])


def bootstrap_mean(
    values: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    bounds: tuple[float, float] = SHARE,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
) -> Estimate:
    """Estimate a mean with the percentile interval of a Bayesian bootstrap over clusters.

    Arguments: `values` (N,); `bounds` ends of their range, for the prior; `clusters`, `draws`,
    `seed` as `bootstrap_draws`; `level` of the interval.
    Returns: Estimate of the mean over rows; n is N. Its interval is never of zero width.
    Raises: UserError as `bootstrap_draws`.
    """
    values = np.asarray(values, dtype=float).reshape(-1, 1)
    _sums(values, clusters)  # checks them before anything is made of them
    prior = ends(values, bounds)
    means = bootstrap_draws(values, clusters, prior=prior, draws=draws, seed=seed)
    value = float(values.mean())
    return Estimate(value, *interval(means[:, 0], level, value), len(values))


def hierarchical_mean(
    groups: Sequence[ArrayLike],
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
) -> Estimate:
    """Estimate the mean over groups of items that several trainings were measured on.

    Each draw takes training seeds with replacement, then items; all seeds of a group see the same
    items, so they are crossed. Groups are not drawn: they were chosen, and each counts the same.

    Arguments: `groups`, an array each: (S, N) of S training seeds and N items, or (N,) where
    nothing was trained; with one seed the interval leaves the chance of training out. `draws`,
    `level`, `seed` as `bootstrap_mean`.
    Returns: Estimate of the mean of the groups' means; n is the number of items in all.
    Raises: UserError without groups or values, or with a value that is not finite.
    """
    if not len(groups):
        raise UserError("there are no groups to average; check which ones were asked")
    rng = np.random.default_rng(seed)
    values: list[float] = []
    drawn, n = np.zeros(draws), 0
    for one in groups:
        table = np.atleast_2d(np.asarray(one, dtype=float))
        if table.ndim != 2 or not table.size or not np.isfinite(table).all():
            raise UserError("a value to average is missing or infinite; check the rollouts")
        seeds, items = table.shape
        of_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws)
        of_items = rng.multinomial(items, np.full(items, 1 / items), draws)
        drawn += (of_seeds @ table * of_items).sum(1) / (seeds * items)
        values.append(float(table.mean()))
        n += items
    return Estimate(float(np.mean(values)), *interval(drawn / len(values), level), n)


def rate_draws(
    rates: ArrayLike, n_items: int | None = None, *, draws: int = DRAWS, seed: int = 0
) -> NDArray[np.float64]:
    """Draw mean rates over training seeds, then items, where only rates were recorded.

    Each draw takes training seeds with replacement, the same for all rates (they are crossed), and
    for each rate of n items one from its Beta(c + 1/2, n - c + 1/2) about the rate: at 0 and at 1
    it keeps a width, which a bootstrap of equal items would not do.

    Arguments: `rates` (..., S) from 0 to 1, nan where a seed is missing; `n_items` behind each,
    None: only seeds are drawn; `draws` D; `seed`.
    Returns: (D, ...) means over the drawn seeds; nan where none of them is there.
    Source: Jeffreys' interval (Brown, Cai and DasGupta 2001).
    """
    rates = np.asarray(rates, dtype=float)
    if rates.ndim < 1 or not rates.size:
        raise UserError("there are no rates to average; check which runs are there")
    rng, seeds = np.random.default_rng(seed), rates.shape[-1]
    weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws).astype(float)
    there = np.isfinite(rates)
    counts = np.einsum("...s,ds->d...", there.astype(float), weights)
    found = np.empty((draws, *rates.shape[:-1]))
    for one, weight in enumerate(weights):
        values = np.where(there, rates, 0.5)
        if n_items:
            hits = values * n_items
            middle = (hits + 0.5) / (n_items + 1) - values  # the prior's pull is taken back
            drawn = rng.beta(hits + 0.5, n_items - hits + 0.5)
            values = np.clip(drawn - middle, 0.0, 1.0)
        found[one] = np.where(there, values, 0.0) @ weight
    with np.errstate(invalid="ignore"):
        return found / np.where(counts > 0, counts, np.nan)


def share_of(count: int, of: int, level: float = LEVEL) -> Estimate:
    """Estimate a share with Wilson's interval; nan where it is a share of none.

    Arguments: `count` out of `of`; `level` of the interval.
    """
    if not of:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    ends = binomtest(count, of).proportion_ci(level, method="wilson")
    return Estimate(count / of, float(ends.low), float(ends.high), of)


def share_difference(a: tuple[int, int], b: tuple[int, int], level: float = LEVEL) -> Estimate:
    """Estimate the difference of two shares of independent runs.

    Arguments: `a`, `b`: how many, out of how many; `level` of the interval.
    Returns: Estimate of share a minus share b; n is the number of runs in all.
    Raises: UserError where one of them has no runs.
    Source: Newcombe 1998, method 10 (Wilson intervals put together).
    """
    if not a[1] or not b[1]:
        raise UserError("a difference of shares needs runs on both sides; check which were made")
    x, y = share_of(*a, level), share_of(*b, level)
    value = x.value - y.value
    low = value - np.hypot(x.value - x.low, y.high - y.value)
    high = value + np.hypot(x.high - x.value, y.value - y.low)
    return Estimate(value, float(low), float(high), a[1] + b[1])


def _differences(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape:
        raise UserError(f"a paired comparison needs equal lengths, not {len(a)} and {len(b)}")
    return a - b


def paired_difference(
    a: ArrayLike,
    b: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
) -> Estimate:
    """Estimate mean(a) - mean(b) of two measurements of the same rows.

    Arguments: `a`, `b` (N,) in the same order; the rest as `bootstrap_mean`.
    Raises: UserError when the lengths differ, or as `bootstrap_draws`.
    """
    difference = _differences(a, b)
    return bootstrap_mean(
        difference, clusters, bounds=DIFFERENCE, draws=draws, level=level, seed=seed
    )


def permutation_test(
    a: ArrayLike,
    b: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    resamples: int = 5000,
    seed: int = 0,
) -> float:
    """Give the two-sided p value that a and b differ by chance, swapping them by whole clusters.

    Arguments: `a`, `b` (N,) in the same order; `clusters` as `bootstrap_draws`; `resamples` at
    random, or all swaps where there are no more than that.
    Returns: p in (0, 1]; 1 where a equals b.
    Raises: UserError when the lengths differ or there are no rows.
    Source: the paired test of scipy.stats.permutation_test, in blocks of sign flips, which is
    many times faster for tens of thousands of clusters; a test compares the two.
    """
    sums, _ = _sums(_differences(a, b).reshape(-1, 1), clusters)
    moved = sums[sums[:, 0] != 0, 0]  # a cluster without difference is the same when swapped
    size = len(moved)
    every = 2**size if size < 63 else np.inf
    exact = every <= resamples
    count = int(every) if exact else resamples
    # Sums of rounded differences that are equal by hand count as equal here.
    limit = abs(moved.sum()) * (1 - 1e-12) - 1e-12
    rng = np.random.default_rng(seed)
    rows = max(1, _BLOCK // max(size, 1))
    as_far = 0
    for start in range(0, count, rows):
        block = np.arange(start, min(start + rows, count))
        if exact:
            flip = block[:, None] >> np.arange(size) & 1
        else:
            flip = rng.integers(2, size=(len(block), size), dtype=np.int8)
        as_far += int(np.sum(np.abs((1.0 - 2.0 * flip) @ moved) >= limit))
    # The observed order counts as one random swap, so that p is never 0.
    return as_far / count if exact else (as_far + 1) / (count + 1)


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Adjust p values for having made several tests.

    Arguments: `p` (M,).
    Returns: adjusted p values in the same order.
    Source: Holm 1979.
    """
    p = np.asarray(p, dtype=float)
    order = np.argsort(p)
    steps = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
