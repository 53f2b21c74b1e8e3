"""Results of VLMEvalKit: `MODEL_DATASET.xlsx` (or .tsv, .json) in a folder a run.

One file has one prediction an item; the run folders of one model and data set are its samples. The
judged file beside it (`..._result.xlsx`, columns hit and log) gives the stored verdicts.
"""

from __future__ import annotations

import glob
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd

from medrl_core.errors import UserError
from medrl_core.score.logs import frames
from medrl_core.score.logs.golds import LETTERS
from medrl_core.score.logs.log import Answers, Log, Wanted
from medrl_core.score.logs.sniff import Sniffed, stem
from medrl_core.score.logs.values import text_id, verdict

NAME = "VLMEvalKit"
_RANDOM = "randomly generate one"
# Rotations of an item's options are rows of their own, this far apart.
_ROTATION = 1_000_000
_PREDICTION = re.compile(r"prediction(?:[_-]?(\d+))?")


@dataclass
class _Run:
    path: Path
    frame: pd.DataFrame
    model: str
    dataset: str


def matches(file: Sniffed) -> bool:
    """Say whether a file is such a log; a workbook is one until its columns are read."""
    if file.kind == "xlsx":
        return True
    if file.kind not in ("table", "rows", "object"):
        return False
    return file.has("index", "prediction") and ("question" in file.names or "answer" in file.names)


def read(paths: list[Path], wanted: Wanted) -> list[Log]:
    """Read the runs of each model and data set as one log, a run a sample."""
    judged, plain = {}, []
    if len(paths) == 1:  # its judged file, if there is one, has the verdicts
        beside = paths[0].parent.glob(f"{glob.escape(stem(paths[0]))}_*_result.*")
        paths = paths + sorted(p for p in beside if p.suffix in (".xlsx", ".tsv", ".csv", ".json"))
    for path in dict.fromkeys(paths):
        frame = frames.read(path)
        if not any(_PREDICTION.fullmatch(name) for name in frame.columns):
            if len(paths) == 1:
                has = ", ".join(frame.columns[:12])
                raise UserError(f"{path} lacks the column 'prediction'; it has {has}")
            continue
        if "index" not in frame:
            raise UserError(f"{path} lacks the column 'index'; is it a file of VLMEvalKit?")
        if "hit" in frame:
            judged[path] = frame
        else:
            plain.append(_Run(path, frame, *_names(path)))
    for path, frame in judged.items():
        mates = [run for run in plain if run.path.parent == path.parent]
        mates = [run for run in mates if stem(path).startswith(stem(run.path) + "_")]
        if mates:
            _join(max(mates, key=lambda run: len(run.path.name)), frame)
        else:  # judged files alone: they have the predictions, too
            plain.append(_Run(path, frame, *_names(path)))
    groups: dict[tuple[str, str], list[_Run]] = defaultdict(list)
    for run in sorted(plain, key=lambda run: str(run.path)):
        groups[run.model, run.dataset].append(run)
    return [_log(runs) for runs in groups.values()]


def _names(path: Path) -> tuple[str, str]:
    """Model and data set: the folder above the run is named like the model, with "_" or not."""
    name = re.sub(r"_[^_]+_result$", "", stem(path))
    for folder in path.resolve().parents[:2]:
        if name.startswith(folder.name + "_"):
            return folder.name, name[len(folder.name) + 1 :]
    model, _, dataset = name.rpartition("_")
    return model, dataset


def _join(run: _Run, judged: pd.DataFrame) -> None:
    verdicts = judged.drop_duplicates("index").set_index("index")
    run.frame = run.frame.assign(hit=run.frame["index"].map(verdicts.hit).fillna(""))
    if "log" in judged:
        run.frame["log"] = run.frame["index"].map(verdicts["log"]).fillna("")


def _log(runs: list[_Run]) -> Log:
    first, notes, seen = runs[0], [], {}
    found = Answers()
    rotated = random = cut = 0
    for run in runs:
        frame, dropped = _main_rows(run)
        rotated += dropped
        columns = sorted(
            (name for name in frame.columns if _PREDICTION.fullmatch(name)),
            key=lambda name: int(cast(Any, _PREDICTION.fullmatch(name))[1] or -1),
        )
        said = tuple(zip(frame["index"], *(frame[name] for name in columns), strict=True))
        if said in seen:
            raise UserError(
                f"{run.path} is a copy of {seen[said]} (every prediction is the same); "
                "samples of one another's copies are none: name one of them"
            )
        seen[said] = run.path
        options = [letter for letter in LETTERS if letter in frame.columns]
        for row in frame.to_dict("records"):
            item_id = text_id(row["index"])
            if item_id is None:
                raise UserError(f"{run.path} has a row without index")
            if item_id not in found:
                shown = [row[letter] for letter in options if row[letter] != ""]
                found.item(
                    item_id, row.get("question", ""), options=shown or None,
                    gold=row.get("answer") or None, dataset=run.dataset, asked=len(runs),
                )  # fmt: skip
            lucky = _RANDOM in row.get("log", "")
            random += lucky
            told = None if lucky or dropped or len(columns) > 1 else verdict(row.get("hit"))
            for name in columns:
                cut += len(row[name]) >= frames.EXCEL_CELL
                found.completion(item_id, row[name], stored=told)
    if len(runs) > 1:
        notes.append(f"{len(runs)} run folders count as {len(runs)} samples an item")
    if rotated:
        notes.append(
            f"{rotated} rows repeat an item with rotated options and do not count, nor do verdicts "
            "on all rotations together"
        )
    if random:
        notes.append(f"{random} verdicts are of an option drawn at random and do not count")
    if cut:
        notes.append(f"{cut} texts are as long as a cell can be and may be cut off")
    return found.log(
        NAME, first.path if len(runs) == 1 else _above(runs), dataset=first.dataset,
        model=first.model, notes=notes, scorer="hit" if "hit" in first.frame else "",
    )  # fmt: skip


def _above(runs: list[_Run]) -> Path:
    folders = [run.path.resolve().parent for run in runs]
    above = folders[0]
    while not all(folder.is_relative_to(above) for folder in folders):
        above = above.parent
    return above


def _main_rows(run: _Run) -> tuple[pd.DataFrame, int]:
    """Leave out the rows of rotated options."""
    frame = run.frame
    if frame["index"].duplicated().any():
        twice = frame["index"][frame["index"].duplicated()].iloc[0]
        raise UserError(f"{run.path}: index {twice} is there twice; the file is joined from copies")
    numbers = pd.to_numeric(frame["index"], errors="coerce")
    if "g_index" in frame:
        main = frame["g_index"].eq("") | frame["g_index"].eq(frame["index"])
        if not main.any():
            main = ~frame["g_index"].duplicated()
    else:
        base = numbers.where(numbers < _ROTATION, numbers % _ROTATION)
        # Large ids alone are no rotations: their item must be there, too.
        main = (numbers < _ROTATION) | numbers.isna() | ~base.isin(numbers[numbers < _ROTATION])
    return frame[main], int((~main).sum())
