"""Probes: how well frozen features separate the classes.

All probes return class scores on the test images: (N, C) that sum to one for binary, multiclass
and ordinal tasks (ordinal is scored as MedMNIST does, like multiclass), (N, L) chances of each
label for multilabel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from medrl_core.errors import UserError
from medrl_core.score.intervals import DRAWS, bootstrap_mean, interval

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # sklearn's C on standardised features
NEIGHBOURS = 20  # as in the paper


def one_hot(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Labels as (N, C) of 0 and 1; multilabel ones are that already."""
    return labels if labels.ndim == 2 else np.eye(n_classes, dtype=np.int64)[labels]


def subset(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Indices of a random share of the images, with each class in its share and at least once.

    Args:
        labels: (N,) classes, or (N, L) for multilabel, where the draw is not stratified.
        fraction: above 0, at most 1.
        seed: subsets of one seed are nested: a larger fraction holds the smaller one.

    Returns:
        Sorted indices.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    if labels.ndim == 2:
        return np.sort(order[: max(1, round(fraction * len(labels)))])
    groups = [order[labels[order] == value] for value in np.unique(labels)]
    return np.sort(np.concatenate([g[: max(1, round(fraction * len(g)))] for g in groups]))


def _fit(x: np.ndarray, y: np.ndarray, strength: float, n_classes: int):
    """A fitted regression as a function from features to (N, C); classes not in y score 0."""
    present = np.unique(y)
    if len(present) == 1:
        return lambda new: np.tile(np.eye(n_classes)[present[0]], (len(new), 1))
    model = LogisticRegression(C=strength, max_iter=1000, tol=1e-3).fit(x, y)

    def scores(new: np.ndarray) -> np.ndarray:
        full = np.zeros((len(new), n_classes))
        full[:, model.classes_] = model.predict_proba(new)
        return full

    return scores


def _one_probe(train_x, train_y, val_x, val_y, test_x, n_classes, strengths) -> np.ndarray:
    fits = [_fit(train_x, train_y, strength, n_classes) for strength in strengths]
    chances = [fit(val_x)[np.arange(len(val_y)), val_y] for fit in fits]
    losses = [-np.log(np.maximum(chance, 1e-12)).mean() for chance in chances]
    return fits[int(np.argmin(losses))](test_x)


def linear_probe(
    train_x: np.ndarray,
    train_y: np.ndarray,
    val_x: np.ndarray,
    val_y: np.ndarray,
    test_x: np.ndarray,
    *,
    n_classes: int,
    strengths: Sequence[float] = STRENGTHS,
) -> np.ndarray:
    """Logistic regression on standardised features, its strength chosen on validation log loss.

    Args:
        train_x, val_x, test_x: (N, D) features.
        train_y, val_y: (N,) classes, or (N, L) for multilabel: then one regression a label.
        n_classes: C or L.
        strengths: inverse L2 strengths to choose from, smallest (most regularised) first.

    Returns:
        (N_test, n_classes) scores.
    """
    scaler = StandardScaler().fit(train_x)
    train, val, test = (scaler.transform(x) for x in (train_x, val_x, test_x))
    if len(train) < train.shape[1]:
        # The L2 solution lies in the span of the training rows: rotate into it, lose nothing.
        basis = np.linalg.svd(train, full_matrices=False)[2].T
        train, val, test = train @ basis, val @ basis, test @ basis
    if train_y.ndim == 1:
        return _one_probe(train, train_y, val, val_y, test, n_classes, strengths)
    columns = [
        _one_probe(train, train_y[:, i], val, val_y[:, i], test, 2, strengths)[:, 1]
        for i in range(n_classes)
    ]
    return np.stack(columns, axis=1)


def paper_probe(
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    *,
    n_classes: int,
    epochs: int = 20,
    learning_rate: float = 0.1,
    batch_size: int = 64,
    seed: int = 0,
) -> np.ndarray:
    """The paper's probe: batch norm without affine, one linear layer, SGD with momentum, cosine.

    Args:
        train_x, test_x: (N, D) features.
        train_y: (N,) classes or (N, L) multilabel.
        n_classes: C or L.
        epochs: passes over the training images (paper: 20).
        learning_rate, batch_size: ours; the paper does not fix them for features of this size.
        seed: of the first weights and the order of images.

    Returns:
        (N_test, n_classes) scores.
    """
    if len(train_x) < 2:
        raise UserError("the paper's probe needs two training images: take a larger share of them")
    x, multilabel = torch.as_tensor(train_x), train_y.ndim == 2
    y = torch.as_tensor(train_y).float() if multilabel else torch.as_tensor(train_y)
    generator = torch.Generator().manual_seed(seed)
    norm = torch.nn.BatchNorm1d(x.shape[1], affine=False)
    linear = torch.nn.Linear(x.shape[1], n_classes)
    torch.nn.init.normal_(linear.weight, std=0.01, generator=generator)
    torch.nn.init.zeros_(linear.bias)
    loss_of = torch.nn.BCEWithLogitsLoss() if multilabel else torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(linear.parameters(), lr=learning_rate, momentum=0.9)
    steps = max(1, len(x) // batch_size)  # a short last batch would spoil the batch statistics
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * steps)
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=generator)
        for rows in order[: steps * batch_size].split(batch_size):
            optimizer.zero_grad()
            loss_of(linear(norm(x[rows])), y[rows]).backward()
            optimizer.step()
            schedule.step()
    norm.eval()
    with torch.inference_mode():
        logits = linear(norm(torch.as_tensor(test_x)))
        return (logits.sigmoid() if multilabel else logits.softmax(-1)).double().numpy()


