"""Effects of training: paired gains item by item, averaged over data sets, contrasts and slopes.

The study's claims are judged by these.

Every data set counts the same in a mean over data sets, whatever its number of items; every
interval resamples images within each data set. Several models in one frame (training seeds) are
averaged item by item first.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from medrl_core.errors import UserError
from medrl_core.score.intervals import DRAWS, Estimate, bootstrap_draws, interval
from medrl_core.score.passk import excess_support, guess_floor, pass_at_k
from medrl_core.score.statistics import per_item

METRICS = ("acc@1", "pass@k", "excess_support@k")


def item_values(frame: pd.DataFrame, k: int) -> pd.DataFrame:
    """Acc@1, Pass@K and excess support of each item.

    Arguments:
        frame: rollouts of one model, or of several training seeds of it.
        k: the K of Pass@K and excess support.

    Returns:
        One row an item: item_id, image_id, dataset, split, and one column for each of `METRICS`.
        Excess support is nan where the floor is 1, and an item without options or label set has
        floor 0, as in `score.score`.

    Raises:
        UserError: no rollouts, fewer than k samples of an item, or models that did not answer the
            same items of a data set, so that a mean over them would mix models.
    """
    tables = []
    # By name as well as weights: two seeds that learned nothing have equal weights and both count.
    for _, part in frame.groupby(["model", "model_hash"], sort=True):
        items = per_item(part).reset_index()
        chance = pass_at_k(items.n, items.c, k)
        options = items.n_options.to_numpy()
        floor = np.where(options > 0, guess_floor(np.maximum(options, 1), k), 0.0)
        tables.append(
            items[["item_id", "image_id", "dataset"]].assign(
                **{
                    "split": items.item_id.str.split("/").str[1],
                    "acc@1": items.greedy,
                    "pass@k": chance,
                    "excess_support@k": excess_support(chance, floor),
                }
            )
        )
    if not tables:
        raise UserError("there are no rollouts to compare; sample first")
    keys = ["item_id", "image_id", "dataset", "split"]
    items = pd.concat(tables).groupby(keys, sort=True, dropna=False)
    answered = items[["acc@1", "pass@k"]].count()
    uneven = answered.groupby("dataset").nunique().max(axis=1) > 1
    if uneven.any():
        raise UserError(
            f"some items of {uneven.idxmax()} lack answers of some of the models or seeds; "
            "sample all of them on the same items"
        )
    return items[list(METRICS)].mean().reset_index()


def gains(after: pd.DataFrame, before: pd.DataFrame, metric: str) -> pd.DataFrame:
    """After minus before on the items that both have.

    Arguments:
        after, before: tables of `item_values`.
        metric: one of `METRICS`.

    Returns:
        Columns item_id, image_id, dataset, value.

    Raises:
        UserError: no item is in both.
    """
    both = after.merge(before, on=["item_id", "image_id", "dataset"], suffixes=("", "_before"))
    if both.empty:
        raise UserError("no item was answered both before and after; sample the same items")
    both["value"] = both[metric] - both[f"{metric}_before"]
    return both[["item_id", "image_id", "dataset", "value"]]


def by_dataset(table: pd.DataFrame, *, column: str = "value", seed: int = 0) -> pd.DataFrame:
    """Mean and interval of a column for each data set.

    Arguments:
        table: columns image_id, dataset and `column`.
        column: what is averaged.
        seed: of the bootstrap.

    Returns:
        Columns dataset, value, low, high, n.
    """
    rows = []
    for name, part in table.groupby("dataset", sort=False):
        draws = bootstrap_draws(part[[column]].to_numpy(), part.image_id, seed=seed)[:, 0]
        low, high = interval(draws)
        rows.append((name, float(part[column].mean()), low, high, len(part)))
    return pd.DataFrame(rows, columns=["dataset", "value", "low", "high", "n"])


def _draws(table: pd.DataFrame, column: str, seed: int) -> tuple[float, np.ndarray, int]:
    """Mean over data sets, its (D,) bootstrap draws, and the number of items."""
    if table.empty:
        return float("nan"), np.full(DRAWS, np.nan), 0
    means, drawn = [], []
    for index, (_, part) in enumerate(table.groupby("dataset", sort=True)):
        means.append(part[column].mean())
        values = part[[column]].to_numpy()
        drawn.append(bootstrap_draws(values, part.image_id, seed=seed + index)[:, 0])
    return float(np.mean(means)), np.mean(drawn, axis=0), len(table)


def mean_over_datasets(
    table: pd.DataFrame, *, column: str = "value", seed: int = 0
) -> Estimate:
    """Mean of the data sets' means.

    Arguments:
        table: columns image_id, dataset and `column`; without rows the estimate is nan.
        column: what is averaged.
        seed: of the bootstrap.
    """
    value, drawn, n = _draws(table, column, seed)
    return Estimate(value, *interval(drawn), n)


def contrast(
    a: pd.DataFrame, b: pd.DataFrame, *, column: str = "value", seed: int = 0
) -> Estimate:
    """Mean over the data sets of a, less that of b; the two hold different data sets.

    Arguments:
        a, b: as for `mean_over_datasets`; nan where one has no rows. They are drawn independently,
            so the same images must not be in both: pair them with `gains` instead.
    """
    value_a, drawn_a, n_a = _draws(a, column, seed)
    value_b, drawn_b, n_b = _draws(b, column, seed + 1000)
    return Estimate(value_a - value_b, *interval(drawn_a - drawn_b), n_a + n_b)


def slope(
    table: pd.DataFrame, x: Mapping[str, float], *, column: str = "value", seed: int = 0
) -> Estimate:
    """Slope of the data sets' mean gain on a number known for each data set.

    Arguments:
        table: columns image_id, dataset and `column`.
        x: the number for each data set, for example its support before training, taken as exact.
        seed: of the bootstrap.

    Returns:
        Least-squares slope over data sets, each counted once; nan with fewer than two data sets
        or where x does not vary.

    Raises:
        UserError: x lacks a data set of the table.
    """
    names = sorted(table.dataset.unique())
    if absent := [name for name in names if name not in x]:
        raise UserError(f"there is no number for the data sets {absent} to take the slope on")
    at = np.array([x[name] for name in names], dtype=float)
    if len(names) < 2 or np.ptp(at) == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), len(table))
    spread = at - at.mean()
    weights = spread / (spread**2).sum()
    means, drawn = [], []
    for index, name in enumerate(names):
        part = table[table.dataset == name]
        means.append(part[column].mean())
        values = part[[column]].to_numpy()
        drawn.append(bootstrap_draws(values, part.image_id, seed=seed + index)[:, 0])
    value = float(weights @ np.array(means))
    return Estimate(value, *interval(weights @ np.array(drawn)), len(table))


def support_gain(after: pd.DataFrame, before: pd.DataFrame, *, seed: int = 0) -> Estimate:
    """Gain of excess support, where support below the guess floor counts as none.

    Excess support has no lower bound, so a model that merely learns the names of the answers would
    gain much. Each data set's mean is cut off at zero, in the estimate and in every draw.

    Arguments:
        after, before: tables of `item_values` on the same items.
        seed: of the bootstrap.

    Returns:
        Mean over data sets of the difference; nan without rows.
    """
    column = "excess_support@k"
    keys = ["item_id", "image_id", "dataset"]
    both = after.merge(before, on=keys, suffixes=("", "_before"))
    means, drawn = [], []
    for index, (_, part) in enumerate(both.groupby("dataset", sort=True)):
        values = part[[column, f"{column}_before"]].to_numpy()
        draws = np.maximum(bootstrap_draws(values, part.image_id, seed=seed + index), 0.0)
        drawn.append(draws[:, 0] - draws[:, 1])
        cut = np.maximum(values.mean(axis=0), 0.0)
        means.append(cut[0] - cut[1])
    if not means:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    return Estimate(float(np.mean(means)), *interval(np.mean(drawn, axis=0)), len(both))
