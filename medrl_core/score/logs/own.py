"""Rollouts of medrl itself: a run folder, a folder of parts, or one Parquet file."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from medrl_core.data.pictures import data_url
from medrl_core.errors import UserError
from medrl_core.sample import items_table, rollouts
from medrl_core.score.logs.log import (
    CANNOT_BE_GUESSED,
    COMPLETION_COLUMNS,
    ITEM_COLUMNS,
    NO_STEP,
    Log,
    Wanted,
    lacking,
)
from medrl_core.score.logs.sniff import Sniffed
from medrl_core.score.statistics import GREEDY

NAME = "medrl"
KINDS = ["model", "model_hash", "answer_format", "decoding"]


def matches(file: Sniffed) -> bool:
    """Say whether a file holds rollouts."""
    return file.kind == "parquet" and file.has("item_id", "model_hash", "prompt_hash", "decoding")


def is_folder(folder: Path) -> bool:
    """Say whether a folder holds rollouts of `medrl evaluate` or of a run."""
    return (folder / "rollouts.parquet").is_file() or any(folder.glob("rollouts/*.parquet"))


def kinds(place: Path) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """Give the rows of each model, answer format and sampling; greedy rows go with each sampling.

    Arguments: `place` a folder or file of rollouts.
    Returns: KINDS by name, and the rows as `rollouts.read` gives them.
    Raises: UserError as `rollouts.read`, or when there are no rows.
    """
    frame = rollouts.read(place)
    if frame.empty:
        raise UserError(f"{place} holds no rollout: run `medrl evaluate --out {place}`")
    # Rows of equal weights belong together, under whichever name they were sampled.
    for (weights, answer_format), rows in frame.groupby(["model_hash", "answer_format"]):
        greedy = rows.sample_index == GREEDY
        for decoding in sorted(rows.decoding[~greedy].unique()) or ["greedy"]:
            kind = (str(min(rows.model)), str(weights), str(answer_format), str(decoding))
            yield (
                dict(zip(KINDS, kind, strict=True)),
                rows[greedy | (rows.decoding == decoding)],
            )


def read(paths: list[Path], wanted: Wanted) -> list[Log]:
    """Read each kind of a folder or file as a log; answers and verdicts are as they were stored."""
    return [_log(path, kind, rows) for path in paths for kind, rows in kinds(path)]


def _asked(place: Path) -> pd.DataFrame:
    """Question, options and pictures by item, from the table beside the rollouts if it is there."""
    table = items_table.read(place if place.is_dir() else place.parent)
    if table is None:
        return pd.DataFrame(columns=["question", "options", "images"], dtype=object)
    return pd.DataFrame(
        {
            "question": table.question,
            "options": [tuple(options) or None for options in table.options],
            "images": [
                (data_url(one),) if isinstance(one, bytes) else () for one in table.picture
            ],
        }
    ).set_index(table.item_id)


def _log(path: Path, kind: dict[str, str], rows: pd.DataFrame) -> Log:
    """Column by column: a folder may hold a million rollouts."""
    answer_format, model = kind["answer_format"], kind["model"]
    first = rows.drop_duplicates("item_id")
    asked = _asked(path)
    items = pd.DataFrame(
        {
            "item_id": first.item_id,
            "dataset": first.dataset,
            "modality": first.modality,
            "question": [asked.question.get(item, "") for item in first.item_id],
            "options": [asked.options.get(item) for item in first.item_id],
            # -1: an open item without a label set cannot be guessed, which is known.
            "n_options": first.n_options.replace(0, CANNOT_BE_GUESSED),
            "gold": [(gold,) for gold in first.gold],
            "gold_rule": "any",
            "answer_format": answer_format,
            "images": [asked.images.get(item, ()) for item in first.item_id],
            "image_id": first.image_id,
            "asked": 0,
        }
    ).reset_index(drop=True)[ITEM_COLUMNS]
    greedy = rows.sample_index == GREEDY
    told = re.match(r"temperature=([\d.]+)", kind["decoding"])
    completions = pd.DataFrame(
        {
            "item_id": rows.item_id.astype(object),
            "sample_index": rows.sample_index.where(~greedy, 0),
            "step": NO_STEP,
            "text": rows.text.astype(object),
            "answer": rows.parsed.astype(object).where(rows.parsed.notna(), None),
            "stored": rows.correct.astype("boolean"),
            "greedy": greedy.astype("boolean"),
            "temperature": np.where(greedy, 0.0, float(told[1]) if told else math.nan),
            "n_tokens": rows.n_tokens.astype(float),
            "finish_reason": rows.finish_reason.astype(object),
            "error": None,
            "order": None,
        }
    ).reset_index(drop=True)[COMPLETION_COLUMNS]
    lacks = lacking(completions, items, model)
    lacks.pop("temperature", None)  # the name of the decoding says it
    return Log(
        NAME, str(path), "", model, completions, items, lacks,
        [f"{answer_format} items, {kind['decoding']}"], "correct", sampling=kind["decoding"],
    )  # fmt: skip
