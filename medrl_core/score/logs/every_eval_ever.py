"""Instance records of Every Eval Ever: `<uuid>_samples.jsonl`, beside an aggregate `<uuid>.json`.

A row is an item, an epoch, a filter or a metric, by the converter that wrote it; there is no index
of samples. Rows of one result (`evaluation_result_id`) that repeat an item are its samples; rows of
a further result on the same items are not. `is_correct` of a row can be that of the item over all
its samples, so answers are read again.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medrl_core.errors import UserError
from medrl_core.score.logs import files
from medrl_core.score.logs.files import maybe, need
from medrl_core.score.logs.golds import as_list, letter_of
from medrl_core.score.logs.lm_eval import fuller
from medrl_core.score.logs.log import Answers, Log, Wanted
from medrl_core.score.logs.prompts import answered, asked, question_and_options
from medrl_core.score.logs.sniff import Sniffed, stem
from medrl_core.score.logs.values import number, text_id, verdict

NAME = "Every Eval Ever"
# An inspect message part that the converter wrote as Python's text of it.
_PART = re.compile(r"\s*internal=None type='image' image='([^']*)' detail='\w*'")
_CUT_OFF = ("length", "max_tokens", "model_length")

Rows = list[tuple[str, dict[str, Any]]]


def matches(file: Sniffed) -> bool:
    """Say whether a file is such a table."""
    return file.kind in ("rows", "object") and file.has("sample_id", "evaluation", "model_id")


def read(paths: list[Path], wanted: Wanted) -> list[Log]:
    """Read each file; one log a model and evaluation in it."""
    return [log for path in paths for log in _logs(path, wanted)]


def _logs(path: Path, wanted: Wanted) -> list[Log]:
    groups: dict[tuple, dict[tuple, Rows]] = defaultdict(lambda: defaultdict(list))
    for at, row in files.json_rows(path):
        where = f"{path}: row {at}"
        result = (str(row.get("evaluation_result_id") or ""), str(row.get("evaluation_name") or ""))
        whole = (need(row, "model_id", where), need(row, "evaluation_id", where))
        groups[whole][result].append((where, row))
    beside = path.with_name(stem(path).removesuffix("_samples") + ".json")
    about = files.json_value(beside)[0] if beside.is_file() else {}
    logs = []
    for (model, _), results in groups.items():
        for rows, others in _of_different_items(results):
            logs.append(_log(path, str(model), rows, others, about, wanted))
    return logs


def _of_different_items(results: Mapping[tuple, Rows]) -> list[tuple[Rows, list[str]]]:
    """The results on different items, each with the names of those on the same items."""
    kept: list[tuple[set, Rows, list[str]]] = []
    for (name, _), rows in results.items():
        asks = {(str(row.get("sample_id")), str(maybe(row, "input.raw"))) for _, row in rows}
        same = next((one for one in kept if one[0] & asks), None)
        if same:
            same[2].append(name)
        else:
            kept.append((asks, rows, [name]))
    return [(rows, names) for _, rows, names in kept]


def _log(
    path: Path, model: str, rows: Rows, results: list[str], about: Mapping, wanted: Wanted
) -> Log:
    if wanted.scorer is not None and wanted.scorer not in results:
        raise UserError(f"{path} has no result '{wanted.scorer}'; it has {', '.join(results)}")
    notes = []
    if len(results) > 1:
        notes.append(
            f"{len(results)} results (filters or metrics) on the same items: {', '.join(results)}; "
            f"the rows of {results[0]} count"
        )
    verdicts, together = _verdicts(rows)
    if together:
        notes.append("score and is_correct are of an item over its samples: no verdicts of samples")
    temperature = _temperature(about)
    found, name = Answers(), str(rows[0][1].get("evaluation_name") or "")
    by_index = _index_golds(rows, verdicts)
    for (where, row), stored in zip(rows, verdicts, strict=True):
        item_id = text_id(need(row, "sample_id", where))
        if item_id is None:
            raise UserError(f"{where} has no sample_id")
        if item_id not in found:
            question, options, images = _asked(row, where)
            gold = as_list(need(row, "input.reference", where))
            found.item(
                item_id, question, options=options, gold=gold,
                gold_is="index" if by_index else "either", images=images, dataset=name,
            )  # fmt: skip
        failed = row.get("error")
        stop = maybe(row, "metadata.stop_reason") or maybe(row, "metadata.finish_reason")
        texts, epoch = _texts(row), number(maybe(row, "metadata.epoch"))
        for text in texts or [None]:
            error = str(failed or "no output") if text is None else None
            found.completion(
                item_id, text, stored=stored if text is not None and len(texts) == 1 else None,
                temperature=temperature, error=error,
                sample_index=int(epoch) - 1 if epoch and len(texts) < 2 else None,
                n_tokens=number(maybe(row, "token_usage.output_tokens")),
                finish_reason="length" if stop in _CUT_OFF else stop,
            )  # fmt: skip
    notes.append("output.raw may be the answer that a scorer took, not the whole text")
    return found.log(
        NAME, path, dataset=name, model=model, notes=notes, scorer=results[0],
        scorers=tuple(results),
    )  # fmt: skip


def _verdicts(rows: Rows) -> tuple[list[bool | None], bool]:
    """The verdict of each row, and whether they were of items and not of samples."""
    scores: dict[str, list] = defaultdict(list)
    for where, row in rows:
        scores[str(row.get("sample_id"))].append(need(row, "evaluation", where, dict).get("score"))
    repeated = {one: told for one, told in scores.items() if len(told) > 1}
    together = bool(repeated) and all(len(set(map(str, told))) == 1 for told in repeated.values())
    together &= any(verdict(told[0]) is None for told in repeated.values())
    found = []
    for _, row in rows:
        value = row["evaluation"].get("score")
        # A mean of 0 or 1 over samples tells each of them.
        told = verdict(value)
        if told is None and not together:
            told = verdict(row["evaluation"].get("is_correct")) if value is None else None
        found.append(told)
    return found, together


def _temperature(about: Mapping) -> float | None:
    for result in maybe(about, "evaluation_results") or []:
        told = number(maybe(result, "generation_config.generation_args.temperature"))
        if told is not None:
            return told
    return None


def _index_golds(rows: Rows, verdicts: list[bool | None]) -> bool:
    """Say whether all references are indices written as texts, as lm-eval's converter leaves them.

    Where options are numbers themselves, the reading that agrees with more verdicts.
    """
    agree = {"index": 0, "text": 0}
    for (_, row), stored in zip(rows, verdicts, strict=True):
        options = [str(one).strip() for one in as_list(maybe(row, "input.choices"))]
        golds = [str(one).strip() for one in as_list(maybe(row, "input.reference"))]
        if not options or not golds or not all(re.fullmatch(r"\d{1,2}", one) for one in golds):
            return False
        texts = _texts(row)
        answer = letter_of(texts[0], options) if len(texts) == 1 else None
        for reading in agree:
            right = {letter_of(gold, options, reading) for gold in golds}
            if None in right:
                agree[reading] -= len(rows)
            elif answer and stored is not None:
                agree[reading] += (answer in right) == stored
    return agree["index"] > agree["text"]


def _asked(row: Mapping, where: str) -> tuple[str, tuple[str, ...] | None, list[str]]:
    raw, images = asked(need(row, "input.raw", where))
    images += _PART.findall(raw)
    question, shown = question_and_options(_PART.sub("", raw))
    choices = [str(one).strip() for one in as_list(maybe(row, "input.choices"))]
    return question, fuller(choices, shown), images


def _texts(row: Mapping) -> list[str]:
    raw = [str(one) for one in as_list(maybe(row, "output.raw"))]
    if raw or maybe(row, "output.raw") == "":
        return raw or [""]
    if isinstance(maybe(row, "output.raw"), list) and maybe(row, "output.raw"):
        return [""]  # an empty answer is one
    said = answered(row.get("messages"))
    return [said] if said else []
