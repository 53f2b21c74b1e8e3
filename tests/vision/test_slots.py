"""Probes word by word, on pictures whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medrl_core.data import groups
from medrl_core.errors import UserError
from medrl_core.vision import slots


def items(n: int, split: str = "train"):
    return groups.load("drawn:chest film", split, n=n, seed=1)


def test_slots_are_the_words_of_the_reasoning():
    some = items(3)
    assert slots.slots(some).tolist() == [one.reading.split() for one in some]
    assert slots.names(some) == ["kind", "side", "level", "size", "density", "count"]
    plain = [replace(one, reading="") for one in some]
    assert slots.slots(plain).tolist() == [[one.gold] for one in plain]
    assert slots.names(plain) == ["answer"]


def test_items_of_different_length_are_refused():
    one, two = items(2)
    with pytest.raises(UserError, match="equally many words"):
        slots.slots([one, replace(two, reading="left")])


def test_words_are_numbered_by_training_and_unknown_ones_are_none_of_them():
    train, test = np.array([["b", "x"], ["a", "y"]]), np.array([["c", "x"]])
    known, new = slots.classes(train, test)
    assert known.tolist() == [[1, 0], [0, 1]]
    assert new.tolist() == [[2, 0]]


def test_features_that_name_the_words_are_read_and_noise_is_not():
    parts = [items(200), items(60, "val"), items(60, "test")]
    words = np.concatenate([slots.classes(*(slots.slots(p) for p in parts))[i] for i in range(3)])
    every = [one for part in parts for one in part]
    seen = {slots.pictures([one]).tobytes(): w for one, w in zip(every, words, strict=True)}

    def oracle(images):
        return np.concatenate(
            [np.eye(6)[[seen[x.tobytes()] for x in images]][:, slot] for slot in range(6)], axis=1
        )

    def noise(images):
        return np.random.default_rng(len(images)).normal(size=(len(images), 8))

    assert slots.probe(oracle, *parts).all()
    assert slots.probe(noise, *parts).mean() < 0.6
