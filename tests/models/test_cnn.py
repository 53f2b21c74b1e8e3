"""EfficientNet-Lite0 from its package, and a ResNet-18 trained for a few steps."""

from __future__ import annotations

import numpy as np
import pytest

from medrl_core.data.images import ImageSet
from medrl_core.models import cnn

SHORT = cnn.Recipe(steps=12, batch_size=16, check_every=4)


def bright_or_dark(n: int = 32, task: str = "binary") -> ImageSet:
    """Two classes told apart by brightness."""
    rng = np.random.default_rng(0)
    images = {k: rng.integers(0, 60, (n, 28, 28), dtype=np.uint8) for k in ("train", "val", "test")}
    labels = {k: np.arange(n) % 2 for k in images}
    for split in images:
        images[split][labels[split] == 1] += 180
    if task == "multilabel":
        labels = {k: np.stack([v, 1 - v, v], axis=1) for k, v in labels.items()}
    classes = ("dark", "bright", "light")[: 3 if task == "multilabel" else 2]
    return ImageSet("squares", "squares", task, classes, images, labels, "cells", "0" * 32)


def test_lite0_gives_the_features_that_its_own_classes_read():
    images = bright_or_dark(4).images["test"]
    found = cnn.lite0_features(images)
    assert found.shape == (4, 1280) and found.dtype == np.float32
    np.testing.assert_allclose(found[1:3], cnn.lite0_features(images[1:3]), atol=1e-4)
    colour = np.repeat(images[..., None], 3, axis=-1)
    np.testing.assert_array_equal(found, cnn.lite0_features(colour))


def test_lite0_weights_are_those_of_the_package_and_name_a_thousand_classes():
    network = cnn.lite0(64)
    assert network._fc.weight.shape == (1000, 1280) and not network.training
    assert len(cnn.lite0_hash()) == 16


def test_the_resnet_learns_what_is_plain_to_see_and_comes_out_the_same():
    images = bright_or_dark()
    encode, head = cnn.train_resnet(images, SHORT)
    features = encode(images.images["test"])
    scores = head(features)
    assert features.shape == (32, 512) and scores.shape == (32, 2)
    assert (scores.argmax(axis=1) == images.labels["test"]).mean() > 0.9
    again = cnn.train_resnet(images, SHORT)[0](images.images["test"])
    np.testing.assert_array_equal(features, again)


def test_the_resnet_never_sees_test_images_and_chooses_its_step_on_validation():
    images = bright_or_dark()
    del images.images["test"], images.labels["test"]
    encode, _ = cnn.train_resnet(images, SHORT)
    # With upside-down validation labels an early step is the least bad one.
    images.labels["val"] = 1 - images.labels["val"]
    other, _ = cnn.train_resnet(images, SHORT)
    batch = images.images["val"]
    assert not np.array_equal(encode(batch), other(batch))


def test_the_resnet_gives_a_chance_for_each_of_several_labels():
    images = bright_or_dark(task="multilabel")
    encode, head = cnn.train_resnet(images, SHORT)
    scores = head(encode(images.images["test"]))
    assert scores.shape == (32, 3) and ((scores > 0) & (scores < 1)).all()
    assert ((scores > 0.5) == images.labels["test"]).mean() > 0.9


def test_memory_of_encoding_does_not_grow_with_the_number_of_images(monkeypatch):
    seen = []
    real = cnn._tensor
    monkeypatch.setattr(cnn, "_tensor", lambda b, *a: seen.append(len(b)) or real(b, *a))
    network = cnn._network(2)
    assert cnn._forward(network, np.zeros((300, 28, 28), np.uint8)).shape == (300, 2)
    assert seen == [256, 44]


@pytest.mark.parametrize("field", ["steps", "seed", "learning_rate"])
def test_the_recipe_is_part_of_what_names_the_features(field):
    assert field in repr(cnn.Recipe())
