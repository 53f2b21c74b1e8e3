"""Class balance and duplicates, counted by hand."""

from __future__ import annotations

import numpy as np

from medrl_core.data import audit
from medrl_core.data.drawn import phantom
from medrl_core.data.images import ImageSet


def image_set(labels: dict, task: str = "binary") -> ImageSet:
    """Flat 2x2 images whose grey value is given for each split."""
    grey = {"train": [1, 1, 2], "val": [2, 3], "test": [4, 1]}
    images = {k: np.array([np.full((2, 2), g, np.uint8) for g in v]) for k, v in grey.items()}
    labels = {k: np.array(v) for k, v in labels.items()}
    return ImageSet("flat", "flat", task, ("a", "b"), images, labels, "phantom", "0")


def test_duplicates_within_and_across_splits():
    found = audit.duplicates(image_set({"train": [0, 0, 1], "val": [1, 0], "test": [1, 1]}))
    assert found == {
        "within train": 1, "within val": 0, "within test": 0,
        "train and val": 1, "train and test": 1, "val and test": 0,
    }  # fmt: skip


def test_class_counts_name_classes_without_images():
    table = audit.class_counts(image_set({"train": [0, 0, 1], "val": [1, 0], "test": [1, 1]}))
    assert table.pivot(index="class", columns="split", values="value").to_dict("index") == {
        "a": {"train": 2, "val": 1, "test": 0},
        "b": {"train": 1, "val": 1, "test": 2},
    }


def test_class_counts_of_a_multilabel_set_count_each_label():
    labels = {"train": [[1, 1], [0, 1], [0, 0]], "val": [[0, 0]] * 2, "test": [[1, 0]] * 2}
    table = audit.class_counts(image_set(labels, "multilabel"))
    assert table[table.split == "train"].value.tolist() == [1, 2]


def test_phantom_splits_share_no_image():
    found = audit.duplicates(phantom.make("blood", n_train=40, n_val=20, n_test=40))
    assert set(found.values()) == {0}
