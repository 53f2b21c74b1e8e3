"""The parts of a log that other formats keep apart: sampled and greedy answers, each step alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import pandas as pd

from medrl_core.score.logs.golds import LETTERS
from medrl_core.score.logs.grading import Graded
from medrl_core.score.logs.log import NO_STEP
from medrl_core.score.statistics import GREEDY


@dataclass(frozen=True)
class Part:
    """Answers of one model under one sampling, with their items.

    Arguments:
        name: of the files, from data set, step and sampling.
        task: name of the data set or of the log.
        model: name of the model, "unknown" where the log has none.
        items: one dict an item: item_id, question, options (list or None), gold (list), images,
            dataset, answer_format.
        rows: one dict a completion, in the order of items and samples: item_id, epoch (from 1),
            text, answer, correct, stored (None where there is none), finish_reason.
        epochs: most samples of an item.
        temperature: None where unknown.
        greedy: whether these are greedy answers.
    """

    name: str
    task: str
    model: str
    items: list[dict[str, Any]]
    rows: list[dict[str, Any]]
    epochs: int
    temperature: float | None
    greedy: bool

    def by_item(self) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """Give each item with its completions."""
        found: dict[str, list[dict[str, Any]]] = {}
        for row in self.rows:
            found.setdefault(row["item_id"], []).append(row)
        for item in self.items:
            yield item, found[item["item_id"]]


def parts(graded: Graded) -> list[Part]:
    """Take a graded log apart: one part a step and kind of sampling."""
    log, rows = graded.log, graded.rollouts
    task = log.dataset or re.sub(r"\W+", "_", log.source.rsplit("/", 1)[-1]).strip("_")
    told = sorted(log.completions.temperature.dropna().unique())
    found = []
    for step, of_step in rows.groupby("step", sort=True):
        for greedy in (False, True):
            chosen = of_step[(of_step.sample_index == GREEDY) == greedy]
            if chosen.empty:
                continue
            at = "" if step == NO_STEP else f"_step{step:06d}"
            name = re.sub(r"[^\w.-]+", "-", f"{task}{at}_{'greedy' if greedy else 'sampled'}")
            above = [one for one in told if one > 0]
            temperature = 0.0 if greedy else float(above[0]) if len(above) == 1 else None
            kept = _rows(chosen)
            found.append(
                Part(
                    name, task, log.model or "unknown", _items(log.items, kept), kept,
                    max(row["epoch"] for row in kept), temperature, greedy,
                )
            )  # fmt: skip
    return found


def _items(items: pd.DataFrame, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    answered = {row["item_id"] for row in rows}
    columns = ["item_id", "question", "options", "gold", "images", "dataset", "answer_format"]
    kept = cast(Any, items.loc[items.item_id.isin(answered), columns]).to_dict("records")
    return [
        item | {"options": list(item["options"]) if item["options"] else None,
                "gold": list(item["gold"]), "images": list(item["images"])}
        for item in kept
    ]  # fmt: skip


def _rows(rows: pd.DataFrame) -> list[dict[str, Any]]:
    order = {item: at for at, item in enumerate(dict.fromkeys(rows.item_id))}
    rows = rows.assign(place=rows.item_id.map(order)).sort_values(["place", "sample_index"])
    epochs = rows.groupby("item_id", sort=False).cumcount() + 1
    return [
        {
            "item_id": str(row.item_id),
            "epoch": int(epoch),
            "text": row.text if isinstance(row.text, str) else "",
            "answer": row.parsed if isinstance(row.parsed, str) else None,
            "correct": bool(row.correct),
            "stored": None if pd.isna(row.stored) else bool(row.stored),
            "finish_reason": row.finish_reason if isinstance(row.finish_reason, str) else None,
        }
        for row, epoch in zip(cast(Any, rows).itertuples(), epochs, strict=True)
    ]


def prompt_of(item: Mapping[str, Any]) -> str:
    """A question with its lettered options, as a prompt shows them."""
    options = [f"{LETTERS[at]}) {text}" for at, text in enumerate(item["options"] or [])]
    return "\n".join([item["question"], *([""] if options else []), *options])
