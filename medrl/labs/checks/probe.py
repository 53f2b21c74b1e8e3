"""Checks of lab 2: blind accuracy, no leak, kNN, paired comparison, what is not said."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from medrl.labs.checks import compare
from medrl_core.vision import probe

SEEN, SAID = 9 / 10, 1 / 2


def blind_accuracy(answer: Callable) -> None:
    """Check blind_accuracy(train_labels, test_labels)."""
    compare.function(
        answer,
        lambda train, test: float((test == np.bincount(train).argmax()).mean()),
        [
            (np.array([2, 2, 2, 0, 1]), np.array([2, 1, 1, 1])),
            (np.array([0, 0, 1]), np.array([1, 0, 1, 0, 2])),
        ],
        {
            "you look for the commonest class in the test labels: that is a leak": (
                lambda train, test: float(np.bincount(test).max() / len(test))
            ),
            "that is its share among the training images; test it on the test labels": (
                lambda train, test: float(np.bincount(train).max() / len(train))
            ),
            "that is guessing evenly among the classes": (
                lambda train, test: 1 / len(np.unique(train))
            ),
            "an accuracy is asked for, not a class": lambda train, test: np.bincount(
                train
            ).argmax(),
            "a share is asked for, not a count": (
                lambda train, test: float((test == np.bincount(train).argmax()).sum())
            ),
        },
    )


def standardise(answer: Callable) -> None:
    """Check standardise(train, test) on features of which one never changes."""
    rng = np.random.default_rng(0)
    train = np.column_stack([rng.normal(5, 2, 12), rng.normal(0, 9, 12), np.ones(12)])
    test = np.column_stack([rng.normal(8, 1, 7), rng.normal(3, 4, 7), np.ones(7)])

    def both(answer: Callable) -> Callable:
        return lambda *arrays: np.concatenate(answer(*arrays))

    def scaled(train: np.ndarray, test: np.ndarray, own: np.ndarray, of: np.ndarray) -> np.ndarray:
        parts = [
            (train - own.mean(axis=0)) / (own.std(axis=0) + 1e-8),
            (test - of.mean(axis=0)) / (of.std(axis=0) + 1e-8),
        ]
        return np.concatenate(parts)

    compare.not_blank(answer)
    given = compare.call(answer, (train, test))
    if given is None:
        raise compare.NotYet(compare.NOTHING)
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise compare.NotYet("return both arrays: return train..., test...")
    compare.function(
        both(answer),
        lambda a, b: scaled(a, b, a, a),
        [(train, test)],
        {
            "the test images set their own mean and spread: use those of the training images": (
                lambda a, b: scaled(a, b, a, b)
            ),
            "mean and spread come from all images together: the test images leak in": (
                lambda a, b: scaled(a, b, np.concatenate([a, b]), np.concatenate([a, b]))
            ),
            "mean and spread are of all features together: take them feature by feature (axis=0)": (
                lambda a, b: (np.concatenate([a, b]) - a.mean()) / (a.std() + 1e-8)
            ),
        },
    )


def knn(answer: Callable) -> None:
    """Check knn(train_x, train_y, test_x, k) against the core's own."""
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(60, 3)), rng.normal(size=(25, 3))
    # Lengths that differ much, so that distance and angle disagree.
    train *= rng.uniform(0.1, 9, (60, 1))
    labels = (train[:, 0] > 0).astype(int) + 2 * (train[:, 1] / abs(train[:, 2]) > 0.5)

    def voted(similarity: np.ndarray, y: np.ndarray, k: int) -> np.ndarray:
        near = np.argsort(-similarity, axis=1)[:, :k]
        return np.array([np.bincount(y[row]).argmax() for row in near])

    def unit(x: np.ndarray) -> np.ndarray:
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    compare.function(
        answer,
        lambda x, y, new, k: probe.knn(x, y, new, n_classes=4, k=k).argmax(axis=1),
        [(train, labels, test, 1), (train, labels, test, 7)],
        {
            "near is meant by angle: divide each vector by its length": (
                lambda x, y, new, k: voted(new @ x.T, y, k)
            ),
            "that is the plain distance; near is meant by angle": (
                lambda x, y, new, k: voted(-((new[:, None] - x) ** 2).sum(-1), y, k)
            ),
            "you take the farthest images: argsort begins with the smallest": (
                lambda x, y, new, k: voted(-unit(new) @ unit(x).T, y, k)
            ),
            "only one neighbour decides: let all k vote": (
                lambda x, y, new, k: voted(unit(new) @ unit(x).T, y, 1)
            ),
        },
    )


def paired_draw(answer: Callable) -> None:
    """Check paired_draw(a, b, rng), by the spread of its draws.

    The two agree on nearly all images, so draws that are not paired spread far more.
    """
    compare.not_blank(answer)
    rng = np.random.default_rng(0)
    b = (rng.random(60) < 0.5).astype(float)
    a = b.copy()
    a[np.flatnonzero(b == 0)[:6]] = 1
    if compare.call(answer, (a, b, np.random.default_rng(0))) is None:
        raise compare.NotYet(compare.NOTHING)
    rng = np.random.default_rng(1)
    draws = np.array([answer(a, b, rng) for _ in range(1000)])
    paired = float(np.std(a - b) / np.sqrt(60))
    apart = float(np.sqrt((a.var() + b.var()) / 60))
    if draws.std() < 1e-9:
        raise compare.NotYet("every draw gives the same: draw with replacement, and use rng")
    if abs(draws.mean() - (a - b).mean()) > 0.25 * paired:
        raise compare.NotYet("the middle of your draws is off: a minus b is asked for")
    if abs(draws.std() - apart) < abs(draws.std() - paired):
        raise compare.NotYet(
            "the two towers are drawn apart: look at both on the same drawn images"
        )
    if abs(draws.std() - paired) > 0.15 * paired:
        raise compare.NotYet("the spread of your draws is off: draw as many images as there are")
    print("Right.")


def learned(answer: list[str], gains: pd.DataFrame) -> None:
    """Check the words that the base tower surely shows better than the random one.

    Arguments: `answer` names; `gains` columns word, difference, value, low and high.
    """
    ours = gains[gains.difference == "base minus random"]
    pixels = gains[gains.difference == "base minus pixels"]
    compare.names(
        answer,
        ours.word[ours.low > 0],
        {
            "you look at the value alone: the whole interval must lie above zero": (
                ours.word[ours.value > 0]
            ),
            "that is against pixels: the random tower is asked for": pixels.word[pixels.low > 0],
            "that takes rows of both comparisons": gains.word[gains.low > 0],
        },
    )


def not_said(answer: list[str], table: pd.DataFrame) -> None:
    """Check the words that are seen and not said; `table` has the columns word, seen and said."""
    seen, said = table.seen >= SEEN, table.said >= SAID
    compare.names(
        answer,
        table.word[seen & ~said],
        {
            "these words are seen and said: those that are not said are asked for": (
                table.word[seen & said]
            ),
            "a word that is not even seen is another matter: leave it out": table.word[~said],
            "these words are not seen well enough": table.word[~seen],
        },
    )
