"""A data set for the Hugging Face hub: Parquet with pictures, a card, and Croissant metadata.

    datasets.load_dataset("FOLDER")          reads it as it is
    huggingface-cli upload NAME FOLDER       is all that is left to do

One row a completion. Nothing is uploaded here.
"""

from __future__ import annotations

import base64
import datetime
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from medrl_core.files import sha256, write_text, writing
from medrl_core.score.export.parts import Part

TEXT = {"dtype": "string", "_type": "Value"}
LIST = {"feature": TEXT, "_type": "List"}
FEATURES: dict[str, dict[str, Any]] = {
    "item_id": TEXT,
    "dataset": TEXT,
    "question": TEXT,
    "options": LIST,
    "gold": LIST,
    "image": {"_type": "Image"},
    "model": TEXT,
    "sampling": TEXT,
    "sample": {"dtype": "int32", "_type": "Value"},
    "text": TEXT,
    "answer": TEXT,
    "correct": {"dtype": "bool", "_type": "Value"},
    "stored_verdict": {"dtype": "bool", "_type": "Value"},
    "finish_reason": TEXT,
}
PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
TYPES = {
    "options": pa.list_(pa.string()), "gold": pa.list_(pa.string()), "image": PICTURE,
    "sample": pa.int32(), "correct": pa.bool_(), "stored_verdict": pa.bool_(),
}  # fmt: skip
SAID = {
    "item_id": "id of the question",
    "dataset": "data set of the question",
    "question": "what was asked",
    "options": "answers to choose among, in order; empty for a free answer",
    "gold": "accepted answers: letters where there are options",
    "image": "the first picture of the question",
    "model": "who answered",
    "sampling": "greedy, or the temperature",
    "sample": "number of the sample, from 1",
    "text": "the whole answer",
    "answer": "the answer that was read from the text",
    "correct": "whether the answer is right, by our reading or the log's verdict",
    "stored_verdict": "what the log itself said",
    "finish_reason": "stop, or length where the text was cut off",
}


def write(part: Part, folder: Path, licence: str = "other") -> list[Path]:
    """Write the folder of one data set: `data/answers.parquet`, README.md, croissant.json."""
    place = folder / part.name
    (place / "data").mkdir(parents=True, exist_ok=True)
    data = place / "data" / "answers.parquet"
    schema = pa.schema(
        [pa.field(name, TYPES.get(name, pa.string())) for name in FEATURES],
        metadata={"huggingface": json.dumps({"info": {"features": FEATURES}})},
    )
    table = pa.Table.from_pylist(_rows(part), schema=schema)
    with writing(data) as stream:
        pq.write_table(table, stream, compression="zstd")
    card, croissant = place / "README.md", place / "croissant.json"
    write_text(card, _card(part, licence))
    write_text(croissant, json.dumps(_croissant(part, licence, data), indent=2) + "\n")
    return [data, card, croissant]


def _rows(part: Part) -> list[dict[str, Any]]:
    sampling = "greedy" if part.greedy else (
        "sampled" if part.temperature is None else f"temperature {part.temperature:g}")  # fmt: skip
    rows = []
    for item, answers in part.by_item():
        about = {
            "item_id": item["item_id"], "dataset": item["dataset"] or part.task,
            "question": item["question"], "options": item["options"] or [], "gold": item["gold"],
            "image": _picture(item["images"]), "model": part.model, "sampling": sampling,
        }  # fmt: skip
        rows += [
            about | {"sample": row["epoch"], "text": row["text"], "answer": row["answer"],
                     "correct": row["correct"], "stored_verdict": row["stored"],
                     "finish_reason": row["finish_reason"]} for row in answers
        ]  # fmt: skip
    return rows


def _picture(images: list[str]) -> dict[str, Any] | None:
    """The bytes of a data URL; a path or address is kept by name alone."""
    if not images:
        return None
    found = re.fullmatch(r"data:image/[\w.+-]+;base64,(.*)", images[0], re.DOTALL)
    return {"bytes": base64.b64decode(found[1]), "path": None} if found else None


def _card(part: Part, licence: str) -> str:
    right = sum(row["correct"] for row in part.rows)
    front = {
        "license": licence,
        "task_categories": ["visual-question-answering"],
        "tags": ["medrl", "pass-at-k", "rollouts"],
        "configs": [{"config_name": "default", "data_files": "data/answers.parquet"}],
    }
    columns = "\n".join(f"- `{name}`: {said}" for name, said in SAID.items())
    return (
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n"
        f"# Answers of {part.model} to {part.task}\n\n"
        f"{len(part.rows):,} answers to {len(part.items):,} questions, up to {part.epochs} an "
        f"item; {right:,} are right. Written by `medrl export`.\n\n## Columns\n\n{columns}\n"
    )


def _croissant(part: Part, licence: str, data: Path) -> dict[str, Any]:
    kinds = {"sample": "sc:Integer", "correct": "sc:Boolean", "stored_verdict": "sc:Boolean",
             "image": "sc:ImageObject"}  # fmt: skip
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"answers/{name}",
            "name": name,
            "description": SAID[name],
            "dataType": kinds.get(name, "sc:Text"),
            "source": {"fileObject": {"@id": "parquet"}, "extract": {"column": name}},
        } | ({"repeated": True} if name in ("options", "gold") else {})
        for name in FEATURES if name != "image"
    ]  # fmt: skip
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": part.name,
        "description": f"Answers of {part.model} to {part.task}, with verdicts.",
        "license": licence,
        "version": "1.0.0",
        "datePublished": datetime.date.today().isoformat(),
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "parquet",
                "name": "parquet",
                "contentUrl": "data/answers.parquet",
                "encodingFormat": "application/x-parquet",
                "sha256": sha256(data),
            }
        ],
        "recordSet": [
            {"@type": "cr:RecordSet", "@id": "answers", "name": "answers", "field": fields}
        ],
    }


_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
