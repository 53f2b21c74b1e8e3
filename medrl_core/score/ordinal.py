"""Scores of ordinal sets: quadratic-weighted kappa and mean absolute error, beside accuracy.

    ordinal_table(["0", "1", "2"], ["0", "2", None], order=["0", "1", "2"])

A grade that is off by one is less wrong than one that is off by four; accuracy does not see that.
Completions without an answer have no distance: they are left out, and their number stands beside.
`pytest tests/score/test_ordinal.py` runs the tests.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from medrl_core.errors import UserError
from medrl_core.score.intervals import bootstrap_draws, bootstrap_mean, interval
from medrl_core.score.matching import same_answer

COLUMNS = ["metric", "value", "low", "high", "n", "n_no_answer"]


def _grades(answers: Sequence[str | None], order: Sequence[str]) -> NDArray[np.float64]:
    """Give each answer's place in the order, nan for none or one that is not in it."""
    places: dict[str | None, float] = {None: np.nan}
    for answer in answers:
        if answer is not None and answer not in places:
            found = [place for place, grade in enumerate(order) if same_answer(answer, grade)]
            places[answer] = found[0] if found else np.nan
    return np.array([places[answer] for answer in answers], dtype=float)


def _kappas(cells: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Quadratic-weighted kappa of shares of cells (D, n * n); nan where only one grade occurs."""
    shares = cells.reshape(len(cells), n, n)
    distance = (np.arange(n)[:, None] - np.arange(n)[None, :]) ** 2
    expected = shares.sum(2)[:, :, None] * shares.sum(1)[:, None, :]
    seen, chance = (distance * shares).sum((1, 2)), (distance * expected).sum((1, 2))
    return 1 - np.divide(seen, chance, out=np.full(len(cells), np.nan), where=chance > 0)


def ordinal_table(
    gold: Sequence[str],
    answers: Sequence[str | None],
    order: Sequence[str],
    clusters: ArrayLike | None = None,
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Score answers on an ordered scale.

    Arguments: `gold` (N,) grades; `answers` (N,) parsed answers as texts, None where there is none
    (an option's text, not its letter); `order` the grades from least to most; `clusters` (N,)
    image ids; `seed` of the intervals.
    Returns: COLUMNS with the rows "quadratic-weighted kappa" (1: all right, 0: chance; nan where
    only one grade occurs) and "mean absolute error" (in grades), 95 % intervals over images; both
    of the n completions with a grade, beside those without.
    Raises: UserError for a gold answer that is no grade, doubled grades, or no graded completion.
    Source: Cohen 1968. The numbers are scikit-learn's, which the base layer does not have.
    """
    if any(same_answer(one, other) for i, one in enumerate(order) for other in order[:i]):
        raise UserError(f"the order {list(order)} names a grade twice")
    true, said = _grades(gold, order), _grades(answers, order)
    if np.isnan(true).any():
        odd = gold[int(np.isnan(true).argmax())]
        raise UserError(f"the gold answer {odd!r} is none of the grades {list(order)}")
    read = ~np.isnan(said)
    if not read.any():
        raise UserError(f"none of the {len(gold)} answers is one of the grades {list(order)}")
    true, said = true[read].astype(int), said[read].astype(int)
    images = None if clusters is None else np.asarray(clusters)[read]
    n = len(order)
    cells = np.eye(n * n)[true * n + said]
    kappa = float(_kappas(cells.mean(0, keepdims=True), n)[0])
    draws = _kappas(bootstrap_draws(cells, images, prior=np.eye(n * n), seed=seed), n)
    error = bootstrap_mean(np.abs(true - said), images, bounds=(0, n - 1), seed=seed)
    counts = [len(true), int((~read).sum())]
    return pd.DataFrame(
        [
            ["quadratic-weighted kappa", kappa, *interval(draws, value=kappa), *counts],
            ["mean absolute error", error.value, error.low, error.high, *counts],
        ],
        columns=COLUMNS,
    )
