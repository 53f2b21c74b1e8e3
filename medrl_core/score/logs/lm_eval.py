"""Logs of EleutherAI's lm-eval: `samples_<task>_<time>.jsonl`, one row an item and filter.

A task of generated texts keeps all of an item's samples in one row, the same in the row of each
filter; its metric is of the filtered answer, so a sample's own verdict is there only where there is
one sample. A log-likelihood task keeps a number an option: one choice, no samples.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from medrl_core.errors import UserError
from medrl_core.score.logs import files
from medrl_core.score.logs.files import maybe, need
from medrl_core.score.logs.golds import LETTERS, as_list, letter_of, unquoted
from medrl_core.score.logs.log import Answers, Log, Wanted
from medrl_core.score.logs.prompts import question_and_options
from medrl_core.score.logs.sniff import Sniffed, stem
from medrl_core.score.logs.values import flag, number, text_id, verdict

NAME = "lm-eval"
_TIME = re.compile(r"_\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?$")
OF_LMMS = re.compile(r"(\d{8}_\d{6})_samples_(.+)")
_OWN_ID = ("item_id", "id", "question_id", "qid", "idx", "index")
_QUESTION = ("question", "query", "problem", "input", "prompt")
_OPTIONS = ("options", "choices", "option", "endings", "answer_choices", "mc_options")
_KEYS = {
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics",
    "doc_hash", "prompt_hash", "target_hash", "schema_version",
}  # fmt: skip


def matches(file: Sniffed) -> bool:
    """Say whether a file is such a log."""
    if file.kind not in ("rows", "object") or not file.has("doc_id", "target"):
        return False
    if OF_LMMS.match(stem(file.path)):  # whose older versions have the same fields
        return False
    return file.has("doc", "arguments") and file.has("resps") and not file.has("token_counts")


def read(paths: list[Path], wanted: Wanted) -> list[Log]:
    """Read each task file as a log."""
    return [_log(path, wanted) for path in paths]


def _log(path: Path, wanted: Wanted) -> Log:
    rows = [(f"{path}: row {number}", row) for number, row in files.json_rows(path)]
    rows, filters = _one_filter(rows)
    notes = []
    if len(filters) > 1:
        notes.append(f"{len(filters)} filters of the same samples: {', '.join(filters)}")
    task, results = _TIME.sub("", stem(path).removeprefix("samples_")), _results(path)
    config = maybe(results, "configs") or {}
    config = config.get(task) or {}
    found, scorer = Answers(), wanted.scorer or _metric(rows)
    own_ids = _own_ids(rows)
    likelihoods = False
    for at, (where, row) in enumerate(rows):
        item_id = own_ids[at] or text_id(need(row, "doc_id", where))
        if item_id is None:
            raise UserError(f"{where} has no doc_id")
        stored = verdict(row.get(scorer)) if scorer else None
        if _is_likelihood(need(row, "resps", where, list)):
            likelihoods = True
            _likelihood(found, row, where, item_id, task, stored)
        else:
            _texts(found, row, where, item_id, task, stored, config)
    if likelihoods:
        notes.append("log-likelihoods of options: one choice an item, no samples, no Pass@K")
    drawn = number(config.get("repeats")) or 1
    if not likelihoods and len(found) < drawn * len(rows):
        notes.append(f"the task drew {drawn:g} samples an item, the file keeps fewer")
    elif not likelihoods and scorer and len(found) > len(rows):
        notes.append(f"'{scorer}' is of the filtered answer, not of a sample")
    return found.log(
        NAME, path, dataset=task, model=_model(results, path), notes=notes, scorer=scorer or "",
        scorers=tuple(_metrics(rows)),
    )  # fmt: skip


def _one_filter(rows: list) -> tuple[list, list[str]]:
    """Keep the rows of the first filter; the others repeat the same samples."""
    names = list(dict.fromkeys(str(row.get("filter", "")) for _, row in rows))
    kept, seen = [], {}
    for where, row in rows:
        if str(row.get("filter", "")) != names[0]:
            continue
        key = str(row.get("doc_id"))
        if key in seen:
            # Versions without the key "filter" repeat an item's row once a filter.
            if "filter" not in row and row.get("resps") == seen[key].get("resps"):
                continue
            raise UserError(f"{where}: doc_id {key} is there twice; the log is joined from copies")
        seen[key] = row
        kept.append((where, row))
    return kept, names


def _results(path: Path) -> Mapping:
    """The results file that was written with a samples file, {} where it is not there."""
    time = _TIME.search(stem(path))
    beside = path.parent / f"results{time[0]}.json" if time else None
    return files.json_value(beside)[0] if beside and beside.is_file() else {}


def _model(results: Mapping, path: Path) -> str:
    named = results.get("model_name") or maybe(results, "config.model_args")
    if isinstance(named, str) and named:
        return named
    folder = path.resolve().parent.name
    return folder.replace("__", "/") if "__" in folder else ""


def _metrics(rows: list) -> list[str]:
    row = rows[0][1]
    named = row.get("metrics")
    if isinstance(named, list) and named:
        return [str(name) for name in named]
    return [name for name in row if name not in _KEYS]


def _metric(rows: list) -> str | None:
    """The first metric whose values are verdicts."""
    for name in _metrics(rows):
        told = [row.get(name) for _, row in rows if name in row]
        if told and all(verdict(value) is not None for value in told):
            return name
    return None


def _own_ids(rows: list) -> list[str | None]:
    """The data set's own ids, where a column of doc holds a different one for every row."""
    docs = [row.get("doc") if isinstance(row.get("doc"), Mapping) else {} for _, row in rows]
    for name in _OWN_ID:
        ids = [text_id(doc.get(name)) for doc in docs]
        if None not in ids and len(set(ids)) == len(ids):
            return ids
    return [None] * len(rows)