def knn(
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    *,
    n_classes: int,
    k: int = NEIGHBOURS,
) -> np.ndarray:
    """Share of the k nearest training images (cosine) that have each class.

    The class with most votes wins; of equals, the one with the lower index.

    Args:
        train_x, test_x: (N, D) features.
        train_y: (N,) classes or (N, L) multilabel.
        n_classes: C or L.
        k: neighbours; all training images where there are fewer.

    Returns:
        (N_test, n_classes) scores.
    """
    index = NearestNeighbors(n_neighbors=min(k, len(train_x)), metric="cosine", algorithm="brute")
    near = index.fit(train_x).kneighbors(test_x, return_distance=False)
    return one_hot(train_y, n_classes)[near].mean(axis=1)


def correct(scores: np.ndarray, labels: np.ndarray, task: str) -> np.ndarray:
    """Correctness of each image, (N,): 0 or 1; for multilabel the share of labels that are right.

    The thresholds are those of MedMNIST's evaluator: above 0.5 for binary and multilabel.
    """
    if task == "multilabel":
        return ((scores > 0.5) == labels).mean(axis=1)
    predicted = (scores[:, -1] > 0.5).astype(int) if task == "binary" else scores.argmax(axis=1)
    return (predicted == labels).astype(float)


def auc(scores: np.ndarray, labels: np.ndarray, task: str) -> float:
    """Area under the ROC curve as MedMNIST's evaluator defines it.

    Binary: of the second class. Otherwise the mean over classes of one against the rest; nan
    where a class has no test image.
    """
    columns = range(1, 2) if task == "binary" else range(scores.shape[1])
    truth = one_hot(labels, scores.shape[1])
    if any(len(np.unique(truth[:, i])) < 2 for i in columns):
        return float("nan")
    return float(np.mean([roc_auc_score(truth[:, i], scores[:, i]) for i in columns]))


def predictions(scores: np.ndarray, labels: np.ndarray, task: str) -> tuple[np.ndarray, np.ndarray]:
    """Confidence and correctness of each prediction, two arrays (N,).

    For multilabel each label of each image is one prediction, with confidence max(s, 1 - s).
    """
    if task == "multilabel":
        right = (scores > 0.5) == labels
        return np.maximum(scores, 1 - scores).ravel(), right.ravel().astype(float)
    return scores.max(axis=1), correct(scores, labels, task)


def bins_of(confidence: np.ndarray, bins: int = 10) -> np.ndarray:
    """Number of the bin, of equal width from 0 to 1, that each confidence falls in."""
    return np.minimum((confidence * bins).astype(int), bins - 1)


def ece(scores: np.ndarray, labels: np.ndarray, task: str, bins: int = 10) -> float:
    """Expected calibration error: gap of mean confidence and accuracy, weighted over the bins."""
    confidence, right = predictions(scores, labels, task)
    gaps = np.bincount(bins_of(confidence, bins), weights=confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(right))


