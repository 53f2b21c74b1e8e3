"""Benchmarks in a folder: what is there is read, what is not has no entry."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from medrl_core.data import benchmarks
from medrl_core.errors import UserError


@pytest.fixture
def root(tmp_path):
    pixels = np.zeros((8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    lines = [
        {
            "dataset_name": "pmc_vqa", "dataset_index": i, "image_paths": ["a.png"],
            "question": f"Question {i}?", "options": {"A": "one", "B": "two"},
            "answer_label": "B", "answer": "two",
        }
        for i in range(6)
    ]  # fmt: skip
    (tmp_path / "pmc_vqa.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return tmp_path


def test_only_what_is_there_has_an_entry(root):
    found = benchmarks.load(["PMC-VQA", "SLAKE", "VQA-RAD"], str(root))
    assert list(found) == ["PMC-VQA"]
    assert [item.gold for item in found["PMC-VQA"]] == ["B"] * 6


def test_a_draw_is_seeded_and_in_order(root):
    few = benchmarks.load(["PMC-VQA"], str(root), n=3, seed=1)["PMC-VQA"]
    again = benchmarks.load(["PMC-VQA"], str(root), n=3, seed=1)["PMC-VQA"]
    ids = [item.item_id for item in few]
    assert len(ids) == 3 and ids == sorted(ids) == [item.item_id for item in again]


def test_the_folder_comes_from_the_variable(root, monkeypatch):
    monkeypatch.setenv(benchmarks.ROOT_VARIABLE, str(root))
    assert list(benchmarks.load(["PMC-VQA"])) == ["PMC-VQA"]
    monkeypatch.delenv(benchmarks.ROOT_VARIABLE)
    assert benchmarks.load(["PMC-VQA"]) == {}


def test_unknown_names_and_folders_are_refused(tmp_path):
    with pytest.raises(UserError, match="no benchmark 'PubMed'"):
        benchmarks.load(["PubMed"], str(tmp_path))
    with pytest.raises(UserError, match="no folder"):
        benchmarks.load(["SLAKE"], str(tmp_path / "none"))


def test_pictures_that_training_shows_too_are_counted(root):
    """Three lines: test asks about a.png and c.png, training shows a copy of a.png."""
    (root / "copy").mkdir()
    (root / "copy" / "b.png").write_bytes((root / "a.png").read_bytes())
    Image.fromarray(np.full((8, 8, 3), 9, np.uint8)).save(root / "c.png")
    first, *_ = (root / "pmc_vqa.jsonl").read_text().splitlines()
    line = json.loads(first)
    test = [line, line | {"dataset_index": 1}, line | {"dataset_index": 2,
                                                       "image_paths": ["c.png", "a.png"]}]
    (root / "pmc_vqa.jsonl").write_text("\n".join(map(json.dumps, test)))
    trained = line | {"image_paths": ["copy/b.png"]}
    (root / "pmc_vqa_train.jsonl").write_text(json.dumps(trained))
    asked = benchmarks.load(["PMC-VQA"], str(root))["PMC-VQA"]
    known = benchmarks.training("PMC-VQA", str(root))
    assert known[0].split == "train"
    found = benchmarks.shared(known, asked)
    assert found == {"pictures": 2, "also_trained": 1, "items": 3}
    assert benchmarks.shared([], asked)["also_trained"] == 0
    assert benchmarks.training("SLAKE", str(root)) == []


def test_the_fingerprint_is_of_the_content(root):
    one = benchmarks.load(["PMC-VQA"], str(root))["PMC-VQA"]
    (root / "moved").mkdir()
    for name in ("a.png", "pmc_vqa.jsonl"):
        (root / name).rename(root / "moved" / name)
    again = benchmarks.load(["PMC-VQA"], str(root / "moved"))["PMC-VQA"]
    assert benchmarks.fingerprint(one) == benchmarks.fingerprint(again)
    assert benchmarks.fingerprint(one) != benchmarks.fingerprint(one[:-1])
    Image.fromarray(np.full((8, 8, 3), 9, np.uint8)).save(root / "moved" / "a.png")
    other = benchmarks.load(["PMC-VQA"], str(root / "moved"))["PMC-VQA"]
    assert benchmarks.fingerprint(one) != benchmarks.fingerprint(other)


def test_where_it_came_from_names_no_folder_of_this_machine():
    pinned = f"flaviagiammarino/path-vqa@{'a' * 40}"
    assert benchmarks.origin(pinned) == pinned
    assert benchmarks.origin("/home/me/t.parquet") == benchmarks.origin(None) == "local files"
