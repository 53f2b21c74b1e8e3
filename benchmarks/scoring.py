"""How long it takes to score a million rollouts, and to compare two models on them.

`python -m benchmarks.scoring [ROWS]` from the repository's root. The rollouts are made up; times
are wall-clock seconds, reading from Parquet included.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from medrl.commands.scores import compare_folders, score_folder
from medrl_core.sample.rollouts import SCHEMA

K = 16
SETS = ("blood", "chest", "oct", "derm", "ct", "fundus")
OPTIONS = 4


def make(folder: Path, rows: int, seed: int) -> Path:
    """Write a folder of about `rows` rollouts: K samples and a greedy answer an item, six sets."""
    rng = np.random.default_rng(seed)
    items = rows // (K + 1)
    of = np.arange(items).repeat(K + 1)
    sample = np.tile(np.arange(-1, K), items)
    chance = rng.beta(0.5, 0.7, items)
    letters = np.array(list("ABCD"))
    wrong = letters[1 + rng.integers(OPTIONS - 1, size=len(of))]
    answer = np.where(rng.random(len(of)) < chance[of], "A", wrong)
    names = np.array(SETS)[of % len(SETS)]
    n = len(of)
    columns = {
        "item_id": np.char.add("i", of.astype(str)),
        "image_id": np.char.add("x", (of // 2).astype(str)),  # two items an image
        "dataset": names, "modality": names, "answer_format": np.full(n, "mcq"),
        "n_options": np.full(n, OPTIONS), "gold": np.full(n, "A"), "model": np.full(n, "m"),
        "model_hash": np.full(n, f"h{seed}"), "prompt_hash": np.full(n, "p"),
        "sample_index": sample, "seed": np.zeros(n, int),
        "decoding": np.where(sample < 0, "greedy", "temperature=1,top_p=1,top_k=0"),
        "text": np.char.add(np.char.add("<answer>", answer), "</answer>"), "parsed": answer,
        "parse_rule": np.full(n, "tag"), "correct": answer == "A", "n_tokens": np.full(n, 9),
        "finish_reason": np.full(n, "stop"), "logprob": np.full(n, -1.0),
    }  # fmt: skip
    folder.mkdir()
    pq.write_table(pa.table(columns).cast(SCHEMA), folder / "rollouts.parquet")
    return folder


def seconds(run: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main(rows: Annotated[int, typer.Argument(help="Rollouts.")] = 1_000_000) -> None:
    """Print the seconds of `medrl score` and of `medrl score A B` on made-up rollouts."""
    with TemporaryDirectory() as place:
        a, b = (make(Path(place, str(seed)), rows, seed) for seed in (0, 1))
        n = pq.read_metadata(a / "rollouts.parquet").num_rows
        print(f"{n:,} rollouts, {n // (K + 1):,} items, {len(SETS)} sets, K = 1 to {K}:")
        print(f"  medrl score DIR   {seconds(lambda: score_folder(a)):6.1f} s")
        print(f"  medrl score A B   {seconds(lambda: compare_folders(a, b)):6.1f} s, twice as many")


if __name__ == "__main__":
    typer.run(main)