def recall(scores: np.ndarray, labels: np.ndarray, task: str, classes: Sequence[str], seed: int = 0
           ) -> pd.DataFrame:  # fmt: skip
    """Share of each class's test images that are found, with bootstrap intervals.

    Returns:
        A row a class: class, value, low, high, n; nan where the class has no test image.
    """
    truth = one_hot(labels, len(classes))
    if task == "multilabel":
        hit = (scores > 0.5).astype(float)
    else:
        hit = np.repeat(correct(scores, labels, task)[:, None], len(classes), axis=1)
    rows = []
    for i, name in enumerate(classes):
        mine = np.flatnonzero(truth[:, i])
        found = bootstrap_mean(hit[mine, i], mine, seed=seed) if len(mine) else None
        ends = (found.value, found.low, found.high) if found else (np.nan,) * 3
        rows.append((name, *ends, len(mine)))
    return pd.DataFrame(rows, columns=["class", "value", "low", "high", "n"])


def metrics(scores: np.ndarray, labels: np.ndarray, task: str) -> dict[str, float]:
    """Accuracy, AUC, balanced accuracy and calibration error of class scores.

    Args:
        scores: (N, C) or (N, L), from a probe.
        labels: (N,) or (N, L).
        task: "binary", "multiclass", "ordinal" or "multilabel".

    Returns:
        accuracy and auc (as MedMNIST's evaluator), balanced_accuracy (mean recall of the classes
        that have test images; for multilabel the mean over labels of sensitivity and specificity)
        and ece.
    """
    right = correct(scores, labels, task)
    if task == "multilabel":
        hit = (scores > 0.5) == labels
        sides = [hit[labels[:, i] == v, i] for i in range(labels.shape[1]) for v in (0, 1)]
    else:
        sides = [right[labels == value] for value in np.unique(labels)]
    return {
        "accuracy": float(right.mean()),
        "auc": auc(scores, labels, task),
        "balanced_accuracy": float(np.mean([side.mean() for side in sides if len(side)])),
        "ece": ece(scores, labels, task),
    }


def _share(hit: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean of hit (M,) in each draw of weights (D, M); nan where nothing was drawn."""
    total = weights.sum(axis=1)
    return np.divide(weights @ hit, total, out=np.full(len(total), np.nan), where=total > 0)


def _auc_draws(score: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve in each draw: weighted share of the pairs in the right order."""
    gap = score[positive][:, None] - score[~positive]
    wins = (gap > 0) + 0.5 * (gap == 0)
    first, second = weights[:, positive], weights[:, ~positive]
    pairs = first.sum(axis=1) * second.sum(axis=1)
    won = ((first @ wins) * second).sum(axis=1)
    return np.divide(won, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)


def metric_intervals(
    scores: np.ndarray, labels: np.ndarray, task: str, *, draws: int = DRAWS, seed: int = 0
) -> pd.DataFrame:
    """`metrics` with percentile intervals of a bootstrap over test images.

    Args:
        scores, labels, task: as in `metrics`.
        draws: bootstrap draws; one that misses a class is left out of what needs that class.
        seed: of the draws.

    Returns:
        A row a metric: metric, value, low, high, n. The calibration error has no interval: drawing
        again adds to its bias, so that the interval could miss the value.
    """
    n = len(labels)
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), draws).astype(float)
    right = correct(scores, labels, task)
    if task == "multilabel":
        hit = ((scores > 0.5) == labels).astype(float)
        columns = [(hit[:, i], labels[:, i] == v) for i in range(labels.shape[1]) for v in (0, 1)]
    else:
        columns = [(right, labels == value) for value in np.unique(labels)]
    sides = [_share(hit[mine], weights[:, mine]) for hit, mine in columns if mine.any()]
    truth = one_hot(labels, scores.shape[1]).astype(bool)
    classes = range(1, 2) if task == "binary" else range(scores.shape[1])
    areas = [_auc_draws(scores[:, i], truth[:, i], weights) for i in classes]
    drawn = {
        "accuracy": _share(right, weights),
        "auc": np.mean(areas, axis=0),
        "balanced_accuracy": np.mean(sides, axis=0),
        "ece": np.full(draws, np.nan),
    }
    values = metrics(scores, labels, task)
    rows = [(name, value, *interval(drawn[name]), n) for name, value in values.items()]
    return pd.DataFrame(rows, columns=["metric", "value", "low", "high", "n"])


def majority_rate(labels: np.ndarray) -> float:
    """Accuracy of always naming the commonest class (of each label, for multilabel)."""
    if labels.ndim == 2:
        return float(np.maximum(labels.mean(axis=0), 1 - labels.mean(axis=0)).mean())
    return float(np.bincount(labels).max() / len(labels))
