"""Probing one tower: on a labelled image set, and word by word on a group of items."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from medrl_core.data.images import ImageSet
from medrl_core.errors import UserError
from medrl_core.models import cnn
from medrl_core.vision import axis


def image_set(n_test: int = 40) -> ImageSet:
    """Two classes told apart by the brightness of the left half."""
    rng = np.random.default_rng(0)
    images, labels = {}, {}
    for split, n in {"train": 60, "val": 20, "test": n_test}.items():
        labels[split] = np.arange(n) % 2
        images[split] = rng.integers(0, 60, (n, 8, 8), dtype=np.uint8)
        images[split][labels[split] == 1, :, :4] += 120
    return ImageSet("s", "squares", "binary", ("dark", "bright"), images, labels, "unverified", "0")


def test_visible_classes_are_read_by_all_probes_and_the_floor_stands_beside():
    found = axis.of_set(image_set(), "pixels").set_index(["probe", "metric"])
    assert (found.loc[["linear", "paper", "knn"]].xs("accuracy", level="metric").value > 0.95).all()
    assert found.value["commonest class", "accuracy"] == 0.5
    assert (found.n == 40).all()
    again = axis.of_set(image_set(), "pixels").set_index(["probe", "metric"])
    assert again.equals(found)


def test_a_tower_trained_end_to_end_is_read_by_its_own_head(monkeypatch):
    monkeypatch.setattr(cnn, "Recipe", partial(cnn.Recipe, steps=2, check_every=1))
    assert set(axis.of_set(image_set(), "resnet18").probe) == {"end to end", "commonest class"}


@pytest.mark.parametrize("task", ["multiclass", "ordinal", "multilabel"])
def test_each_task_goes_through_all_probes(task):
    one = image_set()
    labels = {split: (np.arange(len(v)) % 2) * 2 for split, v in one.labels.items()}  # 0 and 2
    if task == "multilabel":
        labels = {split: np.stack([v // 2, 1 - v // 2, v // 2], 1) for split, v in labels.items()}
    one = replace(one, task=task, classes=("a", "b", "c"), labels=labels)
    found = axis.of_set(one, "pixels").set_index(["probe", "metric"]).value
    for kind in ("linear", "paper", "knn"):
        assert found[kind, "accuracy"] > 0.9
    assert found["commonest class", "accuracy"] == 0.5


def test_sets_in_class_order_are_shuffled_the_same_way_whatever_n_is():
    images = {
        split: np.arange(40, dtype=np.uint8)[:, None, None] * np.ones((4, 4), np.uint8)
        for split in ("train", "val", "test")
    }
    labels = {split: np.repeat([0, 1], 20) for split in images}
    whole = ImageSet("s", "m", "binary", ("a", "b"), images, labels, "unverified", "0")
    few = axis.limited(whole, n_train=16, n_test=8)
    more = axis.limited(whole, n_train=32, n_test=100)
    assert set(few.labels["train"]) == {0, 1}
    assert {split: len(a) for split, a in few.images.items()} == {"train": 16, "val": 4, "test": 8}
    assert sorted(more.images["test"][:, 0, 0]) == list(range(40))
    for split in images:
        n = len(few.images[split])
        np.testing.assert_array_equal(few.images[split], more.images[split][:n])
        # Image 20 is the first of class 1, so picture and label moved together.
        np.testing.assert_array_equal(more.images[split][:, 0, 0] >= 20, more.labels[split] == 1)
    assert not np.array_equal(axis.limited(whole, n_train=16, n_test=8, seed=1).images["train"],
                              few.images["train"])


def test_a_group_is_read_word_by_word_and_pixels_see_little_of_the_kind():
    found = axis.of_group("drawn:chest film", "pixels", n_train=200, n_test=60).set_index("word")
    assert list(found.index) == [
        "kind", "side", "level", "size", "density", "count", "all words",
    ]
    assert found.value["density"] > 0.9 > 0.5 > found.value["kind"]
    assert ((found.low <= found.value) & (found.value <= found.high)).all()
    assert found.value["all words"] <= found.value.min()
    assert 0.1 < found.floor["kind"] < 0.4 < found.floor["side"] < 0.7 and (found.n == 60).all()


def test_nothing_to_test_on_is_refused():
    with pytest.raises(UserError, match="s has no images to test"):
        axis.of_set(image_set(n_test=0), "pixels")
