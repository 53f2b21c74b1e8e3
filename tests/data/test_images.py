"""Reading and writing the MedMNIST layout."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medrl_core.data.drawn import phantom
from medrl_core.data.images import npz_bytes, read_npz, write_npz
from medrl_core.data.sets import load
from medrl_core.errors import UserError

SPLITS = ("train", "val", "test")


def arrays(n: int = 3, shape: tuple[int, ...] = (5, 5), width: int = 1) -> tuple[dict, dict]:
    images = {s: np.full((n, *shape), i, np.uint8) for i, s in enumerate(SPLITS)}
    labels = {s: (np.arange(n * width) % 2).reshape(n, width) for s in SPLITS}
    return images, labels


def read(path: Path, task: str = "binary", classes: tuple[str, ...] = ("no", "yes")):
    return read_npz(
        path, name="toy", modality="toy image", task=task, classes=classes, origin="unverified"
    )


def test_round_trip_keeps_arrays_sum_and_shape_of_labels(tmp_path: Path) -> None:
    data = phantom.make("blood", n_train=4, n_val=2, n_test=3)
    path = tmp_path / "deep" / "blood.npz"
    md5 = write_npz(path, data.images, data.labels)
    assert md5 == data.md5 == hashlib.md5(path.read_bytes()).hexdigest()
    with np.load(path) as raw:
        assert sorted(raw.files) == sorted(f"{s}_{k}" for s in SPLITS for k in ("images", "labels"))
        assert raw["train_labels"].shape == (4, 1) and raw["train_labels"].dtype == np.uint8
    back = read(path, "multiclass", data.classes)
    assert back.md5 == md5
    for split in SPLITS:
        np.testing.assert_array_equal(back.images[split], data.images[split])
        np.testing.assert_array_equal(back.labels[split], data.labels[split])
        assert back.labels[split].dtype == np.int64


def test_multilabel_keeps_its_columns(tmp_path: Path) -> None:
    write_npz(tmp_path / "a.npz", *arrays(width=4))
    data = read(tmp_path / "a.npz", "multilabel", ("a", "b", "c", "d"))
    assert data.labels["val"].tolist() == [[0, 1, 0, 1]] * 3


def test_equal_arrays_give_equal_bytes() -> None:
    assert npz_bytes(*arrays()) == npz_bytes(*arrays())


def test_a_broken_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        write_npz(path, *arrays())
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"] and path.read_bytes() == b"old"


def broken(change) -> dict[str, np.ndarray]:
    images, labels = arrays()
    held = {f"{s}_images": images[s] for s in SPLITS} | {f"{s}_labels": labels[s] for s in SPLITS}
    change(held)
    return held


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda a: a.pop("val_labels"), "lacks val_labels"),
        (lambda a: a.update(test_images=a["test_images"].astype(float)), "float64"),
        (lambda a: a.update(test_images=a["test_images"][..., None]), "(3, 5, 5, 1)"),
        (lambda a: a.update(test_images=a["test_images"][:2]), "test_labels has shape (3, 1)"),
        (lambda a: a.update(val_images=np.zeros((3, 4, 4), np.uint8)), "different shapes"),
        (lambda a: a.update(train_labels=a["train_labels"] + 1), "1..2: need 0..1"),
        (lambda a: a.update(train_labels=a["train_labels"] * 0.5), "float64"),
        (lambda a: a.update(train_labels=np.zeros((3, 2), int)), "(3, 2): need (3, 1)"),
        (lambda a: a.update(train_labels=np.array([[None]] * 3)), "damaged"),
    ],
)
def test_wrong_arrays_are_refused(tmp_path: Path, change, says: str) -> None:
    held = broken(change)
    np.savez(tmp_path / "a.npz", **held)
    with pytest.raises(UserError) as caught:
        read(tmp_path / "a.npz")
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not there"):
        read(tmp_path / "none.npz")
    np.save(tmp_path / "bare.npy", np.zeros(3))
    with pytest.raises(UserError, match="damaged"):
        read(tmp_path / "bare.npy")
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as archive:
        archive.writestr("train_images.npy", "hello")
    with pytest.raises(UserError, match="damaged|lacks"):
        read(tmp_path / "text.npz")
    write_npz(tmp_path / "a.npz", *arrays())
    with pytest.raises(UserError, match="task 'regression'"):
        read(tmp_path / "a.npz", "regression")


def test_what_does_not_fit_a_byte_is_not_written(tmp_path: Path) -> None:
    images, labels = arrays()
    with pytest.raises(UserError, match=r"0\.\.255"):
        write_npz(tmp_path / "a.npz", images, labels | {"val": np.array([300, 0, 0])})
    with pytest.raises(UserError, match="uint8"):
        write_npz(tmp_path / "a.npz", images | {"val": images["val"] / 2}, labels)
    assert not list(tmp_path.iterdir())


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 2000), at=st.integers(0, 2000), flip=st.integers(0, 255))
def test_a_damaged_file_never_ends_in_another_error(
    tmp_path: Path, cut: int, at: int, flip: int
) -> None:
    whole = bytearray(npz_bytes(*arrays()))
    whole[at % len(whole)] ^= flip
    path = tmp_path / "a.npz"
    path.write_bytes(whole[: len(whole) - cut])
    try:
        data = read(path)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert data.images["train"].shape == (3, 5, 5)


def test_real_files_in_class_order_are_shuffled_the_same_way_whatever_n_is(tmp_path: Path) -> None:
    images = {s: np.arange(40, dtype=np.uint8)[:, None, None] * np.ones((28, 28), np.uint8)
              for s in SPLITS}  # fmt: skip
    labels = {s: np.repeat([0, 1], 20) for s in SPLITS}
    write_npz(tmp_path / "breastmnist.npz", images, labels)
    few, more, whole = (
        load("breastmnist", root=tmp_path, allow=("breastmnist",), n=n) for n in (16, 32, None)
    )
    assert set(few.labels["train"]) == {0, 1}
    assert {s: len(a) for s, a in few.images.items()} == {"train": 16, "val": 4, "test": 8}
    for split in SPLITS:
        k = len(few.images[split])
        np.testing.assert_array_equal(few.images[split], whole.images[split][:k])
        np.testing.assert_array_equal(few.images[split], more.images[split][:k])
        # Image 20 is the first of class 1, so picture and label moved together.
        picture = whole.images[split][:, 0, 0]
        np.testing.assert_array_equal(picture >= 20, whole.labels[split] == 1)
        assert sorted(picture) == list(range(40))
