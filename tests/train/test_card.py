"""The committed micro base: its hash, its card's targets, and a few steps of its recipe."""

from __future__ import annotations

import json

import pytest
from transformers import Qwen2_5_VLForConditionalGeneration

from conftest import ROOT
from medrl_core.models import hub
from medrl_core.report import base_card
from medrl_core.train.base import curriculum, pretrain

BASE = ROOT / "data/micro-base"
CARD = json.loads((BASE / "card.json").read_text())
OPEN = {row["dataset"]: row for row in CARD["held_out"] if row["answer_format"] == "open"}
MCQ = {row["dataset"]: row for row in CARD["held_out"] if row["answer_format"] == "mcq"}


def test_the_weights_are_those_of_the_card():
    assert hub.model_hash(str(BASE)) == CARD["weights"]
    assert hub.exposure(str(BASE)) == CARD["exposure"]


def test_it_loads_through_the_auto_classes_and_is_small():
    model, processor = hub.load(str(BASE))
    assert type(model) is Qwen2_5_VLForConditionalGeneration
    assert processor.tokenizer.padding_side == "left"
    assert sum(path.stat().st_size for path in BASE.iterdir()) < 12e6


def test_the_card_was_made_by_the_recipe_as_it_stands():
    assert CARD["exposure"] == {f"phantom-{k}": n for k, n in curriculum.EXPOSURE.items()}
    assert CARD["data_sha256"] == pretrain.data_hash(curriculum.build(seed=CARD["seed"]))


@pytest.mark.parametrize("rows", [OPEN, MCQ], ids=["open", "mcq"])
def test_targets_of_the_base(rows):
    for name, row in rows.items():
        if CARD["exposure"][name]:
            assert row["acc1"] > row["floor1"] + 0.1, name
            assert row["format_ok"] > 0.95, name
        else:
            assert row["acc1"] < row["floor1"] + 0.1, name


def test_a_few_steps_of_the_recipe_lower_the_loss(tmp_path):
    few = curriculum.build(exposure={"blood": 40}, n_pictures=40, n_reading=20)
    _, _, history = pretrain.train(few, batch_size=4, max_steps=60, work_dir=tmp_path)
    losses = [row["loss"] for row in history]
    assert losses[-1] < 6.5  # a uniform guess over the vocabulary loses about 6.6 nats


def test_measuring_again_gives_the_cards_numbers(tmp_path):
    """A small part of the card: the first items of each modality, within sampling error."""
    again = base_card.measure(BASE, tmp_path, n_items=30)
    for row in again[again.answer_format == "open"].itertuples():
        assert abs(row.acc1 - OPEN[row.dataset]["acc1"]) < 0.3
