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

MODEL, GROUP = "data/drawn-base", "drawn:chest film"


def sampling(net, processor, items) -> Callable[[], int]:
    """Sample 16 completions of each of 32 items; counts their tokens."""
    from medrl_core.sample.sampling import Decoding, sample

    decoding = Decoding(max_new_tokens=24)

    def call() -> int:
        parts = sample(net, processor, items[:32], k=16, decoding=decoding)
        return sum(one.n_tokens for part in parts for one in part)

    return call


def sft(net, processor, items) -> Callable[[], int]:
    """Fine-tune for five steps of 32 items; counts the items."""
    from medrl_core.train import sft as stage

    def call() -> int:
        stage.train(net, processor, items, steps=5, batch_size=32)
        return 5 * 32

    return call


def rl(net, processor, items) -> Callable[[], int]:
    """Train by GRPO for four steps of 64 completions; counts the completions."""
    from medrl_core.train import rl as stage

    settings = stage.RL(completions=4 * 64, learning_rate=1e-6)

    def call() -> int:
        stage.train(net, processor, items, settings)
        return settings.completions

    return call


def encoding(net, processor, items) -> Callable[[], int]:
    """Encode pictures by the frozen vision tower; counts them."""
    from medrl_core.models import tokens
    from medrl_core.vision import slots

    encode = tokens.encoder(net, processor.image_processor, pooling="all")
    pictures = slots.pictures(items)
    return lambda: len(slots.features(encode, pictures))


STAGES = {
    "sampling, 16 answers an item": (sampling, "tokens"),
    "SFT, steps of 32 items": (sft, "items"),
    "GRPO, steps of 64 answers": (rl, "answers"),
    "frozen vision tower, 32x32 pixels": (encoding, "pictures"),
}


def measure(stage: Callable, pipe) -> None:
    """Send how much a stage did in a second, and the largest size of this process in MB."""
    import torch

    from medrl_core.data import groups
    from medrl_core.models import hub

    torch.set_num_threads(1)
    call = stage(*hub.load(MODEL), groups.load(GROUP, "train", n=256))
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
