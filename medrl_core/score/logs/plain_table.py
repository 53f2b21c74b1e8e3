"""A plain table of answers: CSV, TSV, xlsx, Parquet or JSON rows, a row a sample.

It needs an item (`item_id`) and a text or a verdict: columns `text`, `correct`, or `n` and
`correct` as counts, which is what `medrl score --per-item` writes. Where they are there it reads
`gold`, `options` (a JSON list, "x | y | z", or columns A, B, ...), `question`, `image`, `image_id`,
`dataset`, `temperature`, `greedy`, `sample_index`, `step`, `model`, `error`. One file may hold a
sample a column: text_1, text_2, ...
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import pandas as pd

from medrl_core.errors import UserError
from medrl_core.score.logs import frames
from medrl_core.score.logs.golds import LETTERS, unquoted
from medrl_core.score.logs.log import NO_STEP, Answers, Log, Wanted
from medrl_core.score.logs.prompts import question_and_options
from medrl_core.score.logs.sniff import Sniffed
from medrl_core.score.logs.values import flag, number, text_id, verdict

NAME = "table"
# What a column is called, the usual name first.
ALIASES = {
    "item_id": ("item_id", "item", "id", "question_id", "qid", "index", "sample_id", "doc_id"),
    "text": (
        "text", "completion", "response", "output", "prediction", "model_output", "generation",
        "generated_text", "model_answer", "answer_text",
    ),
    "correct": (
        "correct", "is_correct", "hit", "acc", "accuracy", "exact_match", "right", "score",
        "verdict", "c",
    ),
    "n": ("n", "samples", "n_samples", "num_samples"),
    "gold": (
        "gold", "answer", "target", "solution", "ground_truth", "reference", "label",
        "correct_answer", "answer_label", "expected",
    ),
    "gold_index": ("gold_index", "answer_index", "answer_idx", "correct_index"),
    "options": ("options", "choices"),
    "question": ("question", "prompt", "input", "query"),
    "image": ("image", "images", "image_path", "image_paths"),
    "image_id": ("image_id",),
    "dataset": ("dataset", "task", "benchmark", "dataset_name"),
    "temperature": ("temperature",),
    "greedy": ("greedy",),
    "do_sample": ("do_sample",),
    "sample_index": ("sample_index", "sample", "epoch", "rollout", "repeat", "k", "seed"),
    "step": ("step", "global_step", "training_step"),
    "model": ("model", "model_name"),
    "error": ("error",),
    "finish_reason": ("finish_reason", "stop_reason"),
    "n_tokens": ("n_tokens", "completion_tokens", "output_tokens"),
}  # fmt: skip
_MANY = re.compile(r"(.+?)[_ ]?(\d+)")


def matches(file: Sniffed) -> bool:
    """Say whether a file has an item and a text or a verdict."""
    if file.kind not in ("table", "rows", "object", "parquet", "xlsx"):
        return False
    return file.kind == "xlsx" or _usable(file.names)


def _usable(names: Iterable[str]) -> bool:
    names = {str(name).strip().lower() for name in names}
    has = {wanted: bool(names & set(of)) for wanted, of in ALIASES.items()}
    many = any(_many(names, wanted) for wanted in ("text", "correct"))
    return has["item_id"] and (has["text"] or has["correct"] or many)


def read(paths: list[Path], wanted: Wanted) -> list[Log]:
    """Read each file as a log; a file that names several models is one log a model."""
    return [log for path in paths for log in _logs(path, wanted)]


def _many(names: Iterable[str], wanted: str) -> list[str]:
    """Columns of one sample each: text_1, text_2, ..., in the order of their numbers."""
    found = []
    for name in names:
        match = _MANY.fullmatch(name)
        if match and match[1] in ALIASES[wanted]:
            found.append((int(match[2]), name))
    return [name for _, name in sorted(found)]


def _logs(path: Path, wanted: Wanted) -> list[Log]:
    frame = frames.read(path)
    letters = [name for name in LETTERS if name in frame.columns]
    frame.columns = [name if name in letters else name.lower() for name in frame.columns]
    columns = {
        name: next(one for one in of if one in frame.columns)
        for name, of in ALIASES.items()
        if any(one in frame.columns for one in of)
    }
    if wanted.scorer:
        if wanted.scorer.lower() not in frame:
            raise UserError(f"{path} has no column '{wanted.scorer}' that --scorer names")
        columns["correct"] = wanted.scorer.lower()
    texts, verdicts = (_many(frame.columns, name) for name in ("text", "correct"))
    if "item_id" not in columns or not ({"text", "correct"} & columns.keys() or texts or verdicts):
        raise UserError(
            f"{path} is no table of answers: it needs a column item_id and a column text or "
            f"correct; it has {', '.join(map(str, frame.columns[:12]))}"
        )
    frame = frame.rename(columns={of: name for name, of in columns.items()})
    options = letters if len(letters) > 1 and letters[0] == "A" else _option_columns(frame)
    models = frame["model"].unique() if "model" in frame else [""]
    logs = []
    for model in models:
        part = frame[frame["model"] == model] if "model" in frame else frame
        logs.append(_log(path, part, str(model), options, texts, verdicts, columns))
    return logs


def _option_columns(frame: pd.DataFrame) -> list[str]:
    for pattern in ("option_{}", "option{}", "choice_{}", "op{}"):
        names = [pattern.format(letter.lower()) for letter in LETTERS]
        names = [name for name in names if name in frame]
        if len(names) > 1:
            return names
    return []


def _log(
    path: Path, frame: pd.DataFrame, model: str, option_columns: list[str], texts: list[str],
    verdicts: list[str], columns: dict[str, str],
) -> Log:  # fmt: skip
    found = Answers()
    counts = "n" in frame and "text" not in frame and not texts
    for at, row in enumerate(cast(Any, frame).to_dict("records"), 2):
        where = f"{path}: row {at}"
        item_id = text_id(row["item_id"])
        if item_id is None:
            raise UserError(f"{where} has no {columns['item_id']}")
        if row.get("dataset"):
            item_id = f"{row['dataset']}/{item_id}" if "dataset" in columns else item_id
        if item_id not in found:
            _item(found, item_id, row, option_columns)
        given: dict[str, Any] = {
            "greedy": _greedy(row),
            "temperature": number(row.get("temperature") or None),
            "step": int(number(row.get("step") or None) or NO_STEP) if "step" in row else NO_STEP,
            "n_tokens": number(row.get("n_tokens") or None),
            "finish_reason": row.get("finish_reason") or None,
            "error": row.get("error") or None,
        }
        if given["step"] == NO_STEP and row.get("step") == "0":
            given["step"] = 0
        if counts:
            _counted(found, item_id, row, given, where)
        elif texts or verdicts:
            for index in range(max(len(texts), len(verdicts))):
                text = row[texts[index]] if index < len(texts) else None
                told = verdict(row[verdicts[index]]) if index < len(verdicts) else None
                if text or told is not None:
                    found.completion(item_id, text, stored=told, **given)
        else:
            text, told = row.get("text"), verdict(row.get("correct"))
            found.completion(item_id, text, stored=told, **given)
    notes = []
    if "correct" in columns and not counts and columns["correct"] == "score":
        notes.append("'score' counts as a verdict where it is 0 or 1")
    return found.log(
        NAME, path, model=model, notes=notes, scorer=columns.get("correct", ""),
        dataset=_one(frame, "dataset"),
    )  # fmt: skip


def _one(frame: pd.DataFrame, name: str) -> str:
    """What a column says where it says one thing, else nothing."""
    told = set(frame[name]) if name in frame else set()
    return str(told.pop()) if len(told) == 1 else ""


def _item(found: Answers, item_id: str, row: dict[str, Any], option_columns: list[str]) -> None:
    options = [row[name] for name in option_columns if row[name] != ""]
    options = options or split_options(row.get("options", ""))
    question = row.get("question", "")
    if not options:
        question, options = question_and_options(question)
    gold, gold_is = unquoted(row.get("gold") or None), "either"
    if row.get("gold_index"):
        gold, gold_is = unquoted(row["gold_index"]), "index"
    images = unquoted(row.get("image") or [])
    images = [images] if isinstance(images, str) else images
    found.item(
        item_id, question, options=options, gold=gold, gold_is=gold_is, images=images,
        image_id=row.get("image_id", ""), dataset=row.get("dataset", ""),
    )  # fmt: skip


def split_options(value: str) -> list[str]:
    """Options out of one cell: a JSON or Python list, letters to texts, or "x | y | z"."""
    value = value.strip()
    if value[:1] in "[{":
        try:
            found = json.loads(value)
        except ValueError:
            found = unquoted(value)
        if isinstance(found, dict):
            return [str(found[key]) for key in sorted(found)]
        if isinstance(found, list):
            return [str(one) for one in found]
    for sign in ("|", "\n", ";"):
        if sign in value:
            parts = [part.strip() for part in value.split(sign)]
            return [re.sub(r"^[(\[]?[A-Z][)\].:]\s+", "", part) for part in parts if part]
    return []


def _greedy(row: dict[str, Any]) -> bool | None:
    sampled = flag(row.get("do_sample"))
    return flag(row.get("greedy")) if sampled is None else not sampled


def _counted(
    found: Answers, item_id: str, row: dict[str, Any], given: dict[str, Any], where: str
) -> None:
    n, right = number(row.get("n") or None), number(row.get("correct") or None)
    if n is None or right is None or not 0 <= right <= n or n != int(n) or right != int(right):
        said = f"n {row.get('n')!r}, correct {row.get('correct')!r}"
        raise UserError(f"{where} has no counts with 0 <= correct <= n; it says {said}")
    for index in range(int(n)):
        found.completion(item_id, None, stored=index < right, **given)
