"""JSON lines like those of lm-eval's `--log_samples`: one row an item with all its samples."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from medrl_core.files import write_text
from medrl_core.score.export.parts import Part, prompt_of


def write(part: Part, folder: Path) -> list[Path]:
    """Write samples and results of one task; returns their paths."""
    made = time.strftime("%Y-%m-%dT%H-%M-%S")
    samples = folder / f"samples_{part.name}_{made}.jsonl"
    results = folder / f"results_{made}.json"
    pairs = enumerate(part.by_item())
    rows = (_row(at, item, answers, _sampling(part)) for at, (item, answers) in pairs)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    write_text(samples, text)
    known = json.loads(results.read_text()) if results.is_file() else {"results": {}, "configs": {}}
    first = [rows[0]["correct"] for _, rows in part.by_item()]
    known["results"][part.name] = {"acc,none": sum(first) / len(first), "sample_len": len(first)}
    known["configs"][part.name] = {"repeats": part.epochs, "generation_kwargs": _sampling(part)}
    write_text(results, json.dumps(known | {"model_name": part.model}, indent=2) + "\n")
    return [samples, results]


def _sampling(part: Part) -> dict[str, Any]:
    if part.greedy:
        return {"do_sample": False}
    known = {} if part.temperature is None else {"temperature": part.temperature}
    return {"do_sample": True} | known


def _row(
    at: int, item: dict[str, Any], rows: list[dict[str, Any]], sampling: dict[str, Any]
) -> dict[str, Any]:
    target = item["gold"][0] if len(item["gold"]) == 1 else str(item["gold"])
    doc = {"id": item["item_id"], "question": item["question"], "options": item["options"]}
    shown = prompt_of(item)
    return {
        "doc_id": at,
        "doc": doc,
        "target": target,
        "arguments": {"gen_args_0": {"arg_0": shown, "arg_1": sampling}},
        "resps": [[row["text"] for row in rows]],
        "filtered_resps": [rows[0]["answer"] or "[invalid]"],
        "filter": "none",
        "metrics": ["acc"],
        "doc_hash": _hash(json.dumps(doc)),
        "prompt_hash": _hash(shown),
        "target_hash": _hash(target),
        # Of the first sample, as lm-eval's filter take_first has it.
        "acc": float(rows[0]["correct"]),
        "acc_of_samples": [int(row["correct"]) for row in rows],
    }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
