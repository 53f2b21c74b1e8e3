"""Scores from rollouts alone: every statistic of a model.

`medrl score DIR` prints them.

Choices that the numbers rest on: every mean is over items, every interval weighs images. The guess
floor counts an item's options, or for an open item its label set; an open item without either
(n_options 0) cannot be guessed and has floor 0, and where the number of options is not known
(below 0) there is no uniform floor. Beside it is the floor of an answerer who knows how frequent
each label is (`floors`). Excess support of several items is that of their mean Pass@K and mean
floor: a mean of ratios would be ruled by the items with least room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medrl_core.errors import UserError
from medrl_core.score.floors import label_floors
from medrl_core.score.intervals import (
    SHARE,
    bootstrap_draws,
    interval,
)
from medrl_core.score.parsing import TAG_RULES
from medrl_core.score.passk import (
    LEVEL_TOLERANCE,
    exact_pass_at_k,
    excess_support,
    guess_floor,
    pass_at_k,
)

TAUS = (0.25, 0.5, 0.75, 1.0)
# Every K up to this many samples is scored where all are asked for.
ALL_KS_TO = 64
GREEDY = -1  # sample_index of the greedy completion
SCORE_COLUMNS = [
    "scope", "name", "metric", "k", "value", "low", "high", "n_items", "n_images",
]  # fmt: skip
_ITEM = ["image_id", "dataset", "modality", "answer_format", "n_options", "gold"]
_NEEDED = [
    "item_id", *_ITEM, "model_hash", "decoding", "sample_index", "parsed", "parse_rule", "correct",
    "finish_reason",
]  # fmt: skip

_FLOORS = ("guess_floor@k", "label_floor@k", "acc_guess_floor", "acc_label_floor")
# One answer moves by itself where it is held against several.
_OF_GREEDY = ("acc@1", "pass@1", "greedy_format_failure", "greedy_truncated")

Column = tuple[str, int]  # metric and K; K is 0 where it does not apply
Values = dict[Column, NDArray[np.float64]]
Derived = dict[Column, tuple[Callable[..., Any], Column, Column]]
Row = dict[str, Any]  # of SCORE_COLUMNS


def _check(frame: pd.DataFrame) -> None:
    missing = [name for name in _NEEDED if name not in frame.columns]
    if missing:
        raise UserError(f"the rollouts lack the columns {missing}; read them with rollouts.read")
    if frame.empty:
        raise UserError("there are no rollouts to score; sample first")
    sampled = frame.loc[frame.sample_index != GREEDY, "decoding"]
    for what, values in (("models", frame.model_hash), ("samplings", sampled)):
        names = sorted(values.unique())
        if len(names) > 1:
            raise UserError(
                f"the rollouts mix {len(names)} {what} ({', '.join(names)}); score each by itself"
            )


def _answers(item: NDArray[Any], rows: pd.DataFrame, n_items: int) -> dict[str, NDArray[Any]]:
    """Count answers an item: how many distinct, their entropy in bits, and the majority's truth."""
    found = rows.parsed.notna().to_numpy()
    item, correct = item[found], rows.correct.to_numpy(dtype=bool)[found]
    answer, names = pd.factorize(rows.parsed[found])
    pairs, first, count = np.unique(
        item * max(len(names), 1) + answer, return_index=True, return_counts=True
    )
    owner = pairs // max(len(names), 1)
    total = np.bincount(owner, weights=count, minlength=n_items)
    share = count / total[owner]
    top = np.zeros(n_items)
    np.maximum.at(top, owner, count)
    tied = count == top[owner]
    right = np.bincount(owner, weights=tied & correct[first], minlength=n_items)
    return {
        "distinct_answers": np.bincount(owner, minlength=n_items).astype(float),
        "answer_entropy": np.bincount(owner, -share * np.log2(share), minlength=n_items),
        # A tie is broken at random: credit is shared. No answer at all is wrong.
        "majority_vote": right / np.maximum(np.bincount(owner, tied, minlength=n_items), 1),
    }


