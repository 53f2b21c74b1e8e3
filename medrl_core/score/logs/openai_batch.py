"""Output files of the OpenAI Batch API (and of servers that copy it), with what lies beside them.

An output row answers one request: n choices, or one of K requests for an item. Beside it are read,
where they are in the same folder: the input file (prompt, temperature), error files (failed
requests: missing samples) and a table with gold answers (columns id, answer, options). Items are
told by `custom_id`; requests with one prompt, or ids that differ in a last number, are samples.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pandas as pd

from medrl_core.errors import UserError
from medrl_core.score.logs import files
from medrl_core.score.logs.files import maybe, need
from medrl_core.score.logs.golds import as_list
from medrl_core.score.logs.log import Answers, Log, Wanted
from medrl_core.score.logs.prompts import asked, question_and_options, text_and_images
from medrl_core.score.logs.sniff import Sniffed, sniff
from medrl_core.score.logs.values import number, text_id

NAME = "OpenAI batch"
_NUMBERED = re.compile(r"(.+?)[-_:#./ ]?(\d+)")
_SAMPLE = re.compile(r"(.+)[-_:#./](?:s|g|k|sample|run|rep)?[-_]?(\d+)")


def matches(file: Sniffed) -> bool:
    """Say whether a file is an output file."""
    return file.kind in ("rows", "object") and file.has("custom_id", "response")


def read(paths: list[Path], wanted: Wanted) -> list[Log]:
    """Read the output files of each folder as one run; error files lie among them."""
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        folders[path.parent].append(path)
    return [_log(folder, outputs, wanted) for folder, outputs in sorted(folders.items())]


def _log(folder: Path, outputs: list[Path], wanted: Wanted) -> Log:
    answers, failures = {}, {}
    for path in _with_errors(folder, outputs):
        for at, row in files.json_rows(path):
            where = f"{path}: row {at}"
            custom = text_id(need(row, "custom_id", where))
            said = need(row, "response", where)
            status = number(maybe(said, "status_code"))
            failed = row.get("error") or maybe(said, "body.error")
            if failed or status is None or status >= 400:
                message = maybe(failed, "message") or failed or f"status {status}"
                failures[custom] = str(message)
            elif custom in answers:
                raise UserError(
                    f"{where}: custom_id {custom} is there twice; they are two runs or copies: "
                    "name one output file"
                )
            else:
                answers[custom] = (where, need(said, "body", where, dict))
    requests = _requests(folder)
    golds = _golds(folder, wanted.gold)
    # A request that failed and was sent again counts by its answer.
    ids = list(dict.fromkeys([*requests, *answers, *failures]))
    items, notes = _items(ids, requests, golds)
    found, models, drawn = Answers(), set(), Counter()
    for one in ids:
        drawn[items[one]] += int(number(maybe(requests.get(one), "n")) or 1)
    for custom in _in_order(ids, items):
        item_id = items[custom]
        body = requests.get(custom) or {}
        if item_id not in found:
            prompt, images = asked(body.get("messages") or body.get("input"))
            question, shown = question_and_options(prompt)
            gold = golds.get(item_id, {})
            found.item(
                item_id, question, options=gold.get("options") or shown, gold=gold.get("gold"),
                images=images, asked=drawn[item_id] if requests else 0,
            )  # fmt: skip
        temperature = number(body.get("temperature"))
        if custom not in answers:
            error = failures.get(custom, "no answer in the output file")
            for _ in range(int(number(body.get("n")) or 1)):
                found.completion(item_id, None, temperature=temperature, error=error)
            continue
        where, answer = answers[custom]
        models.add(str(answer.get("model") or ""))
        for text, stop, tokens in _choices(answer, where):
            found.completion(
                item_id, text, temperature=temperature, finish_reason=stop, n_tokens=tokens
            )
    if len(models) > 1:
        raise UserError(f"{folder} mixes answers of {', '.join(sorted(models))}; name one file")
    if not requests:
        notes.append("the input file is not beside the output: no prompts and no temperature")
    return found.log(
        NAME, outputs[0] if len(outputs) == 1 else folder, model=", ".join(sorted(models - {""})),
        notes=notes,
    )  # fmt: skip


def _in_order(ids: list[str], items: Mapping[str, str]) -> list[str]:
    """Requests by item, and by the number in their ids within one."""
    place: dict[str, int] = {}
    for one in ids:
        place.setdefault(items[one], len(place))
    counted = {one: match[2] for one in ids if (match := _NUMBERED.fullmatch(one))}
    return sorted(ids, key=lambda one: (place[items[one]], int(counted.get(one, 0))))


def _with_errors(folder: Path, outputs: list[Path]) -> list[Path]:
    """The output files, and the error files beside them."""
    if len(outputs) > 1:
        return outputs
    beside = [path for path in _json_files(folder) if path not in outputs and matches(sniff(path))]
    failed = [
        path for path in beside
        if all((number(maybe(row, "response.status_code")) or 599) >= 400 or row.get("error")
               for _, row in files.json_rows(path))
    ]  # fmt: skip
    return [*outputs, *failed]


def _json_files(folder: Path) -> list[Path]:
    names = (".jsonl", ".json", ".jsonl.gz", ".ndjson")
    return sorted(path for path in folder.iterdir() if path.name.lower().endswith(names))


def _requests(folder: Path) -> dict[str, Mapping]:
    """The bodies of the requests by custom_id, from the input file beside the output."""
    found = {}
    for path in _json_files(folder):
        if sniff(path).has("custom_id", "method", "url", "body"):
            for at, row in files.json_rows(path):
                found[text_id(row.get("custom_id"))] = need(row, "body", f"{path}: row {at}")
    return found


def _golds(folder: Path, given: pd.DataFrame | None) -> dict[str, dict[str, Any]]:
    """Gold answers by id: what the user named, or a table beside the output that looks like it."""
    if given is not None:
        rows = cast(Any, given).itertuples()
        return {row.item_id: {"gold": row.gold, "options": row.options} for row in rows}
    for path in _json_files(folder):
        seen = sniff(path)
        named = seen.names & {"id", "item_id", "custom_id", "question_id"}
        if named and "answer" in seen.names and "response" not in seen.names:
            return {
                text_id(next(row[name] for name in named if name in row)) or "": {
                    "gold": row.get("answer"), "options": as_list(row.get("options")),
                }
                for _, row in files.json_rows(path)
            }  # fmt: skip
    return {}


def _items(
    ids: list[str], requests: Mapping[str, Mapping], golds: Mapping[str, Any]
) -> tuple[dict[str, str], list[str]]:
    """The item of each request: its own id, or that of the requests it repeats."""
    numbered = {one: match for one in ids if (match := _SAMPLE.fullmatch(one))}
    if golds:
        items = {}
        for one in ids:
            match = _NUMBERED.fullmatch(one)
            repeats = one not in golds and match is not None and match[1] in golds
            items[one] = match[1] if match and repeats else one
        return items, _said(items)
    asked_with: dict[str, list[str]] = defaultdict(list)
    for one in ids:
        body = requests.get(one) or {}
        prompt = body.get("messages") or body.get("input")
        if prompt is not None:
            asked_with[json.dumps(prompt, sort_keys=True)].append(one)
    items = {one: one for one in ids}
    for same in asked_with.values():
        stems = {numbered[one][1] for one in same if one in numbered}
        if len(same) > 1:
            name = stems.pop() if len(stems) == 1 else same[0]
            items |= dict.fromkeys(same, name)
    if not requests and len(numbered) == len(ids):
        counts = pd.Series([match[1] for match in numbered.values()]).value_counts()
        if counts.max() > 1 and counts.nunique() == 1:
            items = {one: match[1] for one, match in numbered.items()}
    return items, _said(items)


def _said(items: Mapping[str, str]) -> list[str]:
    joined = sum(one != item for one, item in items.items())
    return [f"{joined} requests count as samples of the items they name"] if joined else []


def _choices(body: Mapping, where: str) -> list[tuple[str, str | None, float | None]]:
    """(text, why it stopped, tokens) a choice, of chat completions or of /v1/responses."""
    if "choices" in body:
        choices = need(body, "choices", where, list)
        if not all(isinstance(choice, Mapping) for choice in choices):
            raise UserError(f"{where}: a choice is no object")
        used = number(maybe(body, "usage.completion_tokens")) if len(choices) == 1 else None
        found = []
        for choice in sorted(choices, key=lambda one: one.get("index") or 0):
            message = choice.get("message") or {"content": choice.get("text")}
            text, _ = text_and_images(message.get("content"))
            thought = message.get("reasoning_content") or message.get("reasoning")
            if isinstance(thought, str) and thought and "</think>" not in text:
                text = f"<think>{thought}</think>{text}"
            text = text or str(message.get("refusal") or "")
            found.append((text, choice.get("finish_reason"), used))
        return found
    output = need(body, "output", where, list)
    parts = [one for one in output if maybe(one, "type") == "message"]
    text = "\n".join(text_and_images(one.get("content"))[0] for one in parts)
    stop = "length" if body.get("status") == "incomplete" else "stop"
    return [(text, stop, number(maybe(body, "usage.output_tokens")))]
