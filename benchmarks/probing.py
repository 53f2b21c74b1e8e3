"""How much faster a probe is on features kept than on images encoded again in every epoch.

`python -m benchmarks.probing [MODEL]` from the repository's root; MODEL defaults to
data/micro-base. Times are of the processor, on one thread; compared runs alternate. Both ways take
the same steps of the paper's probe; one encodes all images once more in each epoch.
"""

from __future__ import annotations

import tempfile
import time
import tracemalloc
from collections.abc import Callable
from statistics import median
from typing import Annotated

import numpy as np
import torch
import typer

from medrl_core.data.drawn import phantom
from medrl_core.data.images import ImageSet
from medrl_core.models.towers import Tower, encode, features, open_tower
from medrl_core.vision import probe

EPOCHS = 20
LARGE = 107_180  # training images of PathMNIST


def seconds(way: Callable[[], object]) -> float:
    """Processor time of one call."""
    start = time.process_time()
    way()
    return time.process_time() - start


def streamed(folder: str) -> tuple[float, float]:
    """Seconds and peak MB that numpy takes to encode a PathMNIST-size set with a tiny tower."""
    images = np.zeros((LARGE, 28, 28), np.uint8)
    large = ImageSet("large", "made", "binary", ("a", "b"), {"train": images}, {}, "phantom", "0")
    tower = Tower("tiny", "tiny", lambda batch: batch.reshape(len(batch), -1)[:, :64] / 255)
    tracemalloc.start()
    taken = seconds(lambda: features(tower, large, "train", folder))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return taken, peak / 1e6


def main(
    model: Annotated[str, typer.Argument(help="Tower, as `medrl probe` takes it.")] = (
        "data/micro-base"
    ),
    modality: Annotated[str, typer.Option(help="Phantom that is probed.")] = "blood",
    n: Annotated[int, typer.Option(help="Training images.")] = 512,
    rounds: Annotated[int, typer.Option(help="Alternating runs.")] = 2,
) -> None:
    """Print seconds and ratios of both ways, and the memory of encoding a large set."""
    torch.set_num_threads(1)
    images = phantom.make(modality, n_train=n, n_val=8, n_test=64)
    tower, n_classes = open_tower(model, images), len(images.classes)
    pixels, labels = images.images["train"], images.labels["train"]
    test_x = encode(tower, images.images["test"])

    def on_features(kept: np.ndarray) -> np.ndarray:
        return probe.paper_probe(kept, labels, test_x, n_classes=n_classes, epochs=EPOCHS)

    def encoding_again() -> np.ndarray:
        for _ in range(EPOCHS - 1):
            encode(tower, pixels)
        return on_features(encode(tower, pixels))

    with tempfile.TemporaryDirectory() as folder:
        once = seconds(lambda: features(tower, images, "train", folder))
        fast, slow = [], []
        for _ in range(rounds):
            fast.append(seconds(lambda: on_features(features(tower, images, "train", folder))))
            slow.append(seconds(encoding_again))
        ratios = [b / a for a, b in zip(fast, slow, strict=True)]
        taken, peak = streamed(folder)
    print(f"{model}, {n} images of phantom-{modality}, {EPOCHS} epochs of the paper's probe:")
    print(f"  encoded again every epoch  {median(slow):8.2f} s")
    print(
        f"  on features kept           {median(fast):8.2f} s, {median(ratios):.1f} times "
        f"({min(ratios):.1f} to {max(ratios):.1f})"
    )
    print(
        f"  with encoding them once    {median(fast) + once:8.2f} s, "
        f"{median(slow) / (median(fast) + once):.1f} times (one in {EPOCHS} is the limit)"
    )
    print(f"{LARGE} images streamed: {taken:.1f} s, at most {peak:.2f} MB beside the images")


if __name__ == "__main__":
    typer.run(main)
