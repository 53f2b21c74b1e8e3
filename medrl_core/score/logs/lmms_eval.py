"""Logs of lmms-eval: `<time>_samples_<task>.jsonl`, one row an item.

`resps` is one text or a list of several, and is left out where it equals `filtered_resps`. With the
tool's default settings only the first of several samples is kept: the results file beside tells how
many were drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medrl_core.errors import UserError
from medrl_core.score.logs import files
from medrl_core.score.logs.files import maybe, need
from medrl_core.score.logs.golds import missing, unquoted
from medrl_core.score.logs.lm_eval import OF_LMMS, doc_options, fuller
from medrl_core.score.logs.log import Answers, Log, Wanted
from medrl_core.score.logs.prompts import asked, question_and_options
from medrl_core.score.logs.sniff import Sniffed, stem
from medrl_core.score.logs.values import flag, number, text_id, verdict

NAME = "lmms-eval"
_KEYS = {
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "token_counts", "doc_hash",
    "input", "input_media", "prompt_hash", "target_hash", "filter",
}  # fmt: skip
_GOLD = ("answer", "gt", "gold", "ground_truth", "target", "gt_answer")


def matches(file: Sniffed) -> bool:
    """Say whether a file is such a log."""
    if file.kind not in ("rows", "object") or not file.has("doc_id", "target"):
        return False
    answers = file.has("filtered_resps") or file.has("resps")
    named = OF_LMMS.match(stem(file.path)) is not None
    return answers and (named or file.has("token_counts") or file.has("input"))


def read(paths: list[Path], wanted: Wanted) -> list[Log]:
    """Read each task file as a log."""
    return [_log(path, wanted) for path in paths]


def _log(path: Path, wanted: Wanted) -> Log:
    rows = [(f"{path}: row {number}", row) for number, row in files.json_rows(path)]
    named = OF_LMMS.fullmatch(stem(path))
    time, task = named.groups() if named else ("", stem(path))
    beside = path.parent / f"{time}_results.json"
    results = files.json_value(beside)[0] if time and beside.is_file() else {}
    config = maybe(results, "configs") or {}
    config = config.get(task) or {}
    given = {**(config.get("generation_kwargs") or {})}
    given |= maybe(results, "config.gen_kwargs") if _is_map(results, "config.gen_kwargs") else {}
    temperature = number(given.get("temperature"))
    greedy = True if flag(given.get("do_sample")) is False else None
    found, scorer = Answers(), wanted.scorer or _metric(rows)
    drawn = int(number(config.get("repeats")) or 0)
    kept = []
    for where, row in rows:
        item_id = text_id(need(row, "doc_id", where))
        if item_id is None:
            raise UserError(f"{where} has no doc_id")
        if item_id in found:
            raise UserError(f"{where}: doc_id {item_id} is there twice; the log holds copies")
        texts = _texts(row, where)
        kept.append(len(texts))
        question, options, images = _asked(row)
        found.item(
            item_id, question, options=options, gold=_gold(row, where), images=images,
            dataset=task, asked=drawn,
        )  # fmt: skip
        one = scorer and len(texts) == 1 and drawn < 2
        stored = verdict(_value(row.get(str(scorer)))) if one else None
        for text in texts:
            found.completion(
                item_id, text, stored=stored, greedy=greedy,
                temperature=0.0 if greedy else temperature,
            )  # fmt: skip
    notes = []
    if kept and drawn > max(kept):
        notes.append(
            f"{drawn} samples an item were drawn, but the file keeps {max(kept)}: run with "
            "--reasoning_tags none to keep all"
        )
    if max(kept, default=0) > 1 and scorer:
        notes.append(f"'{scorer}' is of the filtered answer, not of a sample")
    folder = path.resolve().parent.name
    model = results.get("model_name") or (folder.replace("__", "/") if "__" in folder else "")
    return found.log(
        NAME, path, dataset=task, model=str(model), notes=notes, scorer=scorer or "",
        scorers=_metrics(rows),
    )  # fmt: skip


def _is_map(value: Any, name: str) -> bool:
    return isinstance(maybe(value, name), Mapping)


def _texts(row: Mapping, where: str) -> list[str]:
    texts = row.get("resps")
    if texts is None:
        texts = need(row, "filtered_resps", where)
    while isinstance(texts, list) and len(texts) == 1 and isinstance(texts[0], list):
        texts = texts[0]
    texts = texts if isinstance(texts, list) else [texts]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise UserError(f"{where} has answers that are no texts (resps); nothing to score")
    return texts


def _asked(row: Mapping) -> tuple[str, tuple[str, ...] | None, list[str]]:
    shown = row.get("input")
    if shown is None and row.get("arguments"):
        first = row["arguments"][0]
        shown = first[0] if isinstance(first, list) else first
    prompt, images = asked(shown)
    question, options = question_and_options(prompt)
    media = row.get("input_media") or []
    media = [media] if isinstance(media, str) else media
    images += [one for one in media if isinstance(one, str)]
    return question, fuller(doc_options(row.get("doc")), options), images


def _gold(row: Mapping, where: str) -> Any:
    """The target; where a task leaves it empty, the answer inside one of its metrics."""
    target = unquoted(need(row, "target", where))
    if not missing(target):
        return target
    inside = [value for name, value in row.items() if name not in _KEYS and isinstance(value, dict)]
    told = (one[name] for one in inside for name in _GOLD if not missing(one.get(name)))
    return next(told, None)


def _value(metric: Any) -> Any:
    """The verdict in a metric, which may be a dict of the task's choosing."""
    if not isinstance(metric, Mapping):
        return metric
    names = ("score", "correct", "acc", "hit")
    return next((metric[name] for name in names if name in metric), None)


def _metrics(rows: list) -> list[str]:
    return [name for name in rows[0][1] if name not in _KEYS] if rows else []


def _metric(rows: list) -> str | None:
    for name in _metrics(rows):
        told = [_value(row.get(name)) for _, row in rows]
        if told and all(verdict(value) is not None for value in told):
            return name
    return None
