"""Make the phantom: eight drawn imaging modalities after the families of MedMNIST.

Evidence of a class is structure (shape, texture, place, count). Place, scale, turn, contrast,
light, colour cast, blur and noise vary freely. Image i of a split depends on the name, split,
seed, size and i alone, so a larger set begins with the smaller one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from medrl_core.data.drawn import phantom_colour, phantom_grey
from medrl_core.data.drawn.canvas import Canvas, develop, generator
from medrl_core.data.images import ImageSet, npz_bytes
from medrl_core.errors import UserError

Draw = Callable[[int, Canvas], np.ndarray]


@dataclass(frozen=True)
class Phantom:
    """One drawn modality.

    Arguments:
        name: key of the modality, as "blood".
        title: the modality as a question names it, as "blood smear".
        task: "binary", "multiclass" or "ordinal".
        classes: class names.
        channels: 1 or 3.
        difficulty: sd of the pixel noise, in parts of the full range.
        draw: gives the drawing of a class on a canvas.
        turn: largest turn of the field of view in radians; small where up and down mean something.
        tone: usual mean of each channel, 0 to 1.
    """

    name: str
    title: str
    task: str
    classes: tuple[str, ...]
    channels: int
    difficulty: float
    draw: Draw
    turn: float
    tone: tuple[float, ...]


MODALITIES = {
    phantom.name: phantom
    for phantom in (
        Phantom(
            "chest",
            "chest X-ray",
            "multiclass",
            phantom_grey.CHEST,
            1,
            0.08,
            phantom_grey.chest,
            0.08,
            (0.5,),
        ),
        Phantom(
            "breast",
            "breast ultrasound",
            "binary",
            phantom_grey.BREAST,
            1,
            0.08,
            phantom_grey.breast,
            0.12,
            (0.45,),
        ),
        Phantom(
            "ct",
            "abdominal CT",
            "multiclass",
            phantom_grey.CT,
            1,
            0.08,
            phantom_grey.ct,
            0.12,
            (0.38,),
        ),
        Phantom(
            "oct",
            "retinal OCT",
            "multiclass",
            phantom_grey.OCT,
            1,
            0.08,
            phantom_grey.oct_scan,
            0.12,
            (0.38,),
        ),
        Phantom(
            "fundus",
            "fundus photograph",
            "ordinal",
            phantom_colour.FUNDUS,
            3,
            0.03,
            phantom_colour.fundus,
            0.2,
            (0.56, 0.4, 0.3),
        ),
        Phantom(
            "derm",
            "skin photograph",
            "multiclass",
            phantom_colour.DERM,
            3,
            0.05,
            phantom_colour.derm,
            3.2,
            (0.62, 0.5, 0.45),
        ),
        Phantom(
            "histology",
            "tissue slide",
            "multiclass",
            phantom_colour.HISTOLOGY,
            3,
            0.05,
            phantom_colour.histology,
            3.2,
            (0.62, 0.52, 0.62),
        ),
        Phantom(
            "blood",
            "blood smear",
            "multiclass",
            phantom_colour.BLOOD,
            3,
            0.05,
            phantom_colour.blood,
            3.2,
            (0.62, 0.52, 0.56),
        ),
    )
}


def _find(name: str) -> Phantom:
    if name not in MODALITIES:
        raise UserError(f"no phantom modality {name!r}: use one of {', '.join(MODALITIES)}")
    return MODALITIES[name]


def draw_images(
    name: str, labels: np.ndarray, seed: int, size: int = 28, split: str = "train"
) -> np.ndarray:
    """Draws one image for each label.

    Arguments:
        name: a key of `MODALITIES`.
        labels: (N,) class numbers.
        seed: whole number >= 0.
        size: pixels a side, at least 8.
        split: part of the key of each image, so that splits share none.

    Returns:
        (N, size, size) or (N, size, size, 3) uint8; image i depends on name, label i, seed, size,
        split and i alone.

    Raises:
        UserError: unknown name or label, or size or seed out of range.
    """
    phantom = _find(name)
    labels = np.asarray(labels, dtype=np.int64)
    if seed < 0:
        raise UserError(f"seed={seed} is negative: use 0 or more")
    if size < 8:
        raise UserError(f"size={size} is too small to draw {name}: use at least 8")
    if labels.size and (labels.min() < 0 or labels.max() >= len(phantom.classes)):
        raise UserError(
            f"a label of {name} is not in 0..{len(phantom.classes) - 1}: number classes so"
        )
    shape = (size, size) if phantom.channels == 1 else (size, size, 3)
    images = np.empty((len(labels), *shape), np.uint8)
    for i, label in enumerate(labels):
        rng = generator("phantom", name, split, seed, i)
        canvas = Canvas(size, rng, phantom.turn, shift=0.08, zoom=0.1)
        images[i] = develop(phantom.draw(int(label), canvas), rng, phantom.tone, phantom.difficulty)
    return images


def draw_labels(name: str, n: int, seed: int, split: str) -> np.ndarray:
    """Draws n labels so that every run of as many images as classes holds each class once.

    Arguments:
        name: a key of `MODALITIES`.
        n: number of labels.
        seed: whole number >= 0.
        split: "train", "val" or "test".

    Returns:
        (n,) int64; label i does not depend on n.

    Raises:
        UserError: unknown name or negative seed.
    """
    if seed < 0:
        raise UserError(f"seed={seed} is negative: use 0 or more")
    classes = len(_find(name).classes)
    blocks = [
        generator("labels", name, split, seed, b).permutation(classes)
        for b in range(-(-n // classes))
    ]
    return np.concatenate([np.empty(0, np.int64), *blocks])[:n].astype(np.int64)


def make(
    name: str,
    *,
    size: int = 28,
    n_train: int = 600,
    n_val: int = 150,
    n_test: int = 300,
    seed: int = 0,
) -> ImageSet:
    """Makes the image set of one modality.

    Arguments:
        name: a key of `MODALITIES`.
        size: pixels a side.
        n_train, n_val, n_test: images a split; classes are even in each.
        seed: whole number >= 0.

    Returns:
        The image set "phantom-<name>"; `md5` is that of the file `write_npz` would write.

    Raises:
        UserError: unknown name, or size, seed or a count out of range.
    """
    phantom = _find(name)
    counts = {"train": n_train, "val": n_val, "test": n_test}
    for split, n in counts.items():
        if n < 1:
            raise UserError(f"n_{split}={n} of phantom-{name}: use at least 1")
    labels = {split: draw_labels(name, n, seed, split) for split, n in counts.items()}
    images = {split: draw_images(name, labels[split], seed, size, split) for split in counts}
    return ImageSet(
        name=f"phantom-{name}",
        modality=phantom.title,
        task=phantom.task,
        classes=phantom.classes,
        images=images,
        labels=labels,
        origin="phantom",
        md5=hashlib.md5(npz_bytes(images, labels)).hexdigest(),
    )
