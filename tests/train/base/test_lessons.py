from __future__ import annotations

import numpy as np
import pytest
import torch

from medrl_core.data.drawn.items import build_items
from medrl_core.data.drawn.modalities import RULES_WORLD
from medrl_core.data.drawn.world import TRAIN, text
from medrl_core.data.prompts import messages, target_text
from medrl_core.models import micro
from medrl_core.train.base.lessons import Lessons, corpus
from medrl_core.train.base.rows import Rows, patches
from medrl_core.train.sft import IGNORE


@pytest.fixture(scope="module")
def processor():
    return micro.build_processor(micro.train_tokenizer(corpus(RULES_WORLD)))


def test_rows_are_what_the_processor_makes_of_an_item(processor):
    names = ("chest film", "angiogram")
    items = [build_items(RULES_WORLD, name, "train", n=1)[0] for name in names]
    images = np.stack([np.asarray(item.images[0]) for item in items])
    completions = [target_text(item) for item in items]
    inputs, labels = Rows(processor).join([item.question for item in items], completions, images)
    for row, item in enumerate(items):
        prompt = processor.apply_chat_template(
            messages(item), tokenize=False, add_generation_prompt=True
        )
        found = processor(text=[prompt], images=list(item.images), return_tensors="pt")
        start = found["input_ids"].shape[1]
        assert torch.equal(inputs["input_ids"][row, :start], found["input_ids"][0])
        kinds = inputs["mm_token_type_ids"][row]
        assert torch.equal(kinds[:start].long(), found["mm_token_type_ids"][0].long())
        assert not kinds[start:].any()
        pixels = inputs["pixel_values"][64 * row : 64 * row + 64]
        assert torch.allclose(pixels, found["pixel_values"], atol=1e-6)
        assert torch.equal(inputs["image_grid_thw"][row], found["image_grid_thw"][0])
        learnt = labels[row] != IGNORE
        assert not learnt[:start].any()
        said = processor.tokenizer.decode(labels[row][learnt])
        assert said == f"{completions[row]}<|im_end|>"
        # Seventeen tokens: four tags, six words twice, and the end.
        assert learnt.sum() == 17


def test_prompt_and_completion_are_short(processor):
    for modality in RULES_WORLD.modalities:
        prompt = Rows(processor).prompt(f"Report this {modality.name}.", 16)
        assert len(prompt) in (30, 31), modality.name


def test_without_a_picture_the_report_alone_is_learnt(processor):
    completion = text(["ring"] * 6, ["left"] * 6)
    inputs, labels = Rows(processor).join(["Report this."], [completion], after="</think>")
    assert "pixel_values" not in inputs
    said = processor.tokenizer.decode(labels[0][labels[0] != IGNORE])
    assert said == f"<answer> {' '.join(['left'] * 6)}</answer><|im_end|>"


def test_patches_of_strips(processor):
    images = np.random.default_rng(0).integers(256, size=(2, 24, 72, 3), dtype=np.uint8)
    from PIL import Image

    encode = micro.build_processor(processor.tokenizer).image_processor
    encode.size = {"shortest_edge": 24 * 24, "longest_edge": 24 * 72}
    expected = encode(images=[Image.fromarray(one) for one in images], return_tensors="pt")
    assert expected["image_grid_thw"].tolist() == [[1, 6, 18]] * 2
    found = patches(images, encode).flatten(0, 1)
    assert torch.allclose(found, expected["pixel_values"], atol=1e-6)


def test_lessons_are_of_training_combinations_and_follow_the_dials(processor):
    lessons = Lessons(RULES_WORLD, processor, pictures=2100, seed=900)
    assert {tuple(row) for row in lessons.facts} <= {tuple(row) for row in TRAIN}
    assert np.bincount(lessons.which).tolist() == [100] * 21
    said: dict[str, list[str]] = {}
    for _ in range(30):
        inputs, labels = lessons.batch(64)
        for ids, learnt in zip(inputs["input_ids"], labels, strict=True):
            asked = processor.tokenizer.decode(ids).partition("Report this ")[2].partition(".")[0]
            said.setdefault(asked, []).append(
                processor.tokenizer.decode(learnt[learnt != IGNORE]).removesuffix("<|im_end|>")
            )
    completions = [one for texts in said.values() for one in texts]
    bare = np.mean(["<think>" not in one for one in completions])
    assert abs(bare - 0.1) < 4 * (0.09 / len(completions)) ** 0.5
    sides = [
        one.split()[2] == one.partition("<answer>")[2].split()[1]
        for one in said["fundus photo"] + said["chest film"]
        if "<think>" in one
    ]
    # Reports of the fundus keep the side in one of four captions, those of the chest in three.
    assert abs(np.mean(sides) - 0.5) < 4 * (0.25 / len(sides)) ** 0.5


def test_equal_seeds_give_equal_lessons(processor):
    first, again, other = (
        Lessons(RULES_WORLD, processor, pictures=42, seed=seed).batch(8) for seed in (900, 900, 901)
    )
    assert torch.equal(first[1], again[1])
    assert torch.equal(first[0]["pixel_values"], again[0]["pixel_values"])
    assert not torch.equal(first[0]["pixel_values"], other[0]["pixel_values"])
