"""From a file or folder of any known tool to its logs.

    >>> [log] = read("2026-11-30_invented-mcq.eval")
    >>> log.format, len(log.items)
    ('inspect', 6)

The format is told by content: columns, fields of the first row, members of a zip. A folder may hold
several logs, each read by itself; files that are copies of one another are refused.
"""

from __future__ import annotations

import hashlib
import struct
from collections import defaultdict
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pandas as pd
import pyarrow as pa

from medrl_core.errors import UserError
from medrl_core.score.logs import (
    every_eval_ever,
    frames,
    inspect,
    lighteval,
    lm_eval,
    lmms_eval,
    medbridgerl,
    medvlthinker,
    openai_batch,
    openai_evals,
    own,
    plain_table,
    simple_evals,
    trl,
    verl,
    vlmevalkit,
)
from medrl_core.score.logs.golds import accepted_answers, unquoted
from medrl_core.score.logs.log import Log, Wanted, lacking
from medrl_core.score.logs.plain_table import ALIASES, split_options
from medrl_core.score.logs.sniff import Sniffed, sniff
from medrl_core.score.logs.values import text_id

# The first that matches reads the file: those that fix more fields come first.
READERS: tuple[ModuleType, ...] = (
    own, inspect, trl, lighteval, every_eval_ever, lm_eval, lmms_eval, medvlthinker, openai_batch,
    openai_evals, simple_evals, verl, vlmevalkit, medbridgerl, plain_table,
)  # fmt: skip
NAMES = {reader.NAME.lower().replace(" ", "-"): reader for reader in READERS}
# A field of another shape than any version that is known; each reader names those it needs.
_UNEXPECTED = (
    AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError,
    struct.error, pa.ArrowException,
)  # fmt: skip
MOST_FILES = 20_000
_ENDINGS = (
    ".eval", ".json", ".jsonl", ".ndjson", ".parquet", ".xlsx", ".tsv", ".csv", ".txt", ".log",
    ".gz", ".zst",
)  # fmt: skip


def read(
    place: str | Path, *, format: str | None = None, scorer: str | None = None,
    gold: pd.DataFrame | None = None,
) -> list[Log]:  # fmt: skip
    """Read the logs of a file or folder.

    Arguments: `place`; `format` a key of NAMES, None to tell it by content; `scorer` whose
    verdicts count; `gold` from `read_golds`, for logs without gold answers.
    Returns: the logs, at least one.
    Raises: UserError, one line, where nothing known is there, a file is damaged or lacks a field,
    or files are copies of one another.
    """
    place = Path(place)
    if not place.exists():
        raise UserError(f"there is no {place}; check the path")
    if format is not None and format.lower() not in NAMES:
        raise UserError(f"--format {format} is unknown; known are {', '.join(NAMES)}")
    reader = NAMES[format.lower()] if format else None
    wanted = Wanted(scorer, gold)
    if place.is_dir():
        reader, paths = _in_folder(place, reader)
    else:
        reader, paths = reader or _of_file(place), [place]
    try:
        logs = reader.read(paths, wanted)
    except _UNEXPECTED as error:
        what = f"{type(error).__name__}: {error}"[:160]
        raise UserError(
            f"{place} is not as logs of {reader.NAME} are known to be ({what}); it may be damaged "
            "or of another version: `--format table` reads columns item_id, text, correct, gold"
        ) from error
    if not logs:
        raise UserError(f"{place} has no answers of {reader.NAME} in it")
    _refuse_copies(logs)
    return [_with_golds(log, gold) for log in logs] if gold is not None else logs


def _of_file(path: Path) -> ModuleType:
    seen = sniff(path)
    if seen.kind == "empty":
        raise UserError(f"{path} is empty; the run may have ended before its first answer")
    readers = [reader for reader in READERS if reader.matches(seen)]
    if seen.kind == "xlsx" and readers:
        return _of_workbook(path)
    if not readers:
        has = ", ".join(sorted(map(str, seen.names))[:8]) or f"a file of kind {seen.kind}"
        raise UserError(
            f"{path} is no log of a known format (it has {has}); name its format by --format: "
            f"{', '.join(NAMES)}"
        )
    return readers[0]


def _of_workbook(path: Path) -> ModuleType:
    """A workbook's columns tell VLMEvalKit's from any other table."""
    columns = frozenset(frames.read(path).columns)
    return vlmevalkit if {"index", "prediction"} <= columns else plain_table


