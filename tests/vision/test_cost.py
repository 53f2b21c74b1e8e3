"""The cost table has a row a resolution; its times are not looked at."""

from __future__ import annotations

import numpy as np

from medrl_core.models.towers import Tower
from medrl_core.vision import cost


def test_each_resolution_is_measured_and_memory_is_that_of_the_features():
    sizes = []

    def encode(batch: np.ndarray) -> np.ndarray:
        sizes.append(batch.shape)
        return np.zeros((len(batch), 250), np.float32)

    table = cost.of(Tower("t", "h", encode), np.zeros((40, 28, 28, 3), np.uint8))
    assert table.side.tolist() == [28, 56, 112]
    assert table.mb.tolist() == [1.0, 1.0, 1.0]
    assert sizes[1::2] == [(32, 28, 28, 3), (32, 56, 56, 3), (32, 112, 112, 3)]
    assert len(cost.of(Tower("pca:8", "h", encode), np.zeros((4, 28, 28), np.uint8))) == 1