def per_item(frame: pd.DataFrame) -> pd.DataFrame:
    """Sum rollouts up to one row an item.

    Arguments: `frame` rollouts of one model and one sampling, as `rollouts.read` gives them.
    Returns: a DataFrame indexed by item_id (sorted) with image_id, dataset, modality,
    answer_format, n_options, gold, label; `n` samples and `c` right ones; `greedy` 1.0 right, 0.0
    wrong, nan without a greedy completion; and the item's distinct_answers, answer_entropy (bits,
    of the answers found; biased low for few samples), majority_vote, and shares no_answer,
    format_failure, truncated of its samples and greedy_format_failure, greedy_truncated.
    Raises: UserError when columns lack, rows lack, or models, samplings or prompts are mixed.
    """
    _check(frame)
    codes, ids = pd.factorize(frame.item_id, sort=True)
    size = len(ids)
    _, first = np.unique(codes, return_index=True)
    items = frame[_ITEM].iloc[first].set_index(pd.Index(ids, name="item_id"))
    greedy: NDArray[np.bool_] = frame.sample_index.to_numpy() == GREEDY
    if np.bincount(codes[greedy], minlength=size).max() > 1:
        raise UserError(
            "an item has several greedy rollouts; score the rollouts of one prompt by itself"
        )
    flags = {
        "no_answer": frame.parsed.isna().to_numpy(),
        "format_failure": ~frame.parse_rule.isin(TAG_RULES).to_numpy(),
        "truncated": (frame.finish_reason == "length").to_numpy(dtype=bool),
    }
    correct = frame.correct.to_numpy(dtype=float)
    item = codes[~greedy]
    n = np.bincount(item, minlength=size)
    items["n"] = n
    items["c"] = np.bincount(item, correct[~greedy], minlength=size).astype(np.int64)
    items["greedy"] = np.nan
    cast(Any, items).iloc[codes[greedy], items.columns.get_loc("greedy")] = correct[greedy]
    # What the label floor counts; rollouts of logs name it where it is more than the gold answer.
    items["label"] = (frame.label if "label" in frame else frame.gold).iloc[first].to_numpy()
    for name, values in _answers(item, frame[~greedy], size).items():
        items[name] = np.where(n > 0, values, np.nan)
    for name, values in flags.items():
        count = np.bincount(item, values[~greedy], minlength=size)
        items[name] = np.divide(count, n, out=np.full(size, np.nan), where=n > 0)
        if name != "no_answer":
            items[f"greedy_{name}"] = np.nan
            column = items.columns.get_loc(f"greedy_{name}")
            cast(Any, items).iloc[codes[greedy], column] = values[greedy].astype(float)
    return items


def default_ks(items: pd.DataFrame) -> list[int]:
    """Give the powers of two up to the fewest samples that a sampled item has."""
    fewest = items.n[items.n > 0].min()
    return [] if np.isnan(fewest) else [2**i for i in range(int(fewest).bit_length())]


def all_ks(items: pd.DataFrame) -> list[int]:
    """Give each K up to the fewest samples that a sampled item has.

    Above ALL_KS_TO samples it is the powers of two from there on, and that number itself.
    """
    fewest = items.n[items.n > 0].min()
    if np.isnan(fewest):
        return []
    each = range(1, min(int(fewest), ALL_KS_TO) + 1)
    return sorted({*each, *default_ks(items), int(fewest)})


def scopes(items: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """Give (scope, name, items) for all items, each data set and each modality."""
    found = [("overall", "all", items)]
    for scope in ("dataset", "modality"):
        found += [(scope, str(name), part) for name, part in items.groupby(scope, sort=True)]
    return found


def _ratio(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(a, b, out=np.full(np.shape(b), np.nan), where=b != 0)


def _ends(column: Column, values: NDArray[np.float64], n: int) -> tuple[float, float]:
    """The range of a metric, for the prior of its interval: shares and chances but for two."""
    if column[0] == "distinct_answers":
        return 0.0, float(n)
    if column[0] == "answer_entropy":
        return 0.0, float(np.log2(max(n, 2)))
    return SHARE


# What might have been seen of samples and greedy answers: both at each end of their range.
_CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))


def _prior(
    values: Values, n: int, corners: Sequence[tuple[int, int]]
) -> NDArray[np.float64]:
    """Rows that might have been seen, for `bootstrap_draws`.

    What an item's floor is, is known whatever is answered: there the rows have its mean.
    """
    prior = np.empty((len(corners), len(values)))
    for at, (column, of) in enumerate(values.items()):
        ends = _ends(column, of, n)
        for row, (sampled, greedy) in enumerate(corners):
            if column[0] in _FLOORS:
                prior[row, at] = of.mean()
            else:
                prior[row, at] = ends[greedy if column[0] in _OF_GREEDY else sampled]
    return prior


