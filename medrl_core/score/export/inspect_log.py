"""A log as inspect_ai writes it, so that `inspect view` shows answers, pictures and verdicts.

    inspect view --log-dir FOLDER

The verdict that counts is the scorer "medrl"; the log's own, where it had one, is "stored".
"""

from __future__ import annotations

import datetime
import json
import uuid
import zipfile
from pathlib import Path
from typing import Any

from medrl_core.files import writing
from medrl_core.score.export.parts import Part, prompt_of

_STOPS = {"length": "max_tokens", None: "stop"}
_KNOWN = ("stop", "max_tokens", "model_length", "tool_calls", "content_filter", "unknown")


def write(part: Part, folder: Path) -> list[Path]:
    """Write one `.eval` file; returns its path."""
    path = folder / f"{part.name}.eval"
    header = _header(part)
    with writing(path) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        start = {name: header[name] for name in ("version", "eval", "plan")}
        archive.writestr("_journal/start.json", json.dumps(start))
        summaries = []
        for item, rows in part.by_item():
            for row in rows:
                sample = _sample(part, item, row)
                name = f"samples/{sample['id']}_epoch_{sample['epoch']}.json"
                archive.writestr(name, json.dumps(sample))
                summaries.append(_summary(sample))
        archive.writestr("summaries.json", json.dumps(summaries))
        archive.writestr("reductions.json", json.dumps(_reductions(part)))
        archive.writestr("header.json", json.dumps(header))
    return [path]


def _scorers(part: Part) -> list[str]:
    told = any(row["stored"] is not None for row in part.rows)
    return ["medrl", "stored"] if told else ["medrl"]


def _header(part: Part) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    scorers = _scorers(part)
    ids = [item["item_id"] for item in part.items]
    run = {name: uuid.uuid4().hex[:22] for name in ("eval_id", "run_id", "task_id")}
    metrics = [{"name": "inspect_ai/accuracy", "options": {}}]
    config = {} if part.temperature is None else {"temperature": part.temperature}
    about = {
        **run,
        "created": now,
        "task": part.task,
        "task_version": 0,
        "task_attribs": {},
        "task_args": {},
        "dataset": {"name": part.task, "samples": len(ids), "sample_ids": ids, "shuffled": False},
        "model": part.model,
        "model_args": {},
        "config": {"epochs": part.epochs},
        "packages": {},
        "scorers": [{"name": name, "options": {}, "metrics": metrics} for name in scorers],
    }
    return {
        "version": 2,
        "status": "success",
        "eval": about,
        "plan": {"name": "plan", "steps": [{"solver": "generate", "params": {}}], "config": config},
        "results": {
            "total_samples": len(part.rows),
            "completed_samples": len(part.rows),
            "scores": [_score(part, name) for name in scorers],
        },
        "stats": {"started_at": now, "completed_at": now, "model_usage": {}},
    }


def _score(part: Part, scorer: str) -> dict[str, Any]:
    field = "correct" if scorer == "medrl" else "stored"
    told = [row[field] for row in part.rows if row[field] is not None]
    accuracy = {"name": "accuracy", "value": sum(told) / len(told), "params": {}}
    return {"name": scorer, "scorer": scorer, "params": {}, "metrics": {"accuracy": accuracy}}


def _sample(part: Part, item: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    pictures = [{"type": "image", "image": image, "detail": "auto"} for image in item["images"]]
    asked: Any = prompt_of(item)
    shown: Any = item["question"]
    if pictures:
        asked = [{"type": "text", "text": asked}, *pictures]
        shown = [{"role": "user", "content": [{"type": "text", "text": shown}, *pictures]}]
    answer = {"role": "assistant", "content": row["text"], "source": "generate"}
    stop = _STOPS.get(row["finish_reason"], row["finish_reason"])
    choice = {"message": answer, "stop_reason": stop if stop in _KNOWN else "unknown"}
    scores = {"medrl": _verdict(row["correct"], row)}
    if row["stored"] is not None:
        scores["stored"] = _verdict(row["stored"], row)
    return {
        "id": row["item_id"],
        "epoch": row["epoch"],
        "input": shown,
        "choices": item["options"],
        "target": item["gold"] if len(item["gold"]) > 1 else "".join(item["gold"]),
        "messages": [{"role": "user", "content": asked, "source": "input"}, answer],
        "output": {"model": part.model, "choices": [choice], "completion": row["text"]},
        "scores": scores,
        "metadata": {"dataset": item["dataset"]},
        "store": {},
        "events": [],
        "model_usage": {},
        "attachments": {},
    }


def _verdict(right: bool, row: dict[str, Any]) -> dict[str, Any]:
    return {"value": "C" if right else "I", "answer": row["answer"] or ""}


def _summary(sample: dict[str, Any]) -> dict[str, Any]:
    asked = sample["input"]
    if isinstance(asked, list):
        parts = [one if one["type"] == "text" else {"type": "text", "text": "(Image)"}
                 for one in asked[0]["content"]]  # fmt: skip
        asked = [{"role": "user", "content": parts}]
    kept = ("id", "epoch", "choices", "target", "metadata", "scores", "model_usage")
    return {name: sample[name] for name in kept} | {"input": asked, "completed": True}


def _reductions(part: Part) -> list[dict[str, Any]]:
    """The mean verdict of each item, as inspect's reducer "mean" gives it."""
    found = []
    for scorer in _scorers(part):
        field = "correct" if scorer == "medrl" else "stored"
        samples = []
        for item, rows in part.by_item():
            told = [row[field] for row in rows if row[field] is not None]
            if told:
                mean = sum(told) / len(told)
                samples.append({"sample_id": item["item_id"], "value": mean})
        found.append({"scorer": scorer, "reducer": "mean", "samples": samples})
    return found
