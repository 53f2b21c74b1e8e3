"""Probes of what a picture shows, word by word: can a tower see each fact of it?

    words = slots(items)                            # (N, S) the words of the right reasoning
    right = probe(encode, train, validation, test)  # (N_test, S) read rightly from the features

A slot is one word of the right reasoning: the six attributes of a drawn picture, the three pictures
of a strip; an item without reasoning has one slot, its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from medrl_core.data.drawn.world import ATTRIBUTES
from medrl_core.data.items import Item
from medrl_core.errors import UserError
from medrl_core.vision.probe import linear_probe

STRENGTHS = (1e-3, 1e-2, 1e-1)  # of the probe, chosen on validation pictures
BATCH = 64
Encode = Callable[[np.ndarray], np.ndarray]


def slots(items: Sequence[Item]) -> NDArray[np.str_]:
    """Return the words to be seen in each picture: (N, S).

    Raises:
        UserError: items differ in their number of words, or there are none.
    """
    words = [item.reading.split() or [item.gold_text] for item in items]
    if len({len(one) for one in words}) != 1:
        raise UserError("a probe needs items with equally many words to see: probe them apart")
    return np.array(words)


def names(items: Sequence[Item]) -> list[str]:
    """Return what a reader calls each slot."""
    n = slots(items[:1]).shape[1]
    if n == len(ATTRIBUTES):
        return list(ATTRIBUTES)
    return ["answer"] if n == 1 else [f"picture {i + 1}" for i in range(n)]


def pictures(items: Sequence[Item]) -> np.ndarray:
    """Return the first picture of each item: (N, H, W, 3) uint8."""
    return np.stack([np.asarray(item.images[0].convert("RGB")) for item in items])


def classes(train: NDArray, *others: NDArray) -> list[NDArray[np.int64]]:
    """Number the words of each slot by the training words; an unknown one gets the next number.

    Arguments: (N, S) words. Returns: as many arrays (N, S).
    """
    numbers = [{w: i for i, w in enumerate(np.unique(column))} for column in train.T]
    return [
        np.array([[known.get(w, len(known)) for known, w in zip(numbers, row, strict=True)]
                  for row in words])
        for words in (train, *others)
    ]  # fmt: skip


def floors(train: Sequence[Item], test: Sequence[Item]) -> NDArray[np.float64]:
    """Return how often the commonest training word of each slot is right in the test: (S,)."""
    y_train, y_test = classes(slots(train), slots(test))
    commonest = [np.bincount(column).argmax() for column in y_train.T]
    return (y_test == commonest).mean(0)


def features(encode: Encode, images: np.ndarray) -> np.ndarray:
    """Return what a tower gives for pictures, batch by batch: (N, D)."""
    parts = [encode(images[at : at + BATCH]) for at in range(0, len(images), BATCH)]
    return np.concatenate(parts).astype(np.float32)


def probe(
    encode: Encode, train: Sequence[Item], validation: Sequence[Item], test: Sequence[Item]
) -> NDArray[np.bool_]:
    """Fit a linear probe a slot on frozen features and read the test pictures.

    Arguments:
        encode: images (B, H, W, 3) uint8 to features (B, D).
        train, validation, test: items of one group; the probe's strength is chosen on validation.

    Returns:
        (N_test, S) whether each word was read rightly; a row that is all true is a picture seen.
    """
    x = [features(encode, pictures(part)) for part in (train, validation, test)]
    y = classes(*(slots(part) for part in (train, validation, test)))
    right = np.zeros(y[2].shape, dtype=bool)
    for slot in range(y[0].shape[1]):
        n = max(int(part[:, slot].max()) for part in y) + 1
        scores = linear_probe(
            x[0], y[0][:, slot], x[1], y[1][:, slot], x[2], n_classes=n, strengths=STRENGTHS
        )
        right[:, slot] = scores.argmax(1) == y[2][:, slot]
    return right
