"""The vision axis: readings of towers and the tables made from them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from medrl_core.data.images import ImageSet
from medrl_core.errors import UserError
from medrl_core.models import cnn
from medrl_core.vision import axis as vision
from medrl_core.vision import tables


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
    return look(tmp_path_factory.getbasetemp() / "cache").readings


def look(cache, towers=(("pixels", "pixels"), ("two components", "pca:2"))) -> vision.Look:
    sets = [image_set("one", 0), image_set("two", 1, n_test=20)]
    return vision.look(
        sets, dict(towers), fractions=[0.2, 1.0], seeds=[0, 1, 2], cache_dir=cache
    )


def made_up(dataset: str, tower: str, right: list[int]) -> vision.Reading:
    """A full-label linear reading of a binary task with the given correctness."""
    labels = np.arange(len(right)) % 2
    hit = np.where(right, labels, 1 - labels)
    return vision.Reading(dataset, "binary", tower, "linear", 1.0, 0, labels, np.eye(2)[hit])


def test_small_shares_are_read_once_a_seed_and_the_whole_set_once(readings):
    mine = [r for r in readings if r.dataset == "one" and r.tower == "pixels"]
    assert [(r.probe, r.fraction, r.seed) for r in mine] == [
        ("linear", 0.2, 0), ("linear", 0.2, 1), ("linear", 0.2, 2),
        ("linear", 1.0, 0), ("paper", 1.0, 0), ("knn", 1.0, 0), ("paper", 1.0, 1),
        ("paper", 1.0, 2),
    ]  # fmt: skip


def test_visible_classes_are_seen_and_the_table_names_floor_and_size(readings):
    table = tables.accuracy_table(readings).set_index(["dataset", "tower", "probe", "fraction"])
    row = table.loc["one", "pixels", "linear", 1.0]
    assert row.value > 0.95 and row.majority == 0.5 and row.n == 40 and row.seeds == 1
    assert table.loc["one", "pixels", "linear", 0.2].seeds == 3
    assert table.loc[tables.ALL_SETS, "pixels", "linear", 1.0].n == 60


def test_every_set_counts_the_same_in_the_mean_over_sets():
    readings = [made_up("a", "t", [1, 1, 1, 0]), made_up("b", "t", [0, 0])]
    table = tables.accuracy_table(readings).set_index("dataset").value
    assert table.to_dict() == {"a": 0.75, "b": 0.0, tables.ALL_SETS: 0.375}


def test_accuracy_is_the_mean_over_seeds():
    first, second = made_up("a", "t", [1, 1, 0, 0]), made_up("a", "t", [1, 1, 1, 1])
    table = tables.accuracy_table([first, replace(second, seed=1)]).set_index("dataset")
    assert table.value["a"] == 0.75 and table.seeds["a"] == 2 and table.n["a"] == 4


def test_differences_are_taken_image_by_image():
    # Both towers are right on half of the images, never on the same one; and once identical.
    readings = [
        made_up("a", "base", [1, 1, 0, 0]), made_up("a", "sft", [0, 0, 1, 1]),
        made_up("b", "base", [1, 0, 1, 0]), made_up("b", "sft", [1, 0, 1, 0]),
    ]  # fmt: skip
    table = tables.difference_table(readings, "base").set_index("dataset")
    assert table.value.to_dict() == {"a": 0, "b": 0, tables.ALL_SETS: 0}
    assert table.low["b"] == table.high["b"] == 0  # paired: no noise where nothing differs
    assert table.low["a"] < 0 < table.high["a"]


def test_an_unknown_reference_tower_is_named():
    with pytest.raises(UserError, match="no tower 'rl'"):
        tables.difference_table([made_up("a", "base", [1, 0])], "rl")


def test_metrics_recall_and_reliability_have_a_row_for_each_thing(readings):
    classes = {"one": ("dark", "bright"), "two": ("dark", "bright")}
    metrics = tables.metric_table(readings)
    assert len(metrics) == 2 * 2 * 4  # sets, towers, metrics
    sure = metrics[metrics.metric != "ece"]
    assert ((sure.low <= sure.value) & (sure.value <= sure.high)).all()
    assert len(tables.recall_table(readings, classes)) == 2 * 2 * 2
    table = tables.reliability_table(readings)
    assert set(table.tower) == {"pixels", "two components"}
    assert ((table.low <= table.value) & (table.value <= table.high)).all()
    assert (table.n >= 10).all()


def test_looked_at_twice_all_readings_are_the_same(readings, tmp_path):
    again = look(tmp_path).readings
    assert [r.probe for r in again] == [r.probe for r in readings]
    for one, other in zip(readings, again, strict=True):
        np.testing.assert_array_equal(one.scores, other.scores)


def test_a_tower_out_of_reach_is_left_out_with_its_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    seen = look(tmp_path, {"far": "facebook/dinov2-small", "near": "pixels"}.items())
    assert {r.tower for r in seen.readings} == {"near"} == set(seen.costs)
    assert "not in the hub's cache" in seen.absent["far"]
    with pytest.raises(UserError, match="no tower could be run"):
        look(tmp_path, {"far": "facebook/dinov2-small"}.items())


def test_a_tower_trained_end_to_end_is_read_by_its_own_head(tmp_path, monkeypatch):
    monkeypatch.setattr(cnn, "Recipe", partial(cnn.Recipe, steps=2, check_every=1))
    seen = look(tmp_path, {"pixels": "pixels", "resnet": "resnet18"}.items())
    mine = [r for r in seen.readings if r.tower == "resnet"]
    assert [(r.dataset, r.probe, r.fraction) for r in mine] == [
        ("one", "end to end", 1.0), ("two", "end to end", 1.0)
    ]  # fmt: skip
    assert set(tables.metric_table(seen.readings).tower) == {"pixels", "resnet"}
    change = tables.difference_table(seen.readings, "pixels")
    assert set(change.tower) == {"resnet"}


@pytest.mark.parametrize("task", ["multiclass", "ordinal", "multilabel"])
def test_each_task_goes_through_all_probes_and_tables(task, tmp_path, monkeypatch):
    monkeypatch.setattr(cnn, "Recipe", partial(cnn.Recipe, steps=2, check_every=1))
    one = image_set("one", 0)
    labels = {split: (np.arange(len(v)) % 2) * 2 for split, v in one.labels.items()}  # 0 and 2
    if task == "multilabel":
        labels = {split: np.stack([v // 2, 1 - v // 2, v // 2], 1) for split, v in labels.items()}
    one = replace(one, task=task, classes=("a", "b", "c"), labels=labels)
    seen = vision.look(
        [one], {"pixels": "pixels", "resnet": "resnet18"}, fractions=[1.0], seeds=[0],
        cache_dir=tmp_path,
    )  # fmt: skip
    assert {r.probe for r in seen.readings} == {"linear", "paper", "knn", "end to end"}
    accuracy = tables.accuracy_table(seen.readings)
    frozen = accuracy[accuracy.tower == "pixels"]
    assert (frozen.value > 0.9).all() and (frozen.majority == 0.5).all()
    recall = tables.recall_table(seen.readings, {"one": one.classes})
    found = recall[recall.tower == "pixels"].set_index("class").value
    assert found["a"] == 1 and found["c"] == 1
    assert len(tables.metric_table(seen.readings)) == 2 * 4
    assert set(tables.difference_table(seen.readings, "pixels").tower) == {"resnet"}
    assert tables.mistakes(seen.readings, [replace(one, origin="official")]).empty


def test_towers_are_alike_to_themselves_and_a_pair_is_alike_both_ways(tmp_path):
    seen = look(tmp_path)
    table = tables.similarity_table(seen).set_index(["tower", "other"]).value
    assert table["pixels", "pixels"] == pytest.approx(1)
    assert table["pixels", "two components"] == pytest.approx(table["two components", "pixels"])
    assert 0 < table["pixels", "two components"] < 1


def test_mistakes_are_the_surest_wrong_answers_and_of_phantoms_only():
    scores = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]])
    labels = np.array([0, 0, 0, 1])
    one = vision.Reading("one", "binary", "t", "linear", 1.0, 0, labels, scores)
    real = replace(image_set("real", 0), origin="official")
    found = tables.mistakes([one, replace(one, dataset="real")], [image_set("one", 0), real], 2)
    assert found.to_dict("list") == {
        "tower": ["t", "t"], "dataset": ["one", "one"], "row": [2, 3],
        "said": ["bright", "dark"], "truth": ["dark", "bright"], "confidence": [0.8, 0.7],
    }  # fmt: skip


def test_load_limited_takes_the_first_images():
    options = {"root": None, "size": 28, "allow": [], "seed": 0}
    few = vision.load_limited("phantom-blood", n_train=16, n_test=12, **options)
    more = vision.load_limited("phantom-blood", n_train=40, n_test=8, **options)
    assert {k: len(v) for k, v in few.images.items()} == {"train": 16, "val": 4, "test": 12}
    np.testing.assert_array_equal(few.images["train"], more.images["train"][:16])
    np.testing.assert_array_equal(few.images["test"][:8], more.images["test"])