def _is_likelihood(resps: Any) -> bool:
    """Say whether answers are (log-likelihood, is greedy) pairs, as numbers or as their texts."""
    first: Any = resps[0] if isinstance(resps, list) and resps else None
    while isinstance(first, list) and len(first) == 1:
        first = first[0]
    pair = isinstance(first, (list, tuple)) and len(first) == 2
    return pair and number(first[0]) is not None and flag(first[1]) is not None


def _prompts(row: Mapping) -> list[tuple[str, Any]]:
    """(context, continuation or generation arguments) a request, of any version."""
    arguments = row.get("arguments") or []
    if isinstance(arguments, Mapping):
        return [(str(one.get("arg_0", "")), one.get("arg_1")) for one in arguments.values()]
    if arguments and not isinstance(arguments[0], (list, tuple)):
        arguments = [arguments]
    return [(str(one[0]), one[1] if len(one) > 1 else None) for one in arguments if one]


def doc_options(doc: Any) -> tuple[str, ...] | None:
    """Options out of a data set's row: a list, letters to texts, or columns A, B, ...; or None."""
    if not isinstance(doc, Mapping):
        return None
    for name in _OPTIONS:
        value = doc.get(name)
        if isinstance(value, Mapping):
            value = value.get("text") or [value[key] for key in sorted(value)]
        if isinstance(value, list) and len(value) > 1:
            if all(isinstance(one, (str, int, float)) for one in value):
                return tuple(map(str, value))
            if all(isinstance(maybe(one, "text"), str) for one in value):
                return tuple(one["text"] for one in value)
    for pattern in ("{}", "option_{}", "op{}", "opa{}"):
        texts = []
        for letter in LETTERS:
            value = doc.get(pattern.format(letter), doc.get(pattern.format(letter.lower())))
            if value is None:
                break
            texts.append(str(value))
        if len(texts) > 1:
            return tuple(texts)
    return None


def _question(row: Mapping, prompt: str) -> tuple[str, tuple[str, ...] | None]:
    doc: Any = row.get("doc") if isinstance(row.get("doc"), Mapping) else {}
    question, shown = question_and_options(prompt)
    own = next((doc[name] for name in _QUESTION if isinstance(doc.get(name), str)), "")
    return own or question, fuller(doc_options(doc), shown)


def fuller(options: Any, shown: Any) -> tuple[str, ...] | None:
    """Options of the log, or those that the prompt shows where the log's are bare letters."""
    bare = options and all(str(option).strip() in LETTERS for option in options)
    if shown and (not options or (bare and len(shown) == len(options))):
        return tuple(shown)
    return tuple(options) if options else None


def _likelihood(
    found: Answers, row: Mapping, where: str, item_id: str, task: str, stored: bool | None
) -> None:
    told = [one[0] if len(one) == 1 else one for one in row["resps"]]
    told = [number(one[0]) for one in told]
    prompts = _prompts(row)
    texts = [str(continuation).strip() for _, continuation in prompts]
    question, options = _question(row, prompts[0][0] if prompts else "")
    if len(texts) == len(told) > 1:
        if set(texts) != set(LETTERS[: len(texts)]) or not options:
            options = tuple(texts)
        best = max(range(len(told)), key=lambda at: cast(Any, told[at]))
        answer = LETTERS[best] if best < len(LETTERS) else None
    else:
        options, answer = None, None
    gold, gold_is = _target(row, where, options, answer, stored)
    found.item(
        item_id, question, options=options, gold=gold, gold_is=gold_is, dataset=task, asked=1
    )
    found.completion(item_id, None, answer=answer, stored=stored, greedy=True)


def _target(
    row: Mapping, where: str, options: Any, answer: str | None, stored: bool | None
) -> tuple[Any, str]:
    """The gold answer of a row and how to read it: lm-eval writes an index as its text."""
    target = unquoted(need(row, "target", where))
    if isinstance(target, str):  # a worked solution: its answer follows the last mark
        target = target.rpartition("#### ")[2]
    whole = [str(one) for one in as_list(target)]
    if not options or not all(re.fullmatch(r"\d{1,2}", one) for one in whole):
        return target, "either"
    if not all(one in options for one in whole):
        return target, "index"
    # Options that are numbers themselves: the reading that agrees with the tool's own verdict.
    as_text = {letter_of(one, options, "text") for one in whole}
    as_index = {letter_of(one, options, "index") for one in whole}
    if answer and stored is not None and (answer in as_text) != (answer in as_index):
        return target, "text" if (answer in as_text) == stored else "index"
    return target, "text"


def _texts(
    found: Answers, row: Mapping, where: str, item_id: str, task: str, stored: bool | None,
    config: Mapping,
) -> None:  # fmt: skip
    texts = [text for one in row["resps"] for text in (one if isinstance(one, list) else [one])]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise UserError(
            f"{where} has answers that are neither texts nor options' log-likelihoods "
            "(resps); only those can be right or wrong"
        )
    prompts = _prompts(row)
    given = prompts[0][1] if prompts and isinstance(prompts[0][1], Mapping) else {}
    given = {**(config.get("generation_kwargs") or {}), **given}
    question, options = _question(row, prompts[0][0] if prompts else "")
    gold, gold_is = _target(row, where, options, None, None)
    found.item(
        item_id, question, options=options, gold=gold, gold_is=gold_is, dataset=task,
        asked=int(number(config.get("repeats")) or 0),
    )  # fmt: skip
    temperature = number(given.get("temperature"))
    greedy = True if flag(given.get("do_sample")) is False else None
    for text in texts:
        found.completion(
            item_id, text, stored=stored if len(texts) == 1 else None, greedy=greedy,
            temperature=0.0 if greedy else temperature,
        )  # fmt: skip


