"""Rollout and validation dumps of verl: `<step>.jsonl`, a row a sample.

There is no id: rows with one `input` and one gold answer are one item. `score` is the summed reward
and no verdict unless it is 0 or 1 in every row; `acc` is one. Files of one folder are steps of a
series, each of another policy.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from medrl_core.errors import UserError
from medrl_core.score.logs import files
from medrl_core.score.logs.files import need
from medrl_core.score.logs.golds import missing
from medrl_core.score.logs.log import Answers, Log, Wanted
from medrl_core.score.logs.prompts import answered, asked, question_and_options
from medrl_core.score.logs.sniff import Sniffed, stem
from medrl_core.score.logs.values import number, verdict

NAME = "verl"
_VERDICTS = ("acc", "accuracy", "correct", "is_correct")


def matches(file: Sniffed) -> bool:
    """Say whether a file is such a dump."""
    return file.kind in ("rows", "object") and file.has("input", "output", "score")


def read(paths: list[Path], wanted: Wanted) -> list[Log]:
    """Read the dumps of each folder as a series of steps."""
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        folders[path.parent].append(path)
    return [_log(folder, dumps, wanted) for folder, dumps in sorted(folders.items())]


def _step(path: Path, row: dict, where: str) -> int:
    told = number(row.get("step"))
    if told is None:
        told = number(stem(path))
    if told is None:
        raise UserError(f"{where} lacks the field 'step', and the file is not named by its step")
    return int(told)


def _log(folder: Path, dumps: list[Path], wanted: Wanted) -> Log:
    found, notes, sources, scorers, old = Answers(), [], {}, {}, False
    for path in dumps:
        rows = [(f"{path}: row {at}", row) for at, row in files.json_rows(path)]
        scorer, binary = _scorer([row for _, row in rows], wanted.scorer, path)
        scorers[scorer] = None
        if scorer == "score" and not binary:
            notes.append(f"'score' of {path.name} is a reward with other values than 0 and 1")
        for where, row in rows:
            step = _step(path, row, where)
            if sources.setdefault(step, path) != path:
                raise UserError(
                    f"{sources[step]} and {path} both hold step {step}; they are two runs or "
                    "copies: name one of them"
                )
            old |= "gts" not in row
            prompt, images = asked(need(row, "input", where))
            gold = _gold(row)
            item_id = item_key(prompt, gold)
            if item_id not in found:
                question, options = question_and_options(prompt)
                found.item(item_id, question, options=options, gold=gold, images=images)
            found.completion(
                item_id, answered(need(row, "output", where)), step=step,
                stored=verdict(row.get(scorer)) if binary else None,
            )  # fmt: skip
    if old:
        notes.append("rows lack 'gts', as older versions write them: no gold answers")
    notes.append("rows have no id: items are told apart by prompt and gold answer")
    return found.log(
        NAME, dumps[0] if len(dumps) == 1 else folder, notes=notes, scorer=", ".join(scorers),
        dataset=folder.name,
    )  # fmt: skip


def _scorer(rows: list[dict], named: str | None, path: Path) -> tuple[str, bool]:
    """The field that holds verdicts, and whether all its values are verdicts."""
    if named is None:
        named = next((name for name in _VERDICTS if any(name in row for row in rows)), "score")
    elif not any(named in row for row in rows):
        raise UserError(f"{path}: no row has the field '{named}' that --scorer names")
    told = [row[named] for row in rows if not missing(row.get(named))]
    return named, bool(told) and all(verdict(value) is not None for value in told)


def _gold(row: dict) -> Any:
    gold = row.get("gts")
    if isinstance(gold, dict):
        names = ("ground_truth", "answer", "target", "solution", "gold")
        gold = next((gold[name] for name in names if name in gold), None)
    return gold


def item_key(prompt: str, gold: Any = None) -> str:
    """Name an item that has no id by what was asked and what is right."""
    text = json.dumps([prompt, gold], ensure_ascii=False, default=str)
    return "q-" + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]


