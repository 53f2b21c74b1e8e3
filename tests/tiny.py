"""A tiny random micro model and items for the tests of sampling and training.

The model has the stock classes of the micro model at a width of 32, so a step takes milliseconds.
`pytest tests/sample/test_sampling.py` uses it.
"""

from __future__ import annotations

import copy
from functools import cache

import numpy as np
import torch
from PIL import Image

from medrl_core.data.images import ImageSet
from medrl_core.data.items import Item, build_items
from medrl_core.data.prompts import target_text, user_text
from medrl_core.models import micro

CLASSES = (
    "neutrophil", "eosinophil", "basophil", "lymphocyte", "monocyte", "platelet", "erythroblast",
)  # fmt: skip


def made_set(n_train: int, n_val: int, n_test: int, name: str = "cells") -> ImageSet:
    """Blood cells of 28 x 28 pixels: a disc on a pale ground, one colour and radius a class."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:28, :28] - 14
    inks = np.random.default_rng(1).integers(40, 200, (len(CLASSES), 3))
    images, labels = {}, {}
    for split, n in (("train", n_train), ("val", n_val), ("test", n_test)):
        label = rng.permutation(np.arange(n) % len(CLASSES))
        disc = np.hypot(x, y) <= (5 + label)[:, None, None]
        picture = np.where(disc[..., None], inks[label][:, None, None], 220)
        picture = picture + rng.integers(-20, 20, picture.shape)
        images[split], labels[split] = picture.astype(np.uint8), label
    return ImageSet(
        name, "blood smear", "multiclass", CLASSES, images, labels, "unverified", "0" * 32
    )


@cache
def image_set() -> ImageSet:
    """A small set of blood cells: 7 classes."""
    return made_set(24, 8, 24)


@cache
def items(answer_format: str = "open", n: int = 8, split: str = "test") -> tuple[Item, ...]:
    """Items on the small set of blood cells."""
    return tuple(build_items(image_set(), split, answer_format, n=n))


def plain_item(question: str = "Which one?", n_images: int = 0, item_id: str = "plain") -> Item:
    """A two-option item with grey images of 28x28 pixels."""
    return Item(
        item_id=item_id, image_id=item_id, dataset="toy", modality="picture", question=question,
        images=tuple(Image.new("RGB", (28, 28), (60 * i + 40,) * 3) for i in range(n_images)),
        options=("cat", "dog"), label_set=(), gold="B", answer_format="mcq", split="test",
    )


@cache
def _built():
    texts = [
        text
        for answer_format in ("open", "mcq")
        for item in items(answer_format, 24, "train")
        for text in (user_text(item), *(target_text(item, variant) for variant in range(3)))
    ]
    processor = micro.build_processor(micro.train_tokenizer(texts, vocab_size=400))
    model = micro.build_model(processor.tokenizer, width=32, depth=2)
    with torch.no_grad():
        # Random weights as initialised give nearly uniform answers, which would hide faults of
        # position or masking; larger ones make the next token depend on image and prompt.
        for parameter in model.parameters():
            parameter.mul_(3.0)
    return model, processor


def build():
    """A fresh copy of the tiny model, and the processor that all copies share."""
    model, processor = _built()
    return copy.deepcopy(model), processor


def weights(model) -> dict[str, torch.Tensor]:
    """A copy of a model's weights."""
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of weights are equal bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