def estimates(
    items: pd.DataFrame, values: Values, derived: Derived, shown: Sequence[Column], seed: int,
    corners: Sequence[tuple[int, int]] = _CORNERS,
) -> list[Row]:  # fmt: skip
    """Average columns over items, derive others from the means, and bootstrap all together.

    Arguments: `items` with image_id; `values` numbers an item by column; `derived` a column to the
    function and the two columns it is made of; `shown` the columns wanted; `seed`; `corners` what
    may be seen of (samples, one answer), 1 for all right.
    Returns: a dict a column of SCORE_COLUMNS, without scope and name.
    """
    if items.empty or not values:
        return []
    columns = np.stack(list(values.values()), axis=1)
    most = int(items.n.max()) if "n" in items else 1
    draws = bootstrap_draws(columns, items.image_id, prior=_prior(values, most, corners), seed=seed)
    means = dict(zip(values, columns.mean(axis=0), strict=True))
    drawn = dict(zip(values, draws.T, strict=True))
    for column, (function, a, b) in derived.items():
        means[column] = function(means[a], means[b])
        drawn[column] = function(drawn[a], drawn[b])
    sizes = {"n_items": len(items), "n_images": items.image_id.nunique()}
    rows: list[Row] = []
    for metric, k in shown:
        value = float(means[metric, k])
        low, high = interval(drawn[metric, k], value=value)
        rows.append({"metric": metric, "k": k, "value": value, "low": low, "high": high, **sizes})
    return rows


def uniform_floor(items: pd.DataFrame, k: int) -> NDArray[np.float64]:
    """Give the uniform guess floor of each item; nan where the number of options is not known."""
    m = items.n_options.to_numpy()
    floor = np.where(m > 0, guess_floor(np.maximum(m, 1), k), 0.0)
    return np.where(m < 0, np.nan, floor)


def _label_floors(items: pd.DataFrame, ks: Sequence[int]) -> NDArray[np.float64] | None:
    """Floor of the answerer who knows label frequencies, (items, K); None without labels."""
    if (items.label == "").any():
        return None
    found = np.empty((len(items), len(ks)))
    groups = items.groupby(["dataset", "answer_format", "n_options"], sort=False).indices
    for at in groups.values():
        found[at] = label_floors(items.label.to_numpy()[at], ks)
    return found


def _floors(
    items: pd.DataFrame, ks: Sequence[int]
) -> list[dict[str, NDArray[np.float64]]]:
    """The floors of each K that are known for every item: guess (uniform) and label."""
    labels = _label_floors(items, ks)
    found: list[dict[str, NDArray[np.float64]]] = []
    for at, k in enumerate(ks):
        floors = {"guess": uniform_floor(items, k)}
        if labels is not None:
            floors["label"] = labels[:, at]
        found.append({name: of for name, of in floors.items() if not np.isnan(of).any()})
    return found


def _sampled(items: pd.DataFrame, ks: Sequence[int], seed: int) -> list[Row]:
    items = items[items.n > 0]
    n, c = items.n.to_numpy(), items.c.to_numpy()
    floors = _floors(items, ks) if len(items) else []
    values: Values = {}
    derived: Derived = {}
    for at, k in enumerate(ks):
        values["pass@k", k] = pass_at_k(n, c, k)
        for name, floor in (floors[at] if floors else {}).items():
            values[f"{name}_floor@k", k] = floor
            excess = "excess_support@k" if name == "guess" else "label_excess@k"
            derived[excess, k] = (excess_support, ("pass@k", k), (f"{name}_floor@k", k))
    for tau in TAUS:
        values[f"cover@{tau:g}", 0] = (c >= tau * n - LEVEL_TOLERANCE * n).astype(float)
    for name in ("majority_vote", "distinct_answers", "answer_entropy", "no_answer",
                 "format_failure", "truncated"):
        values[name, 0] = items[name].to_numpy()
    return estimates(items, values, derived, [*values, *derived], seed)


def _greedy(items: pd.DataFrame, seed: int) -> list[Row]:
    sampled = bool((items.n > 0).any())
    items = items[items.greedy.notna()]
    values: Values = {
        ("acc@1", 1): items.greedy.to_numpy(),
        ("greedy_format_failure", 0): items.greedy_format_failure.to_numpy(),
        ("greedy_truncated", 0): items.greedy_truncated.to_numpy(),
    }
    if not sampled and len(items):  # what one guess reaches, where no K of samples says it
        values |= {(f"acc_{name}_floor", 1): of for name, of in _floors(items, [1])[0].items()}
    return estimates(items, values, {}, list(values), seed)


def _greedy_against_sampled(items: pd.DataFrame, ks: Sequence[int], seed: int) -> list[Row]:
    items = items[items.greedy.notna() & (items.n > 0)]
    n, c = items.n.to_numpy(), items.c.to_numpy()
    values: Values = {("acc@1", 1): items.greedy.to_numpy()}
    derived: Derived = {}
    for k in ks:
        values["pass@k", k] = pass_at_k(n, c, k)
        derived["gap@k", k] = (np.subtract, ("pass@k", k), ("acc@1", 1))
        derived["efficiency@k", k] = (_ratio, ("acc@1", 1), ("pass@k", k))
    return estimates(items, values, derived, list(derived), seed)


