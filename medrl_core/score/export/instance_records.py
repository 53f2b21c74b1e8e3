"""Every Eval Ever: an aggregate `<uuid>.json` and one record an answer, `<uuid>_samples.jsonl`.

Both lie where its validator wants them: `data/<data set>/<developer>/<model>/`.

A sample's number is its `metadata.epoch`, as inspect's converter writes it; `score` is of the
sample, and of no item over its samples.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from pathlib import Path
from typing import Any

from medrl_core.files import write_text
from medrl_core.score.export.parts import Part

SCHEMA = "0.3.0"


def write(part: Part, folder: Path) -> list[Path]:
    """Write the two files; returns their paths."""
    developer, _, model = part.model.rpartition("/")
    place = Path("data", part.name, _plain(developer or "unknown"), _plain(model))
    (folder / place).mkdir(parents=True, exist_ok=True)
    name, now = str(uuid.uuid4()), str(time.time())
    evaluation = f"{part.name}/{part.model}/{now}"
    records = "".join(
        json.dumps(_record(part, evaluation, item, row)) + "\n"
        for item, rows in part.by_item()
        for row in rows
    )
    file = place / f"{name}_samples.jsonl"
    samples, aggregate = folder / file, folder / place / f"{name}.json"
    write_text(samples, records)
    about = _aggregate(part, evaluation, now, file.as_posix(), records)
    write_text(aggregate, json.dumps(about, indent=2) + "\n")
    return [aggregate, samples]


def _plain(name: str) -> str:
    """A name as one folder can have it."""
    return re.sub(r"[^\w.-]+", "-", name)


def _aggregate(
    part: Part, evaluation: str, now: str, file: str, records: str
) -> dict[str, Any]:
    right = [row["correct"] for row in part.rows]
    arguments = {} if part.temperature is None else {"temperature": part.temperature}
    result = {
        "evaluation_result_id": "medrl:accuracy",
        "evaluation_name": part.task,
        "source_data": {"dataset_name": part.task, "source_type": "other"},
        "metric_config": {
            "metric_name": "accuracy",
            "evaluation_description": "share of right answers, over all samples",
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": 1.0,
        },
        "score_details": {
            "score": sum(right) / len(right), "uncertainty": {"num_samples": len(part.items)}
        },
        "generation_config": {
            "generation_args": arguments,
            "additional_details": {"samples_an_item": str(part.epochs)},
        },
    }  # fmt: skip
    return {
        "schema_version": SCHEMA,
        "evaluation_id": evaluation,
        "retrieved_timestamp": now,
        "source_metadata": {
            "source_name": "medrl",
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "other",
        },
        "eval_library": {"name": "medrl", "version": "unknown"},
        "model_info": {
            "name": part.model, "id": part.model, "developer": part.model.partition("/")[0],
            "additional_details": {
                "deployment_type": "unknown", "model_availability": "unknown",
            },
        },
        "evaluation_results": [result],
        "detailed_evaluation_results": {
            "format": "jsonl",
            "file_path": file,
            "hash_algorithm": "sha256",
            "checksum": hashlib.sha256(records.encode()).hexdigest(),
            "total_rows": len(part.rows),
        },
    }  # fmt: skip


def _record(
    part: Part, evaluation: str, item: dict[str, Any], row: dict[str, Any]
) -> dict[str, Any]:
    about = {"epoch": str(row["epoch"]), "stop_reason": row["finish_reason"] or "unknown"}
    if row["stored"] is not None:
        about["stored_verdict"] = str(row["stored"]).lower()
    answer = []
    if row["answer"] is not None:
        answer = [{
            "turn_idx": 0, "source": "output.raw", "extracted_value": row["answer"],
            "extraction_method": "medrl", "is_terminal": True,
        }]  # fmt: skip
    identity = json.dumps([item["question"], item["options"], item["gold"]])
    return {
        "schema_version": SCHEMA,
        "evaluation_id": evaluation,
        "model_id": part.model,
        "evaluation_name": part.task,
        "evaluation_result_id": "medrl:accuracy",
        "sample_id": row["item_id"],
        "sample_hash": hashlib.sha256(identity.encode()).hexdigest(),
        "interaction_type": "single_turn",
        "input": {
            "raw": item["question"], "reference": item["gold"], "choices": item["options"],
        },
        "output": {"raw": [row["text"]]},
        "answer_attribution": answer,
        "evaluation": {"score": float(row["correct"]), "is_correct": row["correct"]},
        "metadata": about,
    }  # fmt: skip
