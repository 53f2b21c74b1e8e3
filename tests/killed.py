"""What the processes of tests/studies/test_killed.py run: features of a tower, one image a batch.

A fork server imports this module once; each process that it starts can be killed.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch

import tiny
from medrl_core.models import towers

IMAGES = 100


@cache
def image_set():
    return tiny.made_set(IMAGES, 1, 1)


image_set()  # before the first process starts


def features(folder: str, progress: str) -> None:
    """Keep features of the training images in a folder; a byte a batch goes to `progress`."""
    torch.set_num_threads(1)
    tower = towers.open_tower("random", image_set())

    def encode(images: np.ndarray) -> np.ndarray:
        with open(progress, "ab") as file:
            file.write(b".")
        return tower.encode_batch(images)

    told = replace(tower, encode_batch=encode)
    towers.features(told, image_set(), "train", Path(folder), batch_size=1)
