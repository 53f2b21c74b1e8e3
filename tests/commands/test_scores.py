"""`medrl evaluate` and `medrl score`: from a model and a JSONL file to statistics, and again."""

from __future__ import annotations

import json

import pandas as pd
import pytest

import tiny
from running import medrl, said


@pytest.fixture
def asked(tmp_path):
    """A tiny random model in a folder and two questions on two images."""
    model, processor = tiny.build()
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    from PIL import Image

    pictures = tiny.image_set().images["train"][:2]
    lines = []
    for index, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"{index}.png")
        lines.append(
            {
                "dataset_name": "toy",
                "dataset_index": index,
                "image_paths": [f"{index}.png"],
                "question": "Which cell?",
                "options": {"A": "platelet", "B": "monocyte"},
                "answer_label": "A",
                "answer": "platelet",
            }
        )
    (tmp_path / "items.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return tmp_path


def test_scores_come_again_from_rollouts_without_the_model(asked):
    out = asked / "out"
    words = ["evaluate", "--model", asked / "model", "--items", asked / "items.jsonl"]
    words += ["--out", out, "-k", 3, "--max-new-tokens", 4]
    first = said(*words)
    assert "Acc@1" in first and "Pass@3" in first
    scores = (out / "scores.csv").read_bytes()
    frame = pd.read_parquet(out / "rollouts.parquet")
    assert sorted(frame.sample_index) == [-1, -1, 0, 0, 1, 1, 2, 2]
    assert said(*words) == first
    assert pd.read_parquet(out / "rollouts.parquet").equals(frame)
    (out / "scores.csv").unlink()
    assert said("score", out) == first
    assert (out / "scores.csv").read_bytes() == scores


def test_a_folder_without_rollouts_is_refused(tmp_path):
    done = medrl("score", tmp_path)
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
