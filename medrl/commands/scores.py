"""All statistics of a folder of rollouts, made again from its rows alone, and what follows of them.

Run: medrl score runs/smoke/02_support.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pyarrow as pa

from medrl.commands.log_comparison import named
from medrl_core.errors import printable
from medrl_core.report import tables
from medrl_core.sample import rollouts
from medrl_core.score import boundary
from medrl_core.score.curves import k_to_reach
from medrl_core.score.logs import own
from medrl_core.score.statistics import all_ks, per_item, score, score_exact
from medrl_core.score.thresholds import SUPPORT_K

# Levels of Pass@K whose smallest K is given.
LEVELS = (0.5, 0.9)
# What exact.parquet holds: the columns of `exact.option_probabilities` and the sampling.
EXACT = pa.schema(
    [
        *((name, pa.string()) for name in ("item_id", "image_id", "dataset", "modality")),
        ("n_options", pa.int64()),
        *((name, pa.string()) for name in ("gold", "model_hash")),
        ("temperature", pa.float64()),
        ("given", pa.bool_()),
        ("option", pa.string()),
        ("probability", pa.float64()),
        ("decoding", pa.string()),
    ]
)
# Metrics of exact support and how the summary names them.
SHOWN = {
    "low_pass@k": "exact, at least",
    "high_pass@k": "at most",
    "given_pass@k": "after the greedy reasoning",
}


def score_folder(
    folder: Path, seed: int = 0, kinds: Iterable[tuple[dict[str, str], pd.DataFrame]] | None = None
) -> pd.DataFrame:
    """Score each model, answer format and sampling of a folder; write scores.csv, .parquet, .json.

    Arguments: `folder` holds rollouts.parquet or its parts, and exact.parquet where exact support
    was asked for; `seed` of the bootstrap; `kinds` as `own.kinds` gives them, where read already.
    Returns: the rows of `medrl_core.score.statistics.score`, `k_to_reach` and `score_exact` with
    the columns own.KINDS, for the K of `all_ks`.
    Raises: UserError if the rollouts are missing or cannot be scored.
    """
    parts = []
    exact = folder / "exact.parquet"
    known = rollouts.read_as(exact, EXACT).to_pandas() if exact.is_file() else None
    for kind, rows in own.kinds(folder) if kinds is None else kinds:
        ks = all_ks(per_item(rows))
        found = score(rows, ks, seed)
        found = pd.concat([found, *(k_to_reach(found, level) for level in LEVELS)])
        parts.append(found.assign(**kind))
        if known is not None and kind["answer_format"] == "mcq":
            same = (known.model_hash == kind["model_hash"]) & (known.decoding == kind["decoding"])
            parts.append(score_exact(known[same], ks, seed).assign(**kind))
    scores = pd.concat(parts, ignore_index=True)
    _write(
        folder,
        {
            "scores.csv": lambda path: path.write_text(tables.csv(scores), encoding="utf-8"),
            "scores.parquet": lambda path: scores.to_parquet(path, index=False),
            "scores.json": lambda path: scores.to_json(
                path, orient="records", indent=1, double_precision=15
            ),
        },
    )
    return scores


def write_exact(folder: Path, table: pd.DataFrame, decoding: str) -> None:
    """Keep exact probabilities of options as exact.parquet, beside the rollouts.

    Arguments: `folder` of the rollouts; `table` of `exact.option_probabilities`; `decoding` name
    of the sampling at whose temperature it was made.
    """
    table = table.assign(decoding=decoding)
    whole = pa.Table.from_pandas(table, schema=EXACT, preserve_index=False)
    whole = whole.replace_schema_metadata(None)
    _write(folder, {"exact.parquet": lambda path: rollouts.write_whole(whole, str(path))})


def _write(folder: Path, files: Mapping[str, Callable[[Path], object]]) -> None:
    """Write files so that none is ever half there."""
    partial = {name: folder / f".{name}.partial" for name in files}
    try:
        for name, write in files.items():
            write(partial[name])
        for name, path in partial.items():
            os.replace(path, folder / name)
    finally:
        for path in partial.values():
            path.unlink(missing_ok=True)


def print_scores(folder: Path) -> None:
    """Write the scores of a folder and print the main ones with their intervals."""
    print(summary(score_folder(folder)))
    print(folder / "scores.csv")


def summary(scores: pd.DataFrame) -> str:
    """The main statistics of `score_folder` as text, a block for each model and sampling.

    Arguments: `scores` from `score_folder`.
    Returns: a table a block: a row for all items, then one a data set.
    """
    blocks = []
    for (model, _, answer_format, decoding), rows in scores.groupby(own.KINDS):
        most = rows.k.max()  # 1 without samples, from Acc@1
        wanted: dict[tuple[str, int], tuple[str, tables.Unit]] = {
            ("acc@1", 1): ("Acc@1", "percent"),
            ("pass@k", most): (f"Pass@{most}", "percent"),
            ("gap@k", most): (f"Pass@{most} - Acc@1", "points"),
            ("efficiency@k", most): (f"Acc@1 / Pass@{most}", "number"),
            ("majority_vote", 0): ("majority vote", "percent"),
            ("k_to@0.5", 0): ("K to 50%", "number"),
        }
        small = rows.k[rows.k <= SUPPORT_K].max()
        wanted["excess_support@k", small] = (f"excess support@{small}", "number")
        lines: dict[str, dict[str, str]] = {}
        for row in cast(Any, named(rows)).itertuples():
            if (row.metric, row.k) in wanted:
                title, unit = wanted[row.metric, row.k]
                cells = lines.setdefault(row.shown, {"items": str(row.n_items)})
                cells[title] = tables.interval(row.value, row.low, row.high, unit)
        table = pd.DataFrame.from_dict(lines, orient="index").fillna(tables.MISSING)
        blocks.append(f"{printable(str(model))}, {answer_format}, {decoding}\n{table.to_string()}")
        found = rows[rows.k.eq(most) & rows.metric.isin(SHOWN)]
        if len(found):
            shown = named(found).assign(title=found.metric.map(SHOWN) + f" Pass@{most}")
            blocks.append(tables.pivot(shown, row="shown", column="title").to_string(index=False))
    return "\n\n".join(blocks)


def diagnose_folder(
    folder: Path, k: int, *, tau_support: float, delta_gap: float, seed: int = 0
) -> pd.DataFrame:
    """Apply the decision rule to each data set and modality of a folder; write diagnosis.json.

    A modality that is one whole data set is not said twice.

    Arguments: `folder` holds rollouts; `k` of Pass@K; thresholds as in `boundary.decide`; `seed`.
    Returns: columns own.KINDS and those of `boundary.diagnose`.
    Raises: UserError as `boundary.diagnose`; nothing is written then.
    """
    limits: dict[str, Any] = {"tau_support": tau_support, "delta_gap": delta_gap}
    parts = []
    for kind, rows in own.kinds(folder):
        found = boundary.diagnose(score(rows, [k], seed), k, strict=True, **limits)
        pairs = rows[["dataset", "modality"]].drop_duplicates()
        doubled = pairs.dataset.duplicated(keep=False) | pairs.modality.duplicated(keep=False)
        apart = (found.scope == "modality") & found.name.isin(pairs.modality[doubled])
        parts.append(found[(found.scope == "dataset") | apart].assign(**kind))
    table = pd.concat(parts, ignore_index=True)
    # By to_json, which writes a missing number as null.
    decisions = json.loads(table.to_json(orient="records", double_precision=15))
    content = {"k": k, **limits, "decisions": decisions}
    text = json.dumps(content, indent=1) + "\n"
    _write(folder, {"diagnosis.json": lambda path: path.write_text(text)})
    return table
