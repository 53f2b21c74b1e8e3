"""Two logs on the same items: greedy answers beside samples, or one model beside another."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, cast

import pandas as pd

from medrl_core.errors import UserError
from medrl_core.score.logs.grading import Graded
from medrl_core.score.parsing import normalise
from medrl_core.score.statistics import GREEDY


def same_ids(graded: Graded, other: Graded) -> pd.DataFrame:
    """Give the rollouts of `other` with the item ids and gold answers of `graded`.

    Items are told by their ids; where the two logs share none, by question and options, as long as
    these name one item on each side. Items of one side only stay as they are.
    Raises: UserError where no item is common, or a common item differs in its gold answer.
    """
    ours, theirs = set(graded.log.items.item_id), set(other.log.items.item_id)
    rows = other.rollouts
    if not ours & theirs:
        names = _by_content(graded.log.items, other.log.items)
        if not names:
            raise UserError(
                f"{graded.log.source} and {other.log.source} share no item, neither by id (like "
                f"{_first(ours)} and {_first(theirs)}) nor by question and options"
            )
        rows = rows.assign(item_id=rows.item_id.map(names).fillna(rows.item_id))
    known = graded.rollouts.drop_duplicates("item_id").set_index("item_id")
    gold: pd.Series = rows.item_id.map(known.gold)
    differ = gold.notna() & gold.ne("") & rows.gold.ne("") & gold.ne(rows.gold)
    if differ.any():
        row: Any = rows[differ].iloc[0]
        raise UserError(
            f"item {row.item_id} has two gold answers, {gold[row.name]} and {row.gold}: "
            "the logs are of different items, or their options are in another order"
        )
    # What an item is, the first log says: the other may lack options, pictures or golds.
    about = ["image_id", "dataset", "modality", "answer_format", "n_options", "gold", "label"]
    return rows.assign(
        **{name: rows.item_id.map(known[name]).fillna(rows[name]) for name in about}
    )


def _first(ids: set[str]) -> str:
    return min(ids) if ids else "none"


def _by_content(items: pd.DataFrame, others: pd.DataFrame) -> dict[str, str]:
    """Other item ids to ours, for items that one question with its options names on both sides."""
    ours, theirs = _keys(items), _keys(others)
    return {theirs[key]: ours[key] for key in theirs.keys() & ours.keys()}


def _keys(items: pd.DataFrame) -> dict[Hashable, str]:
    keys = [
        (normalise(row.question), tuple(sorted(map(normalise, row.options or ()))))
        for row in cast(Any, items).itertuples()
    ]
    counts: Any = pd.Series(keys, dtype=object).value_counts()
    return {
        key: item_id for key, item_id in zip(keys, items.item_id, strict=True)
        if key[0] and bool(counts[key] == 1)
    }  # fmt: skip


def with_greedy(graded: Graded, other: Graded) -> tuple[pd.DataFrame, list[str]]:
    """Put the greedy answers of another log beside the samples of this one.

    Returns: the rollouts of both, and what to say about it.
    Raises: UserError where this log has greedy answers already, the other is sampled, or as
    `same_ids`.
    """
    if (graded.rollouts.sample_index == GREEDY).any():
        raise UserError(f"{graded.log.source} has greedy answers of its own: leave --greedy out")
    rows = same_ids(graded, other)
    greedy = rows[rows.sample_index == GREEDY]
    notes = []
    if greedy.empty:
        told = other.log.completions.temperature.dropna()
        several = rows.groupby(["item_id", "step"]).size().max() > 1
        if several or len(told):
            why = f"at temperature {told.max():g}" if len(told) else "several times an item"
            raise UserError(f"{other.log.source} is sampled {why}: it has no greedy answers")
        greedy = rows.assign(sample_index=GREEDY, decoding="greedy")
        notes.append(f"{other.log.source} does not say that its answers are greedy")
    mine = set(graded.rollouts.item_id)
    used = greedy[greedy.item_id.isin(mine)]
    if used.empty:
        raise UserError(f"{other.log.source} has no greedy answer to items of {graded.log.source}")
    if absent := len(mine) - used.item_id.nunique():
        notes.append(f"{absent} of {len(mine)} items have no greedy answer in {other.log.source}")
    ours, theirs = graded.log.model, other.log.model
    if ours and theirs and ours != theirs:
        notes.append(f"the greedy answers are of {theirs}, the samples of {ours}")
    used = used.assign(step=graded.rollouts.step.iloc[0], model_hash=graded.log.model)
    return pd.concat([graded.rollouts, used], ignore_index=True), notes
