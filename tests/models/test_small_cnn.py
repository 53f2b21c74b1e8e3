"""The small network learns what can be seen, and the same each time."""

from __future__ import annotations

import numpy as np
import torch

from medrl_core.models import small_cnn


def test_features_tell_bright_halves_apart_and_are_the_same_again():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, size=(64, 2))
    images = rng.integers(0, 60, size=(64, 16, 16, 3)).astype(np.uint8)
    images[labels[:, 0] == 1, :, :8] += 150
    images[labels[:, 1] == 1, :, 8:] += 100
    torch.manual_seed(7)
    before = torch.get_rng_state()
    encode = small_cnn.train(images, labels, steps=40, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    found = encode(images)
    assert found.shape == (64, small_cnn.WIDTHS[-1])
    for slot in range(2):  # the features of the two classes lie further apart than within one
        one, other = found[labels[:, slot] == 0], found[labels[:, slot] == 1]
        assert np.linalg.norm(one.mean(0) - other.mean(0)) > 0.5 * one.std(0).mean()
    assert np.array_equal(found, small_cnn.train(images, labels, steps=40, seed=3)(images))


def test_pictures_may_be_wider_than_high():
    images = np.zeros((4, 16, 48, 3), np.uint8)
    encode = small_cnn.train(images, np.array([[0], [1], [0], [1]]), steps=1)
    assert encode(images).shape == (4, small_cnn.WIDTHS[-1])
