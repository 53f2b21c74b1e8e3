"""The twelve 2D MedMNIST sets: found, fetched, verified."""

from __future__ import annotations

import os
from pathlib import Path

import medmnist
import numpy as np
import pytest
from medmnist.info import INFO

from made_images import write_npz
from medrl_core.data import medmnist as sets
from medrl_core.errors import UserError

SHARED = Path(os.environ.get("MEDRL_SHARED", Path(__file__).resolve().parents[3] / "shared"))
TWELVE = [name for name in INFO if not name.endswith("3d")]


def write_toy(folder: Path, name: str, size: int = 28) -> str:
    """Writes a small file in the layout of a set and returns its MD5."""
    about = sets.info(name)
    shape = (size, size, 3) if about.channels == 3 else (size, size)
    width = len(about.classes) if about.task == "multilabel" else 1
    images = {s: np.full((4, *shape), 7, np.uint8) for s in ("train", "val", "test")}
    labels = {s: (np.arange(4 * width) % 2).reshape(4, width) for s in images}
    suffix = "" if size == 28 else f"_{size}"
    return write_npz(folder / f"{name}{suffix}.npz", images, labels)


def test_all_twelve_are_described() -> None:
    assert sorted(sets.datasets()) == sorted(TWELVE) and len(TWELVE) == 12
    tasks = {name: about.task for name, about in sets.datasets().items()}
    assert tasks["chestmnist"] == "multilabel" and tasks["retinamnist"] == "ordinal"
    assert {n for n, t in tasks.items() if t == "binary"} == {"breastmnist", "pneumoniamnist"}


@pytest.mark.parametrize("name", TWELVE)
def test_short_names_are_short_lower_case_and_one_for_each_label(name: str) -> None:
    about = sets.info(name)
    assert len(about.classes) == len(set(about.classes)) == len(INFO[name]["label"])
    assert all(len(c) <= 24 and c.isascii() for c in about.classes)
    assert all(c == c.lower() for c in about.classes)
    assert about.md5[28] == INFO[name]["MD5"] and about.md5[224] == INFO[name]["MD5_224"]


@pytest.mark.parametrize("name", [n for n in TWELVE if n not in ("retinamnist", "tissuemnist")])
def test_short_names_stand_in_the_order_of_the_labels(name: str) -> None:
    """Each short name shares the stem of a word with the long one in its place."""
    for i, short in enumerate(sets.info(name).classes):
        long = INFO[name]["label"][str(i)].lower()
        if short == "nevus":  # plural in the package: nevi
            short = "nev"
        if short == "keratosis":
            short = "kerato"
        assert any(word[:5] in long for word in short.split()), (short, long)


@pytest.mark.parametrize(
    ("name", "size", "says"),
    [
        ("organmnist3d", 28, "not supported"),
        ("bloodmist", 28, "one of pathmnist"),
        ("bloodmnist", 32, "one of 28, 64, 128, 224"),
    ],
)
def test_wrong_names_and_sizes_end_in_one_line(tmp_path, name: str, size: int, says: str) -> None:
    with pytest.raises(UserError) as caught:
        sets.load(name, root=tmp_path, size=size)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_another_file_is_refused_with_both_sums_unless_allowed_by_name(tmp_path: Path) -> None:
    md5 = write_toy(tmp_path, "bloodmnist")
    for allow in ((), ("dermamnist",)):
        with pytest.raises(UserError) as caught:
            sets.load("bloodmnist", root=tmp_path, allow=allow)
        assert md5 in str(caught.value) and INFO["bloodmnist"]["MD5"] in str(caught.value)
        assert "\n" not in str(caught.value)
    data = sets.load("bloodmnist", root=tmp_path, allow=("bloodmnist",))
    assert (data.origin, data.md5, data.task) == ("unverified", md5, "multiclass")


