"""Damaged inputs of commands are refused in one line, by name, and nothing is left behind."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from damaging import check, cuts, flips, of_one_form, refused
from made_images import write_npz
from medrl.commands import scores
from medrl_core.data import images, pictures
from medrl_core.data.own import read_items
from medrl_core.errors import UserError
from medrl_core.sample import rollouts
from medrl_core.score import exact
from medrl_core.train import subset

READ_WHOLE = "refused in one line that names the file, or read whole"


@pytest.mark.fault("Damaged files", "a MedMNIST file cut off, or one bit of it flipped", READ_WHOLE)
def test_npz(tmp_path, tried):
    path, rng = tmp_path / "a.npz", np.random.default_rng(0)
    pixels = {split: rng.integers(0, 255, (8, 28, 28), np.uint8) for split in images.SPLITS}
    write_npz(path, pixels, {split: np.arange(8) % 2 for split in images.SPLITS})
    about = {"name": "a", "modality": "m", "task": "binary", "classes": ("x", "y")}

    def read():
        found = images.read_npz(path, **about, origin="unverified")
        return [part.tobytes() for half in (found.images, found.labels) for part in half.values()]

    check(path, read, tried, tried.times(150, 2000))
    with tried(2):
        breast = tmp_path / "breastmnist.npz"
        breast.write_bytes(path.read_bytes()[:-100])
        there = ("--root", tmp_path)
        assert f"{breast} has MD5 " in refused("data", "verify", "breastmnist", *there)
        words = ("--model", "pixels", "--data", "breastmnist", "--allow", "breastmnist")
        assert f"{breast} is damaged (" in refused("probe", *words, *there)


def stored(folder: Path) -> rollouts.RolloutStore:
    """A store with texts that are all different, as those of a model are."""
    draw = random.Random(0)
    store = rollouts.RolloutStore(folder)
    shared = {
        "image_id": "im", "dataset": "d", "modality": "m", "answer_format": "mcq", "n_options": 4,
        "gold": "C", "model": "toy", "model_hash": "h", "prompt_hash": "p", "seed": 7,
        "parsed": "C", "parse_rule": "tag", "correct": True, "n_tokens": 5,
        "finish_reason": "stop",
    }  # fmt: skip
    store.append(
        [
            shared | {"item_id": f"i{item}", "sample_index": index, "logprob": -draw.random()}
            | {"decoding": "greedy" if index < 0 else "t=1", "text": f"<answer>{draw.random()}"}
            for item in range(10)
            for index in range(-1, 3)
        ]
    )  # fmt: skip
    return store


@pytest.mark.parametrize("part", [False, True])
@pytest.mark.fault(
    "Damaged files", "rollouts in Parquet, whole or a part: cut off, or one bit flipped", READ_WHOLE
)
def test_rollouts(tmp_path, tried, part):
    store = stored(tmp_path / "out")
    path = tmp_path / "out/rollouts/part-00000.parquet" if part else store.compact()
    check(path, lambda: rollouts.read(tmp_path / "out"), tried, tried.times(300, 3000),
          same=pd.DataFrame.equals)  # fmt: skip
    if not part:
        path.write_bytes(path.read_bytes()[:-100])
        assert str(path) in refused("score", tmp_path / "out")
        assert str(path) in refused("diagnose", tmp_path / "out")


@pytest.mark.fault("Damaged files", "exact.parquet cut off, or one bit flipped", READ_WHOLE)
def test_exact_probabilities(tmp_path, tried):
    rows = [("i", "im", "d", "m", 2, "A", "h", 1.0, True, letter, 0.25) for letter in "AB"]
    table = pd.DataFrame(rows, columns=exact.COLUMNS)
    scores.write_exact(tmp_path, table, "t=1")
    path = tmp_path / "exact.parquet"
    check(path, lambda: rollouts.read_as(path, scores.EXACT), tried, tried.times(150, 1000),
          same=pa.Table.equals)  # fmt: skip


def picture_files(folder: Path) -> dict[str, Path]:
    """A picture with smooth parts and noise in each format that items may have."""
    rng = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8) * 2
    pixels = np.stack([ramp, ramp.T[::-1], 255 - ramp], -1) + rng.integers(0, 9, (64, 64, 3))
    files = {}
    for kind in ("png", "jpg", "webp", "gif", "tif", "bmp"):
        files[kind] = folder / f"one.{kind}"
        Image.fromarray(pixels.astype(np.uint8)).save(files[kind])
    return files


@pytest.mark.parametrize("through", ["JSONL", "CSV"])
@pytest.mark.fault(
    "Damaged files", "a PNG image of an item cut off, or one bit flipped",
    "refused in one line that names image and place, or read whole: PNG has checksums",
)  # fmt: skip
def test_png_images(tmp_path, tried, through):
    path = picture_files(tmp_path)["png"]
    line = {"dataset_name": "d", "dataset_index": 0, "image_paths": [path.name]}
    items = tmp_path / "a.jsonl"
    items.write_text(json.dumps(line | {"question": "Which?", "answer": "yes"}))
    table = tmp_path / "t.csv"
    (tmp_path / "images").symlink_to(".")
    table.write_text(
        "Figure_path,Question,Answer,Choice A,Choice B,Choice C,Choice D\none.png,Q?,A,1,2,3,4\n"
    )

    def read():
        if through == "JSONL":
            (item,) = read_items(items)
        else:
            (item,) = read_items(table, name="PMC-VQA")
        return item.images[0].tobytes()

    check(path, read, tried, tried.times(150, 2000))
    if through == "JSONL":
        with tried():
            path.write_bytes(path.read_bytes()[:500])
            words = ("--items", items, "--model", tmp_path, "--out", tmp_path / "out")
            line = refused("evaluate", *words)
            assert "line 1: image one.png cannot be read (" in line and "--skip-bad" in line
            assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["jpg", "webp", "gif", "tif", "bmp"])
@pytest.mark.fault(
    "Damaged files", "a JPEG, WebP, GIF, TIFF or BMP image of an item cut off, or one bit flipped",
    "cut off it is refused; a bit flipped, it is refused or other pixels: these have no checksum",
)  # fmt: skip
def test_other_images(tmp_path, tried, kind):
    path = picture_files(tmp_path)[kind]
    whole, before = path.read_bytes(), pictures.read(path).tobytes()
    for damaged in cuts(whole):
        with tried():
            try:
                found = pictures.read(damaged).tobytes()
            except pictures.Bad:
                continue
            assert found == before and len(damaged) >= len(whole) - 8  # an end without pixels
    for damaged in flips(whole, tried.times(100, 1000)):
        with tried(), suppress(pictures.Bad):
            pictures.read(damaged)


@pytest.mark.fault(
    "Damaged files", "items in JSONL cut off, or one bit flipped",
    "refused in one line that names file and line, or another letter in a text",
)  # fmt: skip
def test_items(tmp_path, tried):
    path, text = write_items(tmp_path / "a.jsonl")
    flipped = tried.times(300, 3000)
    # A flipped letter is another letter, and a file cut between two lines is a shorter one: see
    # the next test for items that have a card.
    check(path, lambda: read_items(path), tried, flipped, same=of_one_form)
    with tried():
        path.write_bytes(text[:-9])
        assert f"{path}: 1 bad: line 4: no JSON" in refused(
            "evaluate", "--items", path, "--model", tmp_path, "--out", tmp_path / "out"
        )


def write_items(path: Path) -> tuple[Path, bytes]:
    shared = {"dataset_name": "d", "image_paths": [], "question": "What is in the image?"}
    answer = {"options": {"A": "liver", "B": "heart"}, "answer_label": "B", "answer": "heart"}
    lines = [shared | answer | {"dataset_index": index} for index in range(4)]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return path, path.read_bytes()


@pytest.mark.fault(
    "Damaged files", "items that `medrl data subset` chose cut off, or any bit flipped",
    "refused: their card holds the hash of all items",
)  # fmt: skip
def test_chosen_items_are_compared_with_their_card(tmp_path, tried):
    path, text = write_items(tmp_path / "all.jsonl")
    chosen, counts = subset.choose(read_items(path), 3)
    made = subset.write(chosen, counts, tmp_path / "chosen")
    times = tried.times(50, 500)
    assert check(made, lambda: read_items(made), tried, times) == times + 9
    card = made.with_name("card.json")
    check(card, lambda: read_items(made), tried, times)


@pytest.mark.parametrize("kind", ["parquet", "json", "csv"])
@pytest.mark.fault(
    "Damaged files", "a benchmark's rows in Parquet, JSON or CSV cut off, or one bit flipped",
    "refused in one line that names the file, or another value of the right type",
)  # fmt: skip
def test_rows_of_a_benchmark(tmp_path, tried, kind):
    (tmp_path / "images").mkdir()
    picture_files(tmp_path / "images")
    row = {"Figure_path": "one.png", "Question": "Q?", "Answer": "A"}
    row |= {f"Choice {letter}": letter * 3 for letter in "ABCD"}
    table, path = pd.DataFrame([row] * 3), tmp_path / f"t.{kind}"
    if kind == "parquet":
        table.to_parquet(path)
    elif kind == "json":
        table.to_json(path, orient="records")
    else:
        table.to_csv(path, index=False)

    def read():
        return read_items(path, name="PMC-VQA")

    whole = path.read_bytes()
    for damaged in (*cuts(whole), *flips(whole, tried.times(60, 600))):
        with tried():
            path.write_bytes(damaged)
            try:
                assert all(len(item.options) == 4 and item.images for item in read())
            except UserError as error:
                assert path.name in str(error) and "\n" not in str(error)
