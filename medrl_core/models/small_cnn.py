"""A small network for pictures only, trained on their labels: what can be seen in so many pictures.

    encode = train(images, labels, seed=100)    # (N, H, W, 3) uint8 and (N, S) classes
    encode(images)                              # (N, 96) float32, the features before its heads

It has a head for each of the S labels. `pytest tests/models/test_small_cnn.py` runs the test.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from medrl_core.models.tokens import in_colour

WIDTHS = (24, 48, 96)
STEPS, BATCH, RATE = 200, 64, 2e-3


def _tensor(images: np.ndarray) -> torch.Tensor:
    pixels = torch.from_numpy(np.ascontiguousarray(in_colour(images))).permute(0, 3, 1, 2)
    return pixels.float() / 127.5 - 1


def _body(high: int, wide: int) -> nn.Module:
    """Three blocks of convolution that halve the sides, then all places side by side."""
    layers, before, places = [], 3, (high, wide)
    for width in WIDTHS:
        layers += [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
        before, places = width, (places[0] // 2, places[1] // 2)
    size = before * places[0] * places[1]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(size, before), nn.ReLU())


def train(
    images: np.ndarray, labels: np.ndarray, *, steps: int = STEPS, seed: int = 0
) -> Callable[[np.ndarray], np.ndarray]:
    """Train on pictures with several labels each.

    Arguments:
        images: (N, H, W) or (N, H, W, 3) uint8.
        labels: (N, S) classes from 0.
        steps: updates of AdamW, one-cycle.
        seed: of first weights and order; the global generator is left as it was.

    Returns:
        A function from images to (N, 96) float32 features.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        body = _body(*images.shape[1:3])
        heads = nn.ModuleList(nn.Linear(WIDTHS[-1], int(column.max()) + 1) for column in labels.T)
        weights = [*body.parameters(), *heads.parameters()]
        optimizer = torch.optim.AdamW(weights, lr=RATE, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
        pixels, right = _tensor(images), torch.as_tensor(labels)
        body.train()
        for _ in range(steps):
            rows = torch.randint(len(pixels), (min(BATCH, len(pixels)),))
            seen = body(pixels[rows])
            losses = [
                nn.functional.cross_entropy(head(seen), right[rows, slot])
                for slot, head in enumerate(heads)
            ]
            loss = torch.stack(losses).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    body.eval()

    def encode(new: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return body(_tensor(new)).numpy()

    return encode
