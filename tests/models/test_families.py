"""`medrl evaluate` from a saved folder: five families of models, and every kind of image."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_cli_measure import refused, said

import families
import tiny
from medrl_core.models import hub


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    """Items of the official kit's format: no, one and two images, of each kind."""
    folder = tmp_path_factory.mktemp("kinds")
    grey = Image.linear_gradient("L")
    images = {
        "grey": grey, "deep": Image.fromarray(np.asarray(grey).astype(np.uint16) * 256),
        "palette": grey.convert("RGB").quantize(), "alpha": grey.convert("RGBA"),
        "pixel": Image.new("RGB", (1, 1), "red"), "large": Image.new("L", (8000, 4000), 90),
        "colour": Image.merge("RGB", (grey, grey.rotate(90), grey)),
    }  # fmt: skip
    for name, image in images.items():
        image.save(folder / f"{name}.png")
    grey.convert("CMYK").save(folder / "cmyk.tif")
    shown = [[], ["colour.png", "grey.png"], ["cmyk.tif"], *([f"{name}.png"] for name in images)]
    about = {"dataset_name": "toy", "question": "Which cell?", "options": ["cat", "dog"]}
    lines = [
        about | {"dataset_index": i, "image_paths": paths, "answer_label": "A", "answer": "cat"}
        for i, paths in enumerate(shown)
    ]
    (folder / "items.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder / "items.jsonl"


@pytest.mark.parametrize("name", ["qwen2_5_vl", *families.FAMILIES])
def test_a_saved_model_of_each_family_answers_all_kinds_of_items(items, tmp_path, name):
    model, processor = tiny.build() if name == "qwen2_5_vl" else families.build(name)
    folder = hub.save(model, processor, tmp_path / "model")
    words = ["--items", items, "--out", tmp_path / "out", "-k", 2, "--max-new-tokens", 4]
    assert "Pass@2" in said("evaluate", "--model", folder, *words)
    frame = pd.read_parquet(tmp_path / "out" / "rollouts.parquet")
    assert len(frame) == 10 * 3 and frame.logprob.notna().all()
    greedy = frame[frame.sample_index == -1].set_index("item_id").text
    assert greedy.nunique() > 2  # the images are seen
    loaded, its_processor = hub.load(str(folder))
    prompt = its_processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
        tokenize=False, add_generation_prompt=True,
    )  # fmt: skip
    assert prompt.endswith("assistant\n") and type(loaded) is type(model)


def test_an_image_that_the_processor_refuses_is_named_in_one_line(tmp_path):
    Image.new("L", (8000, 1)).save(tmp_path / "thin.png")
    line = {"dataset_name": "toy", "dataset_index": 0, "image_paths": ["thin.png"]}
    (tmp_path / "items.jsonl").write_text(json.dumps(line | {"question": "Is it?", "answer": "no"}))
    folder = hub.save(*tiny.build(), tmp_path / "model")
    words = ["--model", folder, "--items", tmp_path / "items.jsonl", "--out", tmp_path / "out"]
    assert "refuses item toy/test/0 (8000x1): absolute aspect ratio" in refused("evaluate", *words)