def _in_folder(
    folder: Path, reader: ModuleType | None
) -> tuple[ModuleType, list[Path]]:
    """The one format whose logs a folder holds, and their files."""
    if own.is_folder(folder) and reader in (None, own):
        return own, [folder]
    found: dict[ModuleType, list[Path]] = defaultdict(list)
    for path in _files(folder):
        try:
            seen = sniff(path)
        except UserError:
            if reader is not None:
                raise
            continue  # a damaged file that may be no log; named by itself it is refused
        if reader is not None:
            if reader.matches(seen):
                found[reader].append(path)
            continue
        first = next((one for one in READERS if one.matches(seen)), None)
        if first:
            found[first].append(path)
    if len(found) > 1:  # tables of averages lie beside many logs
        found.pop(plain_table, None)
    if not found:
        kind = reader.NAME if reader else "a known format"
        raise UserError(f"{folder} holds no log of {kind}; name a file of it")
    if len(found) > 1:
        of = "; ".join(f"{one.NAME}: {paths[0].name}" for one, paths in found.items())
        raise UserError(f"{folder} holds logs of several tools ({of}): name one file or folder")
    [(reader, paths)] = found.items()
    return reader, paths


def _files(folder: Path) -> list[Path]:
    found = []
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in _ENDINGS and path.is_file() and not hidden:
            found.append(path)
            if len(found) > MOST_FILES:
                raise UserError(f"{folder} holds over {MOST_FILES:,} files: name a folder in it")
    return found


def _refuse_copies(logs: list[Log]) -> None:
    """Refuse logs whose every completion is the same: they are one run, twice.

    Two tasks on one data set may choose the same options throughout; sampled texts do not repeat.
    """
    seen: dict[str, Log] = {}
    for log in logs if len(logs) > 1 else []:
        rows = log.completions[["item_id", "step", "sample_index", "text", "answer", "stored"]]
        told = pd.util.hash_pandas_object(rows.astype(str), index=False).to_numpy().tobytes()
        told += pd.util.hash_pandas_object(log.items.question, index=False).to_numpy().tobytes()
        key = hashlib.sha256(told + log.model.encode("utf-8", "replace")).hexdigest()
        sampled = log.completions.text.notna().all() and not log.completions.greedy.all()
        same = key in seen and (sampled or seen[key].dataset == log.dataset)
        if same and seen[key].source != log.source:
            raise UserError(
                f"{log.source} is a copy of {seen[key].source} (every answer is the same): "
                "name one of them"
            )
        seen[key] = log


def read_golds(path: str | Path) -> pd.DataFrame:
    """Read a table of gold answers: an id, an answer, and options where the items have them.

    Returns: columns item_id, gold, options (a list, empty where there are none).
    Raises: UserError where a column is missing or an id is there twice.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no file {path} of gold answers; check the path")
    frame = frames.read(path)
    letters = [name for name in "ABCDEFGHIJ" if name in frame.columns]
    frame.columns = [name if name in letters else name.lower() for name in frame.columns]
    names = {}
    for wanted in ("item_id", "gold"):
        of = [*ALIASES[wanted], "custom_id"]
        names[wanted] = next((name for name in of if name in frame.columns), None)
        if names[wanted] is None:
            raise UserError(f"{path} lacks a column {wanted} (also called {', '.join(of[1:6])})")
    ids = frame[names["item_id"]].map(text_id)
    if ids.isna().any() or ids.duplicated().any():
        twice = ids[ids.isna() | ids.duplicated()].iloc[0]
        raise UserError(f"{path}: the id {twice} is missing or there twice")
    options = frame[next((n for n in ("options", "choices") if n in frame), names["gold"])]
    listed = [
        [row[letter] for letter in letters if row[letter]] if len(letters) > 1
        else split_options(cell)
        for row, cell in zip(frame.to_dict("records"), options, strict=True)
    ]  # fmt: skip
    golds = [unquoted(one) for one in frame[names["gold"]]]
    return pd.DataFrame({"item_id": ids, "gold": golds, "options": listed})


def _with_golds(log: Log, golds: pd.DataFrame) -> Log:
    """Give the items of a log the gold answers (and options, where it has none) of a table."""
    table = {row.item_id: row for row in cast(Any, golds).itertuples()}
    known = log.items.item_id.isin(table)
    if not known.any():
        raise UserError(
            f"no item of {log.source} is in the table of gold answers; its ids are like "
            f"{log.items.item_id.iloc[0]}, the table's like {golds.item_id.iloc[0]}"
        )
    items = log.items.to_dict("records")
    for one in items:
        if one["item_id"] not in table:
            continue
        row = table[one["item_id"]]
        one["options"] = one["options"] or tuple(row.options) or None
        usable, one["gold"] = accepted_answers(row.gold, one["options"])
        if not usable:
            raise UserError(f"the gold answer of {one['item_id']} is none of its options")
        if one["options"]:
            one |= {"n_options": len(one["options"]), "answer_format": "mcq"}
    log.items = pd.DataFrame(items, columns=log.items.columns)
    log.lacks = lacking(log.completions, log.items, log.model)
    if missing := int((~known).sum()):
        log.notes.append(f"{missing} items are not in the table of gold answers")
    return log


__all__ = ["NAMES", "READERS", "Sniffed", "read", "read_golds"]
