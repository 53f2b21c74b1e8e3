"""The boundary explorer: recorded scores for a page that decides again when a threshold moves.

Everything that depends on data is scored here, once, when the book is made; the page's script
compares these numbers with the thresholds, by the rule of `score.boundary`.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, cast

import pandas as pd
import vl_convert

from medrl.book.chapter import Chapter
from medrl.studies import manifest
from medrl_core.sample import rollouts
from medrl_core.score.statistics import default_ks, per_item, score_items
from medrl_core.score.thresholds import DELTA_GAP, SUPPORT_K, TAU_SUPPORT

NOTEBOOKS = ("02_support", "04_rl", "07_vqa")
ARMS = {
    "model": "base", "base": "base", "rl": "RL", "sft": "SFT", "sft_rl": "SFT then RL",
    "rl_grpo": "RL without bonus", "sft_rl_grpo": "SFT then RL without bonus",
}  # fmt: skip
# What the page gets of each K, three numbers each: value, low, high. The floor has no interval.
PARTS = ("pass@k", "excess_support@k", "gap@k")
SPLITS = {"val": "validation", "test": "test", "train": "training"}
DIGITS = 6


def write(chapter: Chapter, folder: Path) -> None:
    """Write the explorer's numbers and the plotting library into a folder of the book's pages.

    Arguments: `chapter` of the book, which knows its studies and runs; `folder` is made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cases = [
        case
        for study in chapter.studies()
        for notebook in NOTEBOOKS
        for case in _cases(chapter, study, notebook)
    ]
    defaults = {"k": SUPPORT_K, "tau": TAU_SUPPORT, "delta": DELTA_GAP}
    content = json.dumps({"defaults": defaults, "cases": cases}, separators=(",", ":"))
    (folder / "scores.js").write_text(f"window.medrlScores = {content};\n")
    library = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    # In a function, so that its names meet no others of the page.
    (folder / "vega.js").write_text(f"(() => {{\n{library}\n}})();\n")


def _cases(chapter: Chapter, study: str, notebook: str) -> list[dict[str, Any]]:
    """Score the models of one run, each image set by itself; none where it has no rollouts."""
    folder = chapter.folder(notebook, study)
    if not (folder / "rollouts.parquet").is_file():
        return []
    parameters = manifest.read(folder).parameters
    frame = rollouts.read(folder)
    words = (frame.model + "//").str.split("/")  # arm, image set and seed, as far as named
    frame = frame.assign(arm=words.str[0], split=frame.item_id.str.split("/").str[1])
    # An arm counts on the image set that it was trained on, from the first of its seeds.
    own = words.str[1].isin([""]) | (words.str[1] == frame.dataset)
    first = words.str[2].isin(["", str(parameters.get("seeds", [0])[0])])
    # Of arms the test items count; the rule looks at the base model's validation items.
    shown = (frame.split == "test") | frame.arm.isin(["base", "model"])
    frame = frame[own & first & shown]
    found = []
    for (split, asked, arm), rows in frame.groupby(["split", "answer_format", "arm"], sort=False):
        for _, one in rows.groupby("model_hash", sort=False):
            items = per_item(one)
            for dataset, part in items.groupby("dataset", sort=True):
                name = chapter.named(str(dataset), notebook, study)
                found.append(
                    {
                        "study": study,
                        "measured": f"{notebook}: {asked}, {SPLITS[str(split)]} items",
                        "model": ARMS.get(str(arm), str(arm)),
                        "modality": f"{part.modality.iloc[0]} ({name})",
                        **_numbers(part, parameters["seed"]),
                    }
                )
    return sorted(found, key=lambda case: (case["measured"], case["modality"]))


def _numbers(items: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Score one image set: Acc@1, and of each K what the rule and the figure need."""
    scores = pd.DataFrame(score_items(items, default_ks(items), seed))
    rows = {(row.metric, row.k): _interval(row) for row in cast(Any, scores).itertuples()}
    ks = sorted(k for metric, k in rows if metric == "gap@k")
    return {
        "n": len(items),
        "acc": rows["acc@1", 1],
        # Of each K nine numbers and the floor, as explorer.js reads them; short, as there are many.
        "k": {
            k: [*(end for part in PARTS for end in rows[part, k]), rows["guess_floor@k", k][0]]
            for k in ks
        },
    }


def _interval(row: Any) -> list[float | None]:
    ends = (float(row.value), float(row.low), float(row.high))
    return [round(end, DIGITS) if math.isfinite(end) else None for end in ends]
