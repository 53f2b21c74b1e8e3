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