def _sampled_against_one(items: pd.DataFrame, ks: Sequence[int], seed: int) -> list[Row]:
    """The gap to one sampled answer, for items that have no greedy one."""
    if items.greedy.notna().any() or not (items.n > 0).any():
        return []
    items = items[items.n > 0]
    n, c = items.n.to_numpy(), items.c.to_numpy()
    values: Values = {("pass@1", 1): c / n}
    derived: Derived = {}
    for k in ks:
        if k > 1:
            values["pass@k", k] = pass_at_k(n, c, k)
            derived["gap_to_pass@1", k] = (np.subtract, ("pass@k", k), ("pass@1", 1))
    # Several answers of the same samples are never right less often than one.
    never_less = ((0, 0), (1, 0), (1, 1))
    return estimates(items, values, derived, list(derived), seed, never_less)


def _recalls(items: pd.DataFrame, seed: int) -> list[Row]:
    """Recall of the greedy answer a gold answer, for items whose answers are a known set."""
    rows: list[Row] = []
    for gold, part in items[items.greedy.notna() & (items.n_options > 0)].groupby("gold"):
        column = (f"recall:{gold}", 0)
        rows += estimates(part, {column: part.greedy.to_numpy()}, {}, [column], seed)
    return rows


def score_items(items: pd.DataFrame, ks: Sequence[int], seed: int = 0) -> list[Row]:
    """Score one set of items, rows of `per_item`: all metrics of `score` but the recalls."""
    found = _greedy(items, seed) + _sampled(items, ks, seed)
    found += _greedy_against_sampled(items, ks, seed)
    return found + _sampled_against_one(items, ks, seed)


def score(frame: pd.DataFrame, ks: Sequence[int] | None = None, seed: int = 0) -> pd.DataFrame:
    """Score the rollouts of one model: overall, a data set, and a modality.

    Arguments: `frame` as for `per_item`; `ks` the K (default: powers of two up to the fewest
    samples an item has); `seed` of the bootstrap.
    Returns: long-format rows SCORE_COLUMNS. Metrics with K: pass@k, guess_floor@k,
    excess_support@k, label_floor@k, label_excess@k, gap@k (Pass@K - Acc@1), gap_to_pass@1 (Pass@K -
    Pass@1, where no item has a greedy answer), efficiency@k (Acc@1 / Pass@K). Without (k is 0):
    cover@<tau>, majority_vote, distinct_answers, answer_entropy (bits), no_answer, format_failure
    (no answer tag with one answer in it), truncated, greedy_format_failure, greedy_truncated, and
    in scope dataset recall:<gold>. acc@1 (k is 1) comes from greedy completions; where there are no
    others, acc_guess_floor and acc_label_floor are its floors.
    Raises: UserError as `per_item`, or when a K exceeds an item's samples.
    """
    items = per_item(frame)
    ks = default_ks(items) if ks is None else list(ks)
    rows: list[Row] = []
    whole = score_items(items, ks, seed)
    for scope, name, part in scopes(items):
        # A log of one data set is that data set: the same draws are not made twice.
        found = list(whole) if len(part) == len(items) else score_items(part, ks, seed)
        if scope == "dataset":
            found += _recalls(part, seed)
        rows += [{"scope": scope, "name": name} | row for row in found]
    return pd.DataFrame(rows, columns=SCORE_COLUMNS)


def score_exact(table: pd.DataFrame, ks: Sequence[int], seed: int = 0) -> pd.DataFrame:
    """Score exact probabilities of options: overall, a data set, and a modality.

    Arguments: `table` from `exact.option_probabilities`, of one model and temperature; `ks`;
    `seed` of the bootstrap. The only error left is that of the items drawn.
    Returns: rows SCORE_COLUMNS. With given starts: given_pass@k and, as k 0, given_mass, the
    probability of all options together. Else low_pass@k and high_pass@k, between which the true
    Pass@K of free samples lies, and exact_mass, that of all starts and options.
    """
    rows: list[Row] = []
    for given, part in table.groupby("given"):
        mass = part.groupby("item_id").probability.sum().clip(upper=1)
        items = part[part.option == part.gold].set_index("item_id").sort_index()
        low = items.probability.clip(upper=1).to_numpy()
        high = np.minimum(low + 1 - mass.to_numpy(), 1)
        for scope, name, of in scopes(items.assign(low=low, high=high, mass=mass)):
            values: Values = {("given_mass" if given else "exact_mass", 0): of["mass"].to_numpy()}
            for k in ks:
                low_k, high_k = (exact_pass_at_k(of[end], k) for end in ("low", "high"))
                values |= (
                    {("given_pass@k", k): low_k}
                    if given
                    else {("low_pass@k", k): low_k, ("high_pass@k", k): high_k}
                )
            rows += [
                {"scope": scope, "name": name} | row
                for row in estimates(of, values, {}, list(values), seed)
            ]
    return pd.DataFrame(rows, columns=SCORE_COLUMNS)
