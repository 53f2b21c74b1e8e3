"""Load any image set by name, drawn or real."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from medrl_core.data import medmnist
from medrl_core.data.drawn import phantom
from medrl_core.data.drawn.canvas import generator
from medrl_core.data.images import ImageSet
from medrl_core.errors import UserError


def load(
    name: str,
    *,
    root: str | Path | None = None,
    size: int = 28,
    allow: tuple[str, ...] = (),
    n: int | None = None,
    seed: int = 0,
) -> ImageSet:
    """Loads any image set by name, drawn or real.

    Arguments:
        name: "phantom-<modality>", or one of the MedMNIST names.
        root: folder of the MedMNIST files; the phantom needs none.
        size: pixels a side.
        allow: names of the real sets whose file need not match the published sum.
        n: training images (val n // 4, test n // 2); None takes all, or the phantom's default.
        seed: seed of the phantom; real sets have none.

    Returns:
        The image set. Real sets come in a fixed shuffled order, so that the first n hold every
        class; image i is the same one whatever n is.

    Raises:
        UserError: unknown name, missing or refused file, impossible size.
    """
    if n is not None and n < 4:
        raise UserError(f"n={n} is too few images: use at least 4")
    if name.startswith("phantom-"):
        counts = {} if n is None else {"n_train": n, "n_val": n // 4, "n_test": n // 2}
        return phantom.make(name.removeprefix("phantom-"), size=size, seed=seed, **counts)
    whole = medmnist.load(name, root=root, size=size, allow=allow)
    keep = {"train": n, "val": n and n // 4, "test": n and n // 2}
    # Some files come in class order. The shuffle knows nothing of n, so image i stays image i.
    order = {
        split: generator("order", name, split).permutation(len(whole.labels[split]))[:k]
        for split, k in keep.items()
    }
    return replace(
        whole,
        images={split: whole.images[split][rows] for split, rows in order.items()},
        labels={split: whole.labels[split][rows] for split, rows in order.items()},
    )
