"""Reading the MedMNIST layout."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from made_images import write_npz
from medrl_core.data.images import read_npz
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


def test_what_is_written_is_read(tmp_path: Path) -> None:
    images, labels = arrays(n=4, shape=(5, 5, 3))
    md5 = write_npz(tmp_path / "a.npz", images, labels)
    back = read(tmp_path / "a.npz")
    assert back.md5 == md5
    for split in SPLITS:
        np.testing.assert_array_equal(back.images[split], images[split])
        assert back.labels[split].tolist() == [0, 1, 0, 1]
        assert back.labels[split].dtype == np.int64


def test_multilabel_keeps_its_columns(tmp_path: Path) -> None:
    write_npz(tmp_path / "a.npz", *arrays(width=4))
    data = read(tmp_path / "a.npz", "multilabel", ("a", "b", "c", "d"))
    assert data.labels["val"].tolist() == [[0, 1, 0, 1]] * 3


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


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 2000), at=st.integers(0, 2000), flip=st.integers(0, 255))
def test_a_damaged_file_never_ends_in_another_error(
    tmp_path: Path, cut: int, at: int, flip: int
) -> None:
    path = tmp_path / "a.npz"
    write_npz(path, *arrays())
    whole = bytearray(path.read_bytes())
    whole[at % len(whole)] ^= flip
    path.write_bytes(whole[: len(whole) - cut])
    try:
        data = read(path)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert data.images["train"].shape == (3, 5, 5)
