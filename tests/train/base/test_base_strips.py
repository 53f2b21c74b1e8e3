from __future__ import annotations

import numpy as np
import pytest
import torch

from medrl_core.data import strips
from medrl_core.data.images import ImageSet
from medrl_core.data.items import build_items
from medrl_core.models import micro, whole
from medrl_core.train.base import drawn
from medrl_core.train.base import strips as recipe
from medrl_core.train.sft import IGNORE


def image_set(name, classes):
    """Pictures of noise, three a class."""
    rng = np.random.default_rng(len(name))
    labels = np.tile(np.arange(classes), 3)
    images = {
        split: rng.integers(256, size=(len(labels), 28, 28, 3), dtype=np.uint8)
        for split in strips.SPLITS
    }
    names = tuple(f"kind {chr(97 + i)}" for i in range(classes))
    return ImageSet(name, "smear", "multiclass", names, images,
                    dict.fromkeys(strips.SPLITS, labels), "official", "m")  # fmt: skip


@pytest.fixture(scope="module")
def made():
    images = {name: image_set(name, n) for name, n in (("bloodmnist", 8), ("dermamnist", 7))}
    sets = {name: strips.of_images(one) for name, one in images.items()}
    singles = [item for one in images.values() for item in build_items(one, "train", seed=0)]
    tokenizer = micro.train_tokenizer(recipe.corpus(sets, singles))
    return sets, singles, micro.build_processor(tokenizer)


def decoded(processor, batch):
    """Questions and what is learnt of each row."""
    inputs, labels = batch
    tokenizer = processor.tokenizer
    asked = [tokenizer.decode(ids) for ids in inputs["input_ids"]]
    learnt = [tokenizer.decode(row[row != IGNORE]) for row in labels]
    return [one.partition("<|im_end|>")[0] for one in asked], learnt


def test_every_word_is_one_token(made):
    sets, _, processor = made
    for images in sets.values():
        for word in (*images.plain, *images.short, *strips.HEADERS):
            assert len(processor.tokenizer(f" {word}")["input_ids"]) == 1, word


def test_lessons_ask_what_items_ask_and_follow_the_dials(made):
    sets, singles, processor = made
    lessons = recipe.Lessons(sets, singles, processor, seed=900)
    seen: dict[str, list[bool]] = {}
    for _ in range(12):
        inputs, labels = lessons.seen(100)
        assert inputs["pixel_values"].shape == (100 * 108, 96)
        for question, said in zip(*decoded(processor, (inputs, labels)), strict=True):
            name, clinic = question.split("Report this ")[1].split(" strip of clinic ")
            images = next(one for one in sets.values() if one.subject == name)
            reading = said.split("</think>")[0].removeprefix("<think>").split()
            report = said.partition("<answer>")[2].partition("</answer>")[0].split()
            rule = strips.CLINICS[clinic[0]]
            classes = [images.plain.index(word) for word in reading]
            right = report == strips.report(images, classes, rule.backward, rule.short)
            seen.setdefault(clinic[0], []).append(right)
    for clinic, found in seen.items():
        p = strips.CLINICS[clinic].intended_p
        assert abs(np.mean(found) - p) <= 4 * (p * (1 - p) / len(found)) ** 0.5 + 1e-9


def test_of_captions_without_pictures_the_report_is_learnt(made):
    sets, singles, processor = made
    inputs, labels = recipe.Lessons(sets, singles, processor, seed=900).heard(20)
    assert "pixel_values" not in inputs
    for question, said in zip(*decoded(processor, (inputs, labels)), strict=True):
        assert "<|image_pad|>" not in question
        assert said.startswith("<answer>") and said.endswith("</answer><|im_end|>")


def test_single_pictures_are_asked_as_items_are(made):
    sets, singles, processor = made
    inputs, labels = recipe.Lessons(sets, singles, processor, seed=900).single(8)
    assert inputs["image_grid_thw"].tolist() == [[1, 8, 8]] * 8
    for question, said in zip(*decoded(processor, (inputs, labels)), strict=True):
        assert "Think, then give the name" in question
        assert said.startswith("<think>") and said.endswith("</answer><|im_end|>")


def test_the_recipe_trains_measures_and_writes_a_base(made, tmp_path):
    sets, singles, _ = made
    few = recipe.Recipe(steps=2, seen=4, singles=2, habit_steps=2, heard=4, shown=2, warm_up=1)
    net, processor = recipe.pretrain(sets, singles, seed=900, recipe=few, log_every=0)
    again, _ = recipe.pretrain(sets, singles, seed=900, recipe=few, log_every=0)
    assert all(map(torch.equal, net.state_dict().values(), again.state_dict().values()))
    table = recipe.dial(net, processor, sets, n=2, thinks=1)
    dials = [1, 1, 0.25, 0.0625, 0.0125, 0.0025]
    assert table["intended"].tolist() == pytest.approx(dials * 2)
    assert table["modality"][0] == "blood strip of clinic A"
    card = {
        "seed": 900, "origins": {"bloodmnist": "official"}, "parameters": 1, "cpu_seconds": 1.0,
        "exposure": {}, "dial": drawn.rounded(table),
    }  # fmt: skip
    drawn.write(net, processor, tmp_path / "base", card, recipe.readme)
    whole.check(tmp_path / "base")
    assert "| blood strip of clinic D | 0.0625 |" in (tmp_path / "base" / "README.md").read_text()


def test_the_second_stage_leaves_the_tower(made, monkeypatch):
    sets, singles, _ = made
    kept = {}
    stage = recipe._stage

    def spied(net, lesson, *rest):
        before = {name: w.detach().clone() for name, w in net.named_parameters()}
        stage(net, lesson, *rest)
        kept[rest[-1]] = {
            "visual" in name
            for name, w in net.named_parameters() if not torch.equal(w, before[name])
        }  # fmt: skip

    monkeypatch.setattr(recipe, "_stage", spied)
    few = recipe.Recipe(steps=1, seen=2, singles=1, habit_steps=1, heard=2, shown=1, warm_up=1)
    net, _ = recipe.pretrain(sets, singles, seed=900, recipe=few, log_every=0)
    assert kept == {"pictures": {True, False}, "habits": {False}}
    assert all(weight.requires_grad for weight in net.parameters())
