"""Probes and their metrics, against values worked out by hand and the medmnist package."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from medmnist import evaluator

from medrl_core.vision import probe

MEDMNIST_TASK = {
    "binary": "binary-class",
    "multiclass": "multi-class",
    "ordinal": "ordinal-regression",
    "multilabel": "multi-label, binary-class",
}


def blobs(n: int, seed: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Well separated clouds on the axes of a five-dimensional space."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    return (6 * np.eye(5)[labels] + rng.normal(size=(n, 5))).astype(np.float32), labels


def test_every_probe_separates_separated_clouds():
    (x, y), (val_x, val_y), (test_x, test_y) = blobs(90, 0), blobs(30, 1), blobs(60, 2)
    for scores in (
        probe.linear_probe(x, y, val_x, val_y, test_x, n_classes=3),
        probe.paper_probe(x, y, test_x, n_classes=3),
        probe.knn(x, y, test_x, n_classes=3),
    ):
        assert scores.shape == (60, 3)
        np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
        assert probe.correct(scores, test_y, "multiclass").mean() > 0.95


def test_labels_without_signal_stay_near_chance():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, 5)), rng.integers(0, 2, 400)
    scores = probe.linear_probe(x[:200], y[:200], x[:100], y[:100], x[200:], n_classes=2)
    assert abs(probe.correct(scores, y[200:], "binary").mean() - 0.5) < 0.12


def test_multilabel_probes_score_each_label_by_itself():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)).astype(np.float32)
    y = (x[:, :2] > 0).astype(np.int64)
    linear = probe.linear_probe(x[:200], y[:200], x[200:], y[200:], x[200:], n_classes=2)
    near = probe.knn(x[:200], y[:200], x[200:], n_classes=2)
    paper = probe.paper_probe(x[:200], y[:200], x[200:], n_classes=2)
    for scores in (linear, near, paper):
        assert probe.correct(scores, y[200:], "multilabel").mean() > 0.8


def test_rotation_into_the_span_of_few_rows_changes_nothing():
    # With fewer rows than features the probe rotates first; padding with zeros forces that path.
    (x, y), (val_x, val_y), (test_x, _) = blobs(12, 0), blobs(12, 1), blobs(9, 2)
    pad = lambda a: np.hstack([a, np.zeros((len(a), 20), np.float32)])  # noqa: E731
    plain = probe.linear_probe(x, y, val_x, val_y, test_x, n_classes=3)
    rotated = probe.linear_probe(pad(x), y, pad(val_x), val_y, pad(test_x), n_classes=3)
    np.testing.assert_allclose(rotated, plain, atol=2e-2)


def test_a_class_missing_from_the_training_labels_scores_zero():
    x = np.array([[0.0], [0.1], [1.0], [1.1]])
    scores = probe.linear_probe(
        x, np.array([0, 0, 2, 2]), x, np.array([0, 0, 2, 2]), x, n_classes=3
    )
    assert scores.shape == (4, 3)
    np.testing.assert_array_equal(scores[:, 1], 0)


def test_paper_probe_repeats_with_its_seed_and_changes_with_another():
    (x, y), (test_x, _) = blobs(60, 0), blobs(10, 1)
    first = probe.paper_probe(x, y, test_x, n_classes=3, seed=1)
    np.testing.assert_array_equal(first, probe.paper_probe(x, y, test_x, n_classes=3, seed=1))
    assert not np.array_equal(first, probe.paper_probe(x, y, test_x, n_classes=3, seed=2))


def test_knn_counts_votes_of_the_nearest_by_angle():
    # By angle the two nearest to (1, 0) are (9, 0) and (1, 0.1), both class 1, whatever the length.
    train = np.array([[9.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    scores = probe.knn(train, np.array([1, 1, 0, 0]), np.array([[1.0, 0.0]]), n_classes=2, k=3)
    np.testing.assert_allclose(scores, [[1 / 3, 2 / 3]])


def test_knn_takes_all_training_images_when_there_are_fewer_than_k():
    scores = probe.knn(np.eye(2), np.array([0, 1]), np.eye(2), n_classes=2, k=20)
    np.testing.assert_allclose(scores, 0.5)


def test_subset_is_stratified_nested_and_keeps_every_class():
    labels = np.array([0] * 80 + [1] * 18 + [2] * 2)
    small, large = probe.subset(labels, 0.1, seed=3), probe.subset(labels, 0.5, seed=3)
    assert np.bincount(labels[small]).tolist() == [8, 2, 1]
    assert np.bincount(labels[large]).tolist() == [40, 9, 1]
    assert set(small) <= set(large)
    assert probe.subset(labels, 1.0, seed=3).tolist() == list(range(100))


def test_correct_uses_the_thresholds_of_the_evaluator():
    binary = np.array([[0.5, 0.5], [0.4, 0.6]])
    assert probe.correct(binary, np.array([0, 1]), "binary").tolist() == [1, 1]
    labels = np.array([[1, 0], [0, 1]])
    scores = np.array([[0.9, 0.2], [0.8, 0.4]])
    assert probe.correct(scores, labels, "multilabel").tolist() == [1, 0]


def test_metrics_worked_out_by_hand():
    # Class 0: 3 of 4 right; class 1: 1 of 1. Confidences 0.9 (four times, 3 right), 0.6 (right).
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.4, 0.6]])
    found = probe.metrics(scores, np.array([0, 0, 0, 0, 1]), "binary")
    assert found["accuracy"] == pytest.approx(4 / 5)
    assert found["balanced_accuracy"] == pytest.approx((3 / 4 + 1) / 2)
    assert found["auc"] == pytest.approx(3 / 4)  # the one positive outranks 3 of 4 negatives
    assert found["ece"] == pytest.approx((4 * abs(0.9 - 3 / 4) + abs(0.6 - 1)) / 5)


@given(
    task=st.sampled_from(list(MEDMNIST_TASK)),
    n=st.integers(12, 60),
    width=st.integers(3, 6),
    seed=st.integers(0, 2**16),
)
def test_accuracy_and_auc_agree_with_the_medmnist_evaluator(task, n, width, seed):
    rng = np.random.default_rng(seed)
    if task == "multilabel":
        labels = rng.integers(0, 2, (n, width))
        labels[0], labels[1] = 0, 1
        scores = rng.random((n, width)).round(1)
    else:
        width = 2 if task == "binary" else width
        labels = np.concatenate([np.arange(width), rng.integers(0, width, n - width)])
        scores = rng.dirichlet(np.ones(width), n)
    found = probe.metrics(scores, labels, task)
    theirs = MEDMNIST_TASK[task]
    assert found["auc"] == pytest.approx(evaluator.getAUC(labels, scores, theirs), abs=1e-12)
    assert found["accuracy"] == pytest.approx(evaluator.getACC(labels, scores, theirs), abs=1e-12)


def test_auc_is_unknown_when_a_class_has_no_test_image():
    assert np.isnan(probe.auc(np.full((3, 3), 1 / 3), np.array([0, 1, 1]), "multiclass"))


def test_recall_of_each_class_and_nan_without_images():
    scores = np.eye(3)[[0, 0, 1, 0]]
    table = probe.recall(scores, np.array([0, 0, 1, 1]), "multiclass", ("a", "b", "c"))
    assert table["class"].tolist() == ["a", "b", "c"]
    assert table.value.tolist()[:2] == [1.0, 0.5]
    assert np.isnan(table.value[2]) and table.n.tolist() == [2, 2, 0]
    assert table.low[0] == table.high[0] == 1.0
    assert table.low[1] <= 0.5 <= table.high[1]


def test_majority_rate():
    assert probe.majority_rate(np.array([0, 1, 1, 1])) == 0.75
    assert probe.majority_rate(np.array([[0, 1], [0, 1], [1, 1], [0, 1]])) == (0.75 + 1) / 2
