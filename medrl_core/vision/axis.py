"""The vision axis: probe every tower on every image set.

`look` fits the probes and keeps the class scores of every test image; the tables of
`medrl_core.vision.tables` are made from these readings alone.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from medrl_core.data.images import ImageSet
from medrl_core.data.sets import load
from medrl_core.errors import UserError
from medrl_core.models.towers import NoTower, Tower, features, open_tower
from medrl_core.vision import cost, probe


@dataclass(frozen=True)
class Reading:
    """Class scores of the test images from one probe on one tower.

    Args:
        dataset, task: of the image set.
        tower: name of the tower.
        probe: "linear", "paper", "knn", or "end to end" for a tower with a head of its own.
        fraction: share of the training labels used.
        seed: of the subset, and of the paper's probe; where neither draws there is one reading.
        labels: (N,) or (N, L) of the test images.
        scores: (N, C) or (N, L).
    """

    dataset: str
    task: str
    tower: str
    probe: str
    fraction: float
    seed: int
    labels: np.ndarray
    scores: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        """Correctness of each test image, (N,)."""
        return probe.correct(self.scores, self.labels, self.task)


def load_limited(
    name: str, *, n_train: int, n_test: int, root: str | None, size: int, allow: Sequence[str],
    seed: int,
) -> ImageSet:  # fmt: skip
    """An image set with at most n_train training (and a quarter of it validation) and n_test test
    images.

    Args:
        name, root, size, allow, seed: as in `medrl_core.data.sets.load`.
        n_train, n_test: images wanted; fewer where the set has fewer.
    """
    # The loader gives half as many test as training images; image i is the same whatever n is.
    whole = load(
        name, root=root, size=size, allow=tuple(allow), n=max(n_train, 2 * n_test), seed=seed
    )
    return limited(whole, n_train=n_train, n_test=n_test)


def limited(whole: ImageSet, *, n_train: int, n_test: int) -> ImageSet:
    """The first images of a set: n_train training, a quarter of it validation, n_test test."""
    keep = {"train": n_train, "val": max(1, n_train // 4), "test": n_test}
    return replace(
        whole,
        images={split: whole.images[split][:n] for split, n in keep.items()},
        labels={split: whole.labels[split][:n] for split, n in keep.items()},
    )


@dataclass(frozen=True)
class Look:
    """What towers make of image sets.

    Args:
        readings: class scores of all probes.
        features: (dataset, tower) to (N, D) features of the test images.
        costs: tower to a row a resolution, from `medrl_core.vision.cost`.
        absent: tower to the reason why it was not run.
    """

    readings: list[Reading] = field(default_factory=list)
    features: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    costs: dict[str, pd.DataFrame] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)


def _read(
    image_set: ImageSet,
    name: str,
    tower: Tower,
    x: Mapping[str, np.ndarray],
    fractions: Sequence[float],
    seeds: Sequence[int],
) -> list[Reading]:
    """All probes of one tower on one image set; `x` maps a split to its features."""
    n_classes, truth = len(image_set.classes), image_set.labels
    readings = []

    def keep(kind: str, fraction: float, seed: int, scores: np.ndarray) -> None:
        about = (image_set.name, image_set.task, name, kind, fraction, seed)
        readings.append(Reading(*about, truth["test"], scores))

    if tower.head is not None:  # it has learned from all labels: a probe would tell nothing
        keep("end to end", 1.0, seeds[0], tower.head(x["test"]))
        return readings
    most = max(fractions)
    for fraction in sorted(fractions):
        for seed in seeds:
            rows = probe.subset(truth["train"], fraction, seed)
            train_x, train_y = x["train"][rows], truth["train"][rows]
            # At a share of 1 a seed moves the paper's probe only: the others would say the same.
            drawn = fraction < 1 or seed == seeds[0]
            if drawn:
                scores = probe.linear_probe(
                    train_x, train_y, x["val"], truth["val"], x["test"], n_classes=n_classes
                )
                keep("linear", fraction, seed, scores)
            if fraction < most:
                continue
            scores = probe.paper_probe(train_x, train_y, x["test"], n_classes=n_classes, seed=seed)
            keep("paper", fraction, seed, scores)
            if drawn:
                scores = probe.knn(train_x, train_y, x["test"], n_classes=n_classes)
                keep("knn", fraction, seed, scores)
    return readings


def look(
    image_sets: Sequence[ImageSet],
    towers: Mapping[str, str],
    *,
    fractions: Sequence[float],
    seeds: Sequence[int],
    cache_dir: str | Path,
    layer: str = "merger",
    pooling: str = "mean",
) -> Look:
    """Probes towers on image sets: linear at each share of the labels, the others at the largest.

    Args:
        image_sets: images and labels.
        towers: name to reference (see `medrl_core.models.towers`). One that cannot be had here is
            left out with its reason.
        fractions: shares of the training labels.
        seeds: of the random subsets and of the paper's probe.
        cache_dir: where features are kept.
        layer, pooling: of vision towers.

    Raises:
        UserError: none of the towers can be had, or one cannot be opened for another reason.
    """
    for image_set in image_sets:
        if empty := [split for split, images in image_set.images.items() if not len(images)]:
            raise UserError(f"{image_set.name} has no images to {' and '.join(empty)}: take others")
    found = Look()
    for name, ref in towers.items():
        try:
            for image_set in image_sets:
                tower = open_tower(ref, image_set, layer=layer, pooling=pooling)
                x = {k: features(tower, image_set, k, cache_dir) for k in image_set.images}
                found.readings.extend(_read(image_set, name, tower, x, fractions, seeds))
                found.features[image_set.name, name] = x["test"]
                print(f"{name}: probed on {image_set.name}", file=sys.stderr)
                if name not in found.costs:
                    found.costs[name] = cost.of(tower, image_set.images["test"])
        except NoTower as error:
            found.absent[name] = str(error)
    if not found.readings:
        raise UserError("no tower could be run: " + "; ".join(found.absent.values()))
    return found


def probe_once(
    image_set: ImageSet, ref: str, *, layer: str = "merger", pooling: str = "mean", seed: int = 0
) -> pd.DataFrame:
    """Probes one tower on one image set with all training labels, and keeps no features.

    Args:
        image_set: images and labels.
        ref, layer, pooling: of the tower, as in `medrl_core.models.towers.open_tower`.
        seed: of the paper's probe and of the bootstrap.

    Returns:
        A row a (probe, metric), probes "linear", "paper" and "knn" (or "end to end") and
        "commonest class": value, low, high, n (test images).
    """
    with tempfile.TemporaryDirectory() as folder:
        found = look(
            [image_set], {ref: ref}, fractions=(1.0,), seeds=(seed,), cache_dir=folder,
            layer=layer, pooling=pooling,
        )  # fmt: skip
    parts = {
        r.probe: probe.metric_intervals(r.scores, r.labels, r.task, seed=seed).assign(
            probe=r.probe
        )
        for r in found.readings
    }
    shown = [parts[kind] for kind in ("linear", "paper", "knn", "end to end") if kind in parts]
    labels = image_set.labels["test"]
    majority = {
        "probe": "commonest class",
        "metric": "accuracy",
        "value": probe.majority_rate(labels),
        "n": len(labels),
    }
    return pd.concat([*shown, pd.DataFrame([majority])], ignore_index=True)
