"""The vision axis: probe every tower on every image set and tabulate what they see.

`read` fits the probes and keeps the class scores of every test image; the tables are made from
these readings alone.

Run the tests: pytest tests/test_vision.py
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from medrl_core.data.images import ImageSet
from medrl_core.data.sets import load
from medrl_core.errors import UserError
from medrl_core.measure import probe
from medrl_core.measure.stats import Estimate, bootstrap_draws, bootstrap_mean, interval
from medrl_core.models.towers import features, open_tower

ALL_SETS = "all sets"  # the mean over image sets, each set counting the same


@dataclass(frozen=True)
class Reading:
    """Class scores of the test images from one probe on one tower.

    Args:
        dataset, task: of the image set.
        tower: name of the tower.
        probe: "linear" or "knn".
        fraction: share of the training labels used.
        seed: of the subset; the whole set has one reading only.
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
    keep = {"train": n_train, "val": max(1, n_train // 4), "test": n_test}
    return replace(
        whole,
        images={split: whole.images[split][:n] for split, n in keep.items()},
        labels={split: whole.labels[split][:n] for split, n in keep.items()},
    )


def read(
    image_set: ImageSet,
    towers: Mapping[str, str],
    *,
    fractions: Sequence[float],
    seeds: Sequence[int],
    cache_dir: str | Path,
    layer: str = "merger",
    pooling: str = "mean",
) -> list[Reading]:
    """Probes towers on one image set: linear at each share of the labels, kNN at the largest.

    Args:
        image_set: images and labels.
        towers: name to reference (see `medrl_core.models.towers`).
        fractions: shares of the training labels.
        seeds: of the random subsets; a share of 1 is the whole set and is read once.
        cache_dir: where features are kept.
        layer, pooling: of vision towers.
    """
    n_classes, truth = len(image_set.classes), image_set.labels
    readings = []
    for name, ref in towers.items():
        tower = open_tower(ref, image_set, layer=layer, pooling=pooling)
        x = {split: features(tower, image_set, split, cache_dir) for split in image_set.images}

        def reading(kind: str, fraction: float, seed: int, scores: np.ndarray, name=name) -> None:
            readings.append(
                Reading(
                    image_set.name,
                    image_set.task,
                    name,
                    kind,
                    fraction,
                    seed,
                    truth["test"],
                    scores,
                )  # fmt: skip
            )

        for fraction in sorted(fractions):
            for seed in seeds if fraction < 1 else seeds[:1]:
                rows = probe.subset(truth["train"], fraction, seed)
                train_x, train_y = x["train"][rows], truth["train"][rows]
                linear = probe.linear_probe(
                    train_x, train_y, x["val"], truth["val"], x["test"], n_classes=n_classes
                )
                reading("linear", fraction, seed, linear)
                if fraction == max(fractions):
                    near = probe.knn(train_x, train_y, x["test"], n_classes=n_classes)
                    reading("knn", fraction, seed, near)
    return readings


def probe_once(
    image_set: ImageSet, ref: str, *, layer: str = "merger", pooling: str = "mean", seed: int = 0
) -> pd.DataFrame:
    """Probes one tower on one image set with all training labels, and keeps no features.

    Args:
        image_set: images and labels.
        ref, layer, pooling: of the tower, as in `medrl_core.models.towers.open_tower`.
        seed: of the bootstrap.

    Returns:
        A row a (probe, metric), probes "linear" and "knn" and "commonest class": value, low, high,
        n (test images).
    """
    with tempfile.TemporaryDirectory() as folder:
        readings = read(
            image_set, {ref: ref}, fractions=(1.0,), seeds=(0,), cache_dir=folder,
            layer=layer, pooling=pooling,
        )  # fmt: skip
    parts = [
        probe.metric_intervals(r.scores, r.labels, r.task, seed=seed).assign(probe=r.probe)
        for r in readings
    ]
    labels = image_set.labels["test"]
    majority = {
        "probe": "commonest class",
        "metric": "accuracy",
        "value": probe.majority_rate(labels),
        "n": len(labels),
    }
    return pd.concat([*parts, pd.DataFrame([majority])], ignore_index=True)


def _full(readings: Iterable[Reading], kind: str) -> list[Reading]:
    """The readings of one probe at the largest share of the labels, first seed."""
    chosen = [r for r in readings if r.probe == kind]
    most = max(r.fraction for r in chosen)
    first = next(r.seed for r in chosen if r.fraction == most)
    return [r for r in chosen if r.fraction == most and r.seed == first]


def _mean_over_sets(sets: Sequence[np.ndarray], seed: int) -> Estimate:
    """Mean over sets of the mean over their images; images are drawn again within each set."""
    draws = np.mean(
        [bootstrap_draws(v[:, None], seed=seed + i)[:, 0] for i, v in enumerate(sets)], axis=0
    )
    value = float(np.mean([v.mean() for v in sets]))
    return Estimate(value, *interval(draws), sum(len(v) for v in sets))


def accuracy_table(readings: Sequence[Reading], seed: int = 0) -> pd.DataFrame:
    """Test accuracy of every probe, the mean over seeds, with a bootstrap interval over images.

    Returns:
        A row a (dataset, tower, probe, fraction), then rows for the mean over all sets: value, low,
        high, n (images), seeds, majority (rate of the commonest test class).
    """
    runs: dict[tuple, list[np.ndarray]] = {}
    for r in readings:
        runs.setdefault((r.dataset, r.tower, r.probe, r.fraction), []).append(r.correct)
    majority = {r.dataset: probe.majority_rate(r.labels) for r in readings}
    majority[ALL_SETS] = float(np.mean(list(majority.values())))
    groups = {key: [np.mean(seeds, axis=0)] for key, seeds in runs.items()}
    for rest in dict.fromkeys(key[1:] for key in runs):
        groups[ALL_SETS, *rest] = [v[0] for key, v in groups.items() if key[1:] == rest]
    n_seeds = {key[1:]: len(seeds) for key, seeds in runs.items()}
    rows = []
    for (dataset, *rest), sets in groups.items():
        e = _mean_over_sets(sets, seed)
        numbers = (e.value, e.low, e.high, e.n, n_seeds[tuple(rest)], majority[dataset])
        rows.append((dataset, *rest, *numbers))
    columns = ["dataset", "tower", "probe", "fraction", "value", "low", "high"]
    return pd.DataFrame(rows, columns=[*columns, "n", "seeds", "majority"])


def metric_table(readings: Sequence[Reading]) -> pd.DataFrame:
    """Accuracy, AUC, balanced accuracy and calibration error of the linear probes on all labels.

    Returns:
        A row a (dataset, tower), with one column a metric.
    """
    return pd.DataFrame(
        {"dataset": r.dataset, "tower": r.tower, **probe.metrics(r.scores, r.labels, r.task)}
        for r in _full(readings, "linear")
    )


def recall_table(
    readings: Sequence[Reading], classes: Mapping[str, Sequence[str]], seed: int = 0
) -> pd.DataFrame:
    """Recall of every class of the linear probes on all labels.

    Args:
        readings: from `read`.
        classes: class names of each image set.
        seed: of the bootstrap.

    Returns:
        A row a (dataset, tower, class): value, low, high, n.
    """
    parts = [
        probe.recall(r.scores, r.labels, r.task, classes[r.dataset], seed).assign(
            dataset=r.dataset, tower=r.tower
        )
        for r in _full(readings, "linear")
    ]
    return pd.concat(parts, ignore_index=True)


def reliability_table(readings: Sequence[Reading], seed: int = 0) -> pd.DataFrame:
    """Accuracy against confidence of the linear probes on all labels, all image sets together.

    Returns:
        A row a (tower, bin) with at least ten predictions: confidence, value, low, high, n.
    """
    rows = []
    for tower in dict.fromkeys(r.tower for r in readings):
        mine = [r for r in _full(readings, "linear") if r.tower == tower]
        pairs = [probe.predictions(r.scores, r.labels, r.task) for r in mine]
        confidence, right = (np.concatenate(side) for side in zip(*pairs, strict=True))
        bins = probe.bins_of(confidence)
        for b in np.unique(bins):
            here = np.flatnonzero(bins == b)
            if len(here) >= 10:
                e = bootstrap_mean(right[here], here, seed=seed)
                rows.append((tower, confidence[here].mean(), e.value, e.low, e.high, len(here)))
    return pd.DataFrame(rows, columns=["tower", "confidence", "value", "low", "high", "n"])


def difference_table(readings: Sequence[Reading], reference: str, seed: int = 0) -> pd.DataFrame:
    """Accuracy of each tower minus that of a reference tower on the same test images.

    Args:
        readings: from `read`; the linear probes on all labels are compared.
        reference: name of the tower to compare with.
        seed: of the bootstrap.

    Returns:
        A row a (dataset, tower), then rows for the mean over all sets: value, low,
        high, n.

    Raises:
        UserError: no such tower.
    """
    full = {(r.dataset, r.tower): r.correct for r in _full(readings, "linear")}
    datasets, towers = (list(dict.fromkeys(side)) for side in zip(*full, strict=True))
    if reference not in towers:
        raise UserError(f"no tower {reference!r} to compare with: towers has {', '.join(towers)}")
    rows = []
    for tower in (t for t in towers if t != reference):
        gains = {d: full[d, tower] - full[d, reference] for d in datasets}
        for name, sets in [
            *((d, [gain]) for d, gain in gains.items()),
            (ALL_SETS, [*gains.values()]),
        ]:
            e = _mean_over_sets(sets, seed)
            rows.append((name, tower, e.value, e.low, e.high, e.n))
    return pd.DataFrame(rows, columns=["dataset", "tower", "value", "low", "high", "n"])
