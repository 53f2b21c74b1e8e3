"""The vision axis: readings of towers and the tables made from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medrl_core.data.images import ImageSet
from medrl_core.errors import UserError
from medrl_core.measure import vision


def image_set(name: str, seed: int, n_test: int = 40) -> ImageSet:
    """Two classes told apart by the brightness of the left half."""
    rng = np.random.default_rng(seed)
    images, labels = {}, {}
    for split, n in {"train": 60, "val": 20, "test": n_test}.items():
        labels[split] = np.arange(n) % 2
        images[split] = rng.integers(0, 60, (n, 8, 8), dtype=np.uint8)
        images[split][labels[split] == 1, :, :4] += 120
    return ImageSet(name, "squares", "binary", ("dark", "bright"), images, labels, "phantom", "0")


@pytest.fixture(scope="module")
def readings(tmp_path_factory) -> list[vision.Reading]:
    found = []
    for one in (image_set("one", 0), image_set("two", 1, n_test=20)):
        found += vision.read(
            one, {"pixels": "pixels", "two components": "pca:2"}, fractions=[0.2, 1.0],
            seeds=[0, 1, 2], cache_dir=tmp_path_factory.getbasetemp() / "cache",
        )  # fmt: skip
    return found


def made_up(dataset: str, tower: str, right: list[int]) -> vision.Reading:
    """A full-label linear reading of a binary task with the given correctness."""
    labels = np.arange(len(right)) % 2
    hit = np.where(right, labels, 1 - labels)
    return vision.Reading(dataset, "binary", tower, "linear", 1.0, 0, labels, np.eye(2)[hit])


def test_small_shares_are_read_once_a_seed_and_the_whole_set_once(readings):
    mine = [r for r in readings if r.dataset == "one" and r.tower == "pixels"]
    assert [(r.probe, r.fraction, r.seed) for r in mine] == [
        ("linear", 0.2, 0), ("linear", 0.2, 1), ("linear", 0.2, 2),
        ("linear", 1.0, 0), ("knn", 1.0, 0),
    ]  # fmt: skip


def test_visible_classes_are_seen_and_the_table_names_floor_and_size(readings):
    table = vision.accuracy_table(readings).set_index(["dataset", "tower", "probe", "fraction"])
    row = table.loc["one", "pixels", "linear", 1.0]
    assert row.value > 0.95 and row.majority == 0.5 and row.n == 40 and row.seeds == 1
    assert table.loc["one", "pixels", "linear", 0.2].seeds == 3
    assert table.loc[vision.ALL_SETS, "pixels", "linear", 1.0].n == 60


def test_every_set_counts_the_same_in_the_mean_over_sets():
    readings = [made_up("a", "t", [1, 1, 1, 0]), made_up("b", "t", [0, 0])]
    table = vision.accuracy_table(readings).set_index("dataset").value
    assert table.to_dict() == {"a": 0.75, "b": 0.0, vision.ALL_SETS: 0.375}


def test_accuracy_is_the_mean_over_seeds():
    first, second = made_up("a", "t", [1, 1, 0, 0]), made_up("a", "t", [1, 1, 1, 1])
    table = vision.accuracy_table([first, replace(second, seed=1)]).set_index("dataset")
    assert table.value["a"] == 0.75 and table.seeds["a"] == 2 and table.n["a"] == 4


def test_differences_are_taken_image_by_image():
    # Both towers are right on half of the images, never on the same one; and once identical.
    readings = [
        made_up("a", "base", [1, 1, 0, 0]), made_up("a", "sft", [0, 0, 1, 1]),
        made_up("b", "base", [1, 0, 1, 0]), made_up("b", "sft", [1, 0, 1, 0]),
    ]  # fmt: skip
    table = vision.difference_table(readings, "base").set_index("dataset")
    assert table.value.to_dict() == {"a": 0, "b": 0, vision.ALL_SETS: 0}
    assert table.low["b"] == table.high["b"] == 0  # paired: no noise where nothing differs
    assert table.low["a"] < 0 < table.high["a"]


def test_an_unknown_reference_tower_is_named():
    with pytest.raises(UserError, match="no tower 'rl'"):
        vision.difference_table([made_up("a", "base", [1, 0])], "rl")


def test_metrics_recall_and_reliability_have_a_row_for_each_thing(readings):
    classes = {"one": ("dark", "bright"), "two": ("dark", "bright")}
    assert len(vision.metric_table(readings)) == 2 * 2
    assert len(vision.recall_table(readings, classes)) == 2 * 2 * 2
    table = vision.reliability_table(readings)
    assert set(table.tower) == {"pixels", "two components"}
    assert ((table.low <= table.value) & (table.value <= table.high)).all()
    assert (table.n >= 10).all()


def test_load_limited_takes_the_first_images():
    options = {"root": None, "size": 28, "allow": [], "seed": 0}
    few = vision.load_limited("phantom-blood", n_train=16, n_test=12, **options)
    more = vision.load_limited("phantom-blood", n_train=40, n_test=8, **options)
    assert {k: len(v) for k, v in few.images.items()} == {"train": 16, "val": 4, "test": 12}
    np.testing.assert_array_equal(few.images["train"], more.images["train"][:16])
    np.testing.assert_array_equal(few.images["test"][:8], more.images["test"])
