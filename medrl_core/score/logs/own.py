"""Rollouts of medrl itself: a run folder, a folder of parts, or one Parquet file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pandas as pd

from medrl_core.errors import UserError
from medrl_core.sample import rollouts
from medrl_core.score.logs.log import Answers, Log, Wanted
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
            kind = (min(rows.model), str(weights), str(answer_format), decoding)
            yield (
                dict(zip(KINDS, kind, strict=True)),
                rows[greedy | (rows.decoding == decoding)],
            )


def read(paths: list[Path], wanted: Wanted) -> list[Log]:
    """Read each kind of a folder or file as a log; answers and verdicts are as they were stored."""
    return [_log(path, kind, rows) for path in paths for kind, rows in kinds(path)]


def _log(path: Path, kind: dict[str, str], rows: pd.DataFrame) -> Log:
    found = Answers()
    for row in cast(Any, rows.drop_duplicates("item_id")).itertuples():
        found.item(
            row.item_id, "", gold=row.gold, image_id=row.image_id, dataset=row.dataset,
            modality=row.modality, n_options=row.n_options,
        )  # fmt: skip
    columns = (
        "item_id", "sample_index", "text", "parsed", "correct", "n_tokens", "finish_reason",
    )  # fmt: skip
    for item_id, index, text, parsed, correct, tokens, stop in rows[list(columns)].itertuples(
        index=False
    ):
        found.completion(
            item_id, text, answer=None if pd.isna(parsed) else parsed, stored=bool(correct),
            greedy=index == GREEDY, sample_index=max(index, 0), n_tokens=tokens, finish_reason=stop,
        )  # fmt: skip
    log = found.log(NAME, path, model=kind["model"], scorer="correct",
                    notes=[f"{kind['answer_format']} items, {kind['decoding']}"])  # fmt: skip
    # What the rows say of their items is better than what the golds let guess.
    log.items["answer_format"] = kind["answer_format"]
    return log