@pytest.mark.parametrize("size", [28, 64])
def test_a_file_with_the_official_sum_is_official(tmp_path, monkeypatch, size: int) -> None:
    md5 = write_toy(tmp_path, "retinamnist", size)
    monkeypatch.setitem(INFO["retinamnist"], "MD5" if size == 28 else f"MD5_{size}", md5)
    monkeypatch.setenv("MEDMNIST_ROOT", str(tmp_path))
    data = sets.load("retinamnist", size=size)
    assert (data.origin, data.task, data.modality) == ("official", "ordinal", "fundus photograph")
    assert data.images["test"].shape == (4, size, size, 3)


def test_multilabel_sets_keep_fourteen_columns(tmp_path: Path) -> None:
    write_toy(tmp_path, "chestmnist")
    data = sets.load("chestmnist", root=tmp_path, allow=("chestmnist",))
    assert data.task == "multilabel" and data.labels["val"].shape == (4, 14)


def test_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    write_toy(tmp_path, "breastmnist", 64)
    os.rename(tmp_path / "breastmnist_64.npz", tmp_path / "breastmnist.npz")
    with pytest.raises(UserError, match=r"\(64, 64\)"):
        sets.load("breastmnist", root=tmp_path, allow=("breastmnist",))


def test_a_fetched_file_is_put_in_place_whole(tmp_path: Path, monkeypatch) -> None:
    md5 = write_toy(tmp_path / "far", "breastmnist")
    monkeypatch.setitem(INFO["breastmnist"], "MD5", md5)

    def download(self) -> None:
        (Path(self.root) / "breastmnist.npz").write_bytes(
            (tmp_path / "far" / "breastmnist.npz").read_bytes()
        )

    monkeypatch.setattr(medmnist.BreastMNIST, "download", download)
    data = sets.load("breastmnist", root=tmp_path / "near")
    assert data.origin == "official"
    assert [p.name for p in (tmp_path / "near").iterdir()] == ["breastmnist.npz"]


@pytest.mark.parametrize("case", ["offline", "wrong bytes", "broken off"])
def test_a_failed_fetch_leaves_nothing(tmp_path: Path, monkeypatch, case: str) -> None:
    def download(self) -> None:
        if case == "offline":
            raise RuntimeError("Automatic download failed!\nmany\nlines")
        write_toy(Path(self.root), "breastmnist")
        if case == "broken off":
            raise ConnectionResetError("the other side hung up")

    monkeypatch.setattr(medmnist.BreastMNIST, "download", download)
    with pytest.raises(UserError) as caught:
        sets.load("breastmnist", root=tmp_path, allow=("breastmnist",))
    assert "breastmnist.npz" in str(caught.value) and "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared folder with real images is not here")
def test_real_files_are_what_their_readme_says() -> None:
    root = SHARED / "medmnist"
    assert sets.load("breastmnist", root=root).origin == "official"
    for name in ("pneumoniamnist", "bloodmnist", "dermamnist"):
        with pytest.raises(UserError, match=INFO[name]["MD5"]):
            sets.verify(name, root)
        assert sets.verify(name, root, allow=(name,)) == "unverified"
    breast = sets.load("breastmnist", root=root)
    counts = {split: len(labels) for split, labels in breast.labels.items()}
    assert counts == {"train": 546, "val": 78, "test": 156} == sets.info("breastmnist").counts
    # The majority rate of the test split, 114 of 156, is the published 0.731.
    assert (breast.labels["test"] == 1).sum() == 114


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared folder with real images is not here")
def test_no_shared_file_was_copied_into_the_tests_or_the_data() -> None:
    repository = Path(__file__).resolve().parents[2]
    sizes: dict[int, list[Path]] = {}
    for path in (p for p in SHARED.rglob("*") if p.suffix in (".npz", ".jpg", ".png", ".json")):
        sizes.setdefault(path.stat().st_size, []).append(path)
    for folder in ("tests", "data", "book", "notebooks"):
        for path in (p for p in (repository / folder).rglob("*") if p.is_file()):
            for other in sizes.get(path.stat().st_size, []):
                assert path.read_bytes() != other.read_bytes(), f"{path} is a copy of {other}"
