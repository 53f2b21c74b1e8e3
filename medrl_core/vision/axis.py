"""Probe a frozen tower on one image set, or word by word on a group of items.

    images = limited(medmnist.load("breastmnist", root), n_train=600, n_test=300)
    of_set(images, "data/drawn-base")               # linear probe, the paper's probe and kNN
    of_group("drawn:chest film", "data/drawn-base")    # which words of the reasoning can be read?

The notebook on vision does the second with towers that were trained on the way
(`medrl_core.report.sight`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from medrl_core.data import groups
from medrl_core.data.images import SPLITS, ImageSet
from medrl_core.data.items import Item
from medrl_core.errors import UserError
from medrl_core.models.towers import encode, open_tower
from medrl_core.score.intervals import bootstrap_mean
from medrl_core.vision import probe, slots

VALIDATION = 0.25  # of the training images


def limited(whole: ImageSet, *, n_train: int, n_test: int, seed: int = 0) -> ImageSet:
    """Draw n_train training images of a set, a quarter as many for validation, n_test to test.

    Some files come in class order, so images are shuffled; image i does not depend on n.
    """
    keep = {"train": n_train, "val": max(1, round(VALIDATION * n_train)), "test": n_test}
    order = {
        split: np.random.default_rng([seed, SPLITS.index(split)]).permutation(
            len(whole.images[split])
        )[:n]
        for split, n in keep.items()
    }
    return replace(
        whole,
        images={split: whole.images[split][rows] for split, rows in order.items()},
        labels={split: whole.labels[split][rows] for split, rows in order.items()},
    )


def of_set(
    image_set: ImageSet, ref: str, *, layer: str = "merger", pooling: str = "mean", seed: int = 0
) -> pd.DataFrame:
    """Probe one tower on one image set with all training labels.

    Args:
        image_set: images and labels.
        ref, layer, pooling: of the tower, as in `medrl_core.models.towers.open_tower`.
        seed: of the paper's probe and of the bootstrap.

    Returns:
        A row a (probe, metric), probes "linear", "paper" and "knn" (or "end to end" of a tower
        that was trained on the labels itself) and "commonest class": value, low, high, n (test
        images).

    Raises:
        UserError: a split without images, or a tower that cannot be had.
    """
    if empty := [split for split, images in image_set.images.items() if not len(images)]:
        raise UserError(f"{image_set.name} has no images to {' and '.join(empty)}: take others")
    tower = open_tower(ref, image_set, layer=layer, pooling=pooling)
    x = {split: encode(tower, images) for split, images in image_set.images.items()}
    y, n_classes = image_set.labels, len(image_set.classes)
    if tower.head is not None:  # it has learned from all labels: a probe would tell nothing
        scores = {"end to end": tower.head(x["test"])}
    else:
        train = x["train"], y["train"]
        scores = {
            "linear": probe.linear_probe(
                *train, x["val"], y["val"], x["test"], n_classes=n_classes
            ),
            "paper": probe.paper_probe(*train, x["test"], n_classes=n_classes, seed=seed),
            "knn": probe.knn(*train, x["test"], n_classes=n_classes),
        }
    parts = [
        probe.metric_intervals(found, y["test"], image_set.task, seed=seed).assign(probe=kind)
        for kind, found in scores.items()
    ]
    majority = {
        "probe": "commonest class", "metric": "accuracy",
        "value": probe.majority_rate(y["test"]), "n": len(y["test"]),
    }  # fmt: skip
    return pd.concat([*parts, pd.DataFrame([majority])], ignore_index=True)


def of_group(
    group: str, ref: str, *, n_train: int = 600, n_test: int = 128, layer: str = "merger",
    pooling: str = "all", seed: int = 0, root: str | None = None, allow: tuple[str, ...] = (),
) -> pd.DataFrame:  # fmt: skip
    """Probe one tower word by word on a group of items.

    Args:
        group: as in `medrl_core.data.groups.load`.
        ref, layer, pooling: of the tower, as in `medrl_core.models.towers.open_tower`.
        n_train, n_test: items at most; a quarter of n_train chooses the probe's strength.
        seed: of the items and of the bootstrap.
        root, allow: of MedMNIST files.

    Returns:
        A row a slot, then one for all words of a picture together: word, value, low, high, floor
        (rate of the commonest training word), n (test items).

    Raises:
        UserError: unknown group or tower, or one that learns a single label.
    """
    sizes = {"train": n_train, "val": max(1, round(VALIDATION * n_train)), "test": n_test}
    parts = {
        split: groups.load(group, split, n=n, seed=seed, root=root, allow=allow)
        for split, n in sizes.items()
    }
    if ref == "resnet18":
        raise UserError("resnet18 learns one label a picture: probe another tower on a group")
    tower = open_tower(ref, _images(group, parts), layer=layer, pooling=pooling)
    right = slots.probe(tower.encode_batch, *parts.values())
    floors = slots.floors(parts["train"], parts["test"])
    rows = []
    for name, hit, floor in zip(slots.names(parts["test"]), right.T, floors, strict=True):
        found = bootstrap_mean(hit.astype(float), seed=seed)
        rows.append((name, found.value, found.low, found.high, floor, found.n))
    if right.shape[1] > 1:
        found = bootstrap_mean(right.all(1).astype(float), seed=seed)
        rows.append(("all words", found.value, found.low, found.high, float("nan"), found.n))
    return pd.DataFrame(rows, columns=["word", "value", "low", "high", "floor", "n"])


def _images(group: str, parts: dict[str, list[Item]]) -> ImageSet:
    """The pictures of items as a set, for towers that are fitted to the training pictures."""
    images = {split: slots.pictures(items) for split, items in parts.items()}
    labels = {split: np.zeros(len(items), np.int64) for split, items in parts.items()}
    return ImageSet(group, group, "multiclass", ("",), images, labels, "unverified", "")
