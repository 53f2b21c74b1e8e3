"""The card of a trained model or adapter: what it was made from, how, on what, and how it scored.

Experiments write it beside the weights, by huggingface_hub's own class, with the numbers where the
hub's evaluation widgets read them. Run its test: `pytest tests/report/test_modelcard.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from medrl_core.report import myst, tables
from medrl_core.score.statistics import score

_TEXT = """---
{{ card_data }}
---
# {{ title }}

{{ what }} of {{ base }}, made by the notebook {{ notebook }} in the study {{ study }} of medrl,
a companion to the paper *When Does RL Help Medical VLMs?* (arXiv:2603.01301). Not one of the
paper's models.

**Not for medical use.** It was made to study how training changes a model's answers.

## Load it

```python
{{ load }}
```

## Training data

{{ data }}

## Parameters

{{ parameters }}

## Scores

{{ scores }}
"""
_WHOLE = """from medrl_core.models import hub

model, processor = hub.load("FOLDER")  # or AutoModelForImageTextToText, AutoProcessor"""
_ADAPTER = """from peft import AutoPeftModel

model = AutoPeftModel.from_pretrained("FOLDER")  # or hub.load of medrl, which merges it"""


def write(
    folder: Path,
    *,
    base: str,
    notebook: str,
    study: str,
    datasets: list[str],
    parameters: Mapping[str, object],
    rollouts: pd.DataFrame | None = None,
) -> None:
    """Write README.md into a model's folder, and into that of its adapter if there is one.

    Arguments:
        folder: from `hub.save`.
        base: model that training started from.
        notebook: that trained it.
        study: that the run belongs to.
        datasets: names of the data trained on.
        parameters: what the training was told.
        rollouts: its answers to held-out items; None: not measured.
    """
    found = _scores(rollouts)
    shared = {
        "title": myst.escape(Path(folder).name),
        "base": myst.code(base),
        "notebook": myst.code(notebook),
        "study": myst.code(study),
        "data": ", ".join(map(myst.code, datasets)) + ": the training split alone.",
        "parameters": myst.fenced(json.dumps(dict(parameters), indent=1, default=str), "json"),
        "scores": _said(found),
    }
    adapter = Path(folder) / "adapter"
    for place in (Path(folder), adapter):
        if not place.is_dir():
            continue
        alone = place == adapter
        data = ModelCardData(
            base_model=base,
            base_model_relation="adapter" if alone else "finetune",
            library_name="peft" if alone else "transformers",
            pipeline_tag="image-text-to-text",
            datasets=datasets,
            tags=["medrl", notebook, study, *(["lora"] if adapter.is_dir() else [])],
            model_name=Path(folder).name,
            eval_results=[_result(row) for row in found.to_dict("records")] or None,
        )
        what = "A LoRA adapter" if alone else "A fine-tuned copy"
        card = ModelCard.from_template(
            data, template_str=_TEXT, what=what, load=_ADAPTER if alone else _WHOLE, **shared
        )
        card.save(place / "README.md")


def _scores(rollouts: pd.DataFrame | None) -> pd.DataFrame:
    """Acc@1 and the largest Pass@K of each data set, with intervals; no row if not measured."""
    columns = ["data set", "metric", "value", "low", "high"]
    if rollouts is None or rollouts.empty:
        return pd.DataFrame(columns=columns)
    k = int(rollouts.groupby("item_id").sample_index.max().min()) + 1
    found = score(rollouts, ks=[k])
    found = found[(found.scope == "dataset") & found.metric.isin(["acc@1", "pass@k"])]
    named = found.metric.replace("pass@k", f"pass@{k}")
    return found.assign(metric=named).rename(columns={"name": "data set"})[columns]


def _said(found: pd.DataFrame) -> str:
    if found.empty:
        return "Not measured."
    return tables.markdown(found) + "\n\nHeld-out items, 95% intervals clustered by image."


def _result(row: Mapping[Any, Any]) -> EvalResult:
    """A score as the hub's widgets take it: Acc@1 is their accuracy."""
    return EvalResult(
        task_type="visual-question-answering", dataset_type=row["data set"],
        dataset_name=row["data set"], metric_name=row["metric"],
        metric_type="accuracy" if row["metric"] == "acc@1" else row["metric"],
        metric_value=round(float(row["value"]), 4),
    )  # fmt: skip
