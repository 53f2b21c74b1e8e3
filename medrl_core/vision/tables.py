"""Tables of the vision axis, made from the readings of `medrl_core.vision.axis` alone.

Where a table has one number a tower, it is that of the linear probe on all labels, or of the
tower's own head where it was trained end to end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from medrl_core.data.images import ImageSet
from medrl_core.errors import UserError
from medrl_core.score.intervals import Estimate, bootstrap_draws, bootstrap_mean, interval
from medrl_core.vision import probe
from medrl_core.vision.axis import Look, Reading
from medrl_core.vision.cka import linear_cka

ALL_SETS = "all sets"  # the mean over image sets, each set counting the same
HEADLINE = ("linear", "end to end")  # each tower has one of the two


def _full(readings: Iterable[Reading]) -> list[Reading]:
    """One reading a tower and set: the headline probe, the largest share of labels, first seed."""
    chosen = [r for r in readings if r.probe in HEADLINE]
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


def metric_table(readings: Sequence[Reading], seed: int = 0) -> pd.DataFrame:
    """Accuracy, AUC, balanced accuracy and calibration error, with intervals over test images.

    Returns:
        A row a (dataset, tower, metric): value, low, high, n, as `probe.metric_intervals`.
    """
    parts = [
        probe.metric_intervals(r.scores, r.labels, r.task, seed=seed).assign(
            dataset=r.dataset, tower=r.tower
        )
        for r in _full(readings)
    ]
    columns = ["dataset", "tower", "metric", "value", "low", "high", "n"]
    return pd.concat(parts, ignore_index=True)[columns]


def recall_table(
    readings: Sequence[Reading], classes: Mapping[str, Sequence[str]], seed: int = 0
) -> pd.DataFrame:
    """Recall of every class of the linear probes on all labels.

    Args:
        readings: from `vision.look`.
        classes: class names of each image set.
        seed: of the bootstrap.

    Returns:
        A row a (dataset, tower, class): value, low, high, n.
    """
    parts = [
        probe.recall(r.scores, r.labels, r.task, classes[r.dataset], seed).assign(
            dataset=r.dataset, tower=r.tower
        )
        for r in _full(readings)
    ]
    return pd.concat(parts, ignore_index=True)


def reliability_table(readings: Sequence[Reading], seed: int = 0) -> pd.DataFrame:
    """Accuracy against confidence of the linear probes on all labels, all image sets together.

    Returns:
        A row a (tower, bin) with at least ten predictions: confidence, value, low, high, n.
    """
    rows, full = [], _full(readings)
    for tower in dict.fromkeys(r.tower for r in readings):
        mine = [r for r in full if r.tower == tower]
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
        readings: from `vision.look`; the linear probes on all labels are compared.
        reference: name of the tower to compare with.
        seed: of the bootstrap.

    Returns:
        A row a (dataset, tower), then rows for the mean over all sets: value, low,
        high, n.

    Raises:
        UserError: no such tower.
    """
    full = {(r.dataset, r.tower): r.correct for r in _full(readings)}
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


def similarity_table(seen: Look) -> pd.DataFrame:
    """Linear CKA of the test features of each pair of towers, the mean over image sets.

    Returns:
        A row a (tower, other): value from 0 (unlike) to 1 (alike but for rotation and scale), n
        (image sets).
    """
    datasets, towers = (list(dict.fromkeys(side)) for side in zip(*seen.features, strict=True))
    rows = []
    for tower in towers:
        for other in towers:
            pairs = ((seen.features[d, tower], seen.features[d, other]) for d in datasets)
            values = [linear_cka(*pair) for pair in pairs]
            rows.append((tower, other, float(np.mean(values)), len(values)))
    return pd.DataFrame(rows, columns=["tower", "other", "value", "n"])


def mistakes(
    readings: Sequence[Reading], image_sets: Sequence[ImageSet], each: int = 3
) -> pd.DataFrame:
    """What each tower gets wrong with most confidence, among images that may be shown.

    Args:
        readings: from `look`.
        image_sets: those that were looked at; only phantom images are taken, and none of a
            multilabel set, where one image may be half right.
        each: images a tower, one a set at most as long as there are sets enough.

    Returns:
        A row an image: tower, dataset, row (place in the test images), said, truth, confidence.
    """
    sets = {s.name: s for s in image_sets if s.origin == "phantom" and s.task != "multilabel"}
    rows = []
    for r in _full(readings):
        if r.dataset not in sets:
            continue
        classes, said = sets[r.dataset].classes, r.scores.argmax(axis=1)
        wrong = np.flatnonzero(said != r.labels)
        surest = wrong[np.argsort(-r.scores.max(axis=1)[wrong], kind="stable")][:each]
        for rank, i in enumerate(surest):
            words = classes[said[i]], classes[r.labels[i]]
            rows.append((r.tower, r.dataset, int(i), *words, r.scores[i].max(), rank))
    columns = ["tower", "dataset", "row", "said", "truth", "confidence", "rank"]
    table = pd.DataFrame(rows, columns=columns)
    order = table.sort_values(["rank", "confidence"], ascending=[True, False], kind="stable")
    parts = [order[order.tower == tower].head(each) for tower in dict.fromkeys(table.tower)]
    return pd.concat(parts or [table], ignore_index=True).drop(columns="rank")
