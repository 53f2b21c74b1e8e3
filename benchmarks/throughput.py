"""What the micro model does in a second on this machine, and the memory that each stage takes.

`python -m benchmarks.throughput --out data/throughput.json` from the repository's root. Each stage
runs in processes of its own, on one thread, as the notebooks do; its first call, which sets things
up, is not counted. The book shows the median of the rounds and their ends.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

MODEL = "data/micro-base"


def sampling(model, processor, items, images) -> Callable[[], int]:
    """Sample 16 completions of each item; counts their tokens."""
    from medrl_core.sample.sampling import Decoding, sample

    decoding = Decoding(max_new_tokens=40)

    def call() -> int:
        parts = sample(model, processor, items[:32], k=16, decoding=decoding)
        return sum(row["n_tokens"] for rows in parts for row in rows)

    return call


def sft(model, processor, items, images) -> Callable[[], int]:
    """Fine-tune for five steps of 32 items; counts the items."""
    from medrl_core.train import sft as stage

    def call() -> int:
        stage.train(model, processor, items, steps=5, batch_size=32)
        return 5 * 32

    return call


def rl(model, processor, items, images) -> Callable[[], int]:
    """Train by consistency-aware GRPO for four steps of 64; counts the sampled tokens."""
    from medrl_core.train import grpo

    def call() -> int:
        _, history = grpo.train(model, processor, items, steps=4, learning_rate=1e-6)
        lengths = [row["completions/mean_length"] for row in history]
        return round(64 * sum(lengths))

    return call


def encoding(model, processor, items, images) -> Callable[[], int]:
    """Encode images by the frozen vision tower; counts the images."""
    from medrl_core.models.towers import open_tower

    tower = open_tower(MODEL, images)
    return lambda: len(tower.encode_batch(images.images["train"]))


STAGES = {
    "sampling, 16 answers an item": (sampling, "tokens"),
    "SFT, steps of 32 items": (sft, "items"),
    "consistency-aware GRPO, steps of 64 answers": (rl, "sampled tokens"),
    "frozen vision tower, 28x28 pixels": (encoding, "images"),
}


def measure(stage: Callable, pipe) -> None:
    """Send how much a stage did in a second, and the largest size of this process in MB."""
    import torch

    from medrl_core.data.drawn import phantom
    from medrl_core.data.items import build_items
    from medrl_core.models import hub

    torch.set_num_threads(1)
    images = phantom.make("derm", n_train=256, n_val=8, n_test=8)
    call = stage(*hub.load(MODEL), build_items(images, "train"), images)
    call()
    start = time.perf_counter()
    done = call()
    seconds = time.perf_counter() - start
    pipe.send((done / seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))


def main(
    out: Annotated[Path, typer.Option(help="JSON file of the numbers")],
    rounds: Annotated[int, typer.Option(min=3, help="processes a stage")] = 5,
) -> None:
    """Measure all stages in turn, round after round, and write the file."""
    from medrl.book import measurements
    context = multiprocessing.get_context("spawn")
    found: dict[str, list[tuple[float, int]]] = {name: [] for name in STAGES}
    for _ in range(rounds):
        for name, (stage, _) in STAGES.items():
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=measure, args=(stage, theirs))
            process.start()
            theirs.close()
            found[name].append(ours.recv())
            process.join()
    rows = []
    for name, (_, unit) in STAGES.items():
        speeds, sizes = zip(*found[name], strict=True)
        ends = {"value": median(speeds), "low": min(speeds), "high": max(speeds)}
        rows.append({"stage": name, "unit": unit, **ends, "peak_mb": max(sizes), "n": rounds})
        print(f"{name}: {ends['value']:,.0f} {unit} a second, {max(sizes):,} MB")
    measurements.record(out, rows)


if __name__ == "__main__":
    typer.run(main)
