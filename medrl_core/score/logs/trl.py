"""Completions that TRL's trainers keep: `completions/completions_<step>.parquet`.

One row a sample: step, prompt, completion, a column a reward function, what `log_extra` logged, and
advantage. The column of a reward whose values are 0 and 1 and whose name says accuracy gives the
verdicts. Each file is another policy.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd

from medrl_core.errors import UserError
from medrl_core.score.logs import files
from medrl_core.score.logs.golds import missing
from medrl_core.score.logs.log import Answers, Log, Wanted
from medrl_core.score.logs.prompts import answered, asked, question_and_options
from medrl_core.score.logs.sniff import Sniffed
from medrl_core.score.logs.values import text_id, verdict
from medrl_core.score.logs.verl import item_key

NAME = "TRL"
_OWN = {"step", "prompt", "completion", "advantage", "image", "images", "mode"}
_IDS = ("item_id", "id", "question_id", "problem_id", "index")
_GOLDS = ("solution", "answer", "ground_truth", "gold", "target", "label", "answer_label", "gts")
_TELLS = ("accuracy", "correct", "acc")


def matches(file: Sniffed) -> bool:
    """Say whether a file is such a table."""
    return file.kind == "parquet" and file.has("step", "prompt", "completion")


def read(paths: list[Path], wanted: Wanted) -> list[Log]:
    """Read the tables of each folder as a series of steps."""
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        folders[path.parent].append(path)
    return [_log(folder, sorted(tables), wanted) for folder, tables in sorted(folders.items())]


def _log(folder: Path, tables: list[Path], wanted: Wanted) -> Log:
    parts = [(path, files.parquet(path).to_pandas()) for path in tables]
    for path, frame in parts:
        if frame.empty:
            raise UserError(f"{path} has no rows")
        if frame["step"].nunique() > 1:
            raise UserError(f"{path} mixes steps, which are different policies; split it by 'step'")
    steps = [int(frame["step"].iloc[0]) for _, frame in parts]
    if len(set(steps)) < len(steps):
        twice = next(step for step in steps if steps.count(step) > 1)
        raise UserError(f"two files of {folder} hold step {twice}; they are of two runs: keep one")
    whole = pd.concat([frame for _, frame in parts], ignore_index=True)
    scorer, scorers = _scorer(whole, wanted.scorer, folder)
    own_id = next((name for name in _IDS if name in whole), None)
    gold_name = next((name for name in _GOLDS if name in whole), None)
    found, notes = Answers(), []
    for row in whole.to_dict("records"):
        prompt, images = asked(row["prompt"])
        gold = row.get(gold_name) if gold_name else None
        item_id = text_id(row.get(own_id)) or item_key(prompt, None if missing(gold) else gold)
        if item_id not in found:
            question, options = question_and_options(prompt)
            found.item(item_id, question, options=options, gold=gold, images=images)
        found.completion(
            item_id, answered(row["completion"]), step=int(row["step"]), greedy=False,
            stored=verdict(row[scorer]) if scorer else None,
        )  # fmt: skip
    if not scorer:
        notes.append(
            f"none of the reward columns {', '.join(scorers) or '(there are none)'} is named for "
            "accuracy and holds only 0 and 1: no verdicts; --scorer names one"
        )
    if own_id is None:
        notes.append("rows have no id: items are told apart by their prompt")
    if _lost(steps):
        notes.append("steps between the files are not kept: TRL keeps the last batch of each log")
    return found.log(
        NAME, tables[0] if len(tables) == 1 else folder, notes=notes, scorer=scorer or "",
        scorers=scorers,
    )  # fmt: skip


def _scorer(frame: pd.DataFrame, named: str | None, where: Path) -> tuple[str | None, tuple]:
    rewards = [
        name for name in frame.columns
        if name not in _OWN and pd.api.types.is_numeric_dtype(frame[name])
    ]  # fmt: skip
    if named is not None:
        if named not in frame:
            raise UserError(f"{where} has no column '{named}'; it has {', '.join(rewards)}")
        return named, tuple(rewards)
    for tell in _TELLS:
        for name in rewards:
            if tell in name.lower() and _binary(frame[name]):
                return name, tuple(rewards)
    if len(rewards) == 1 and _binary(frame[rewards[0]]):
        return rewards[0], tuple(rewards)
    return None, tuple(rewards)


def _binary(values: Any) -> bool:
    told = values.dropna()
    return len(told) > 0 and set(told.unique()) <= {0, 1}


def _lost(steps: list[int]) -> bool:
    steps = sorted(steps)
    return any(b - a > 1 for a, b in zip(steps, steps[1:], strict=False))
