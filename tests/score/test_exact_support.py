from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medrl_core.data.drawn.items import build_items
from medrl_core.data.drawn.modalities import RULES_WORLD
from medrl_core.data.drawn.world import SEEN
from medrl_core.data.prompts import messages
from medrl_core.errors import UserError
from medrl_core.models import hub
from medrl_core.sample.sampling import Decoding, sample
from medrl_core.score.evaluate import rollout_rows
from medrl_core.score.exact_support import report_support

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def base():
    return hub.load(str(ROOT / "data" / "drawn-base"))


@pytest.fixture(scope="module")
def items():
    return build_items(RULES_WORLD, "knee film", "test", n=6)


@torch.no_grad()
def logps(net, processor, item, text, temperature=1.0):
    """Log-probability of each token of a text as an answer, by one plain forward pass."""
    prompt = processor.apply_chat_template(
        messages(item), tokenize=False, add_generation_prompt=True
    )
    inputs = processor(text=[prompt], images=list(item.images), return_tensors="pt")
    said = torch.tensor(processor.tokenizer([text])["input_ids"])
    inputs["input_ids"] = torch.cat([inputs["input_ids"], said], 1)
    for name in ("attention_mask", "mm_token_type_ids"):
        more = torch.full_like(said, int(name == "attention_mask"))
        inputs[name] = torch.cat([inputs[name], more], 1)
    logits = net(**inputs).logits[0, -said.shape[1] - 1 : -1]
    return (logits / temperature).log_softmax(-1).gather(-1, said[0][:, None])[:, 0].double()


def written(item, reading):
    return f"<think> {reading}</think><answer> {item.gold}</answer><|im_end|>"


def test_forced_chances_are_those_of_a_plain_forward_pass(base, items):
    found = report_support(*base, items, thinks=0)
    assert np.isnan(found.p).all() and found.after.shape == (6, 0)
    for i, item in enumerate(items):
        told = logps(*base, item, written(item, item.reading))
        # <think>, six words, </think>: 8 tokens; <answer>, six words, </answer>, end: 9.
        assert found.think[i] == pytest.approx(told[:8].sum().exp().item(), rel=1e-3)
        assert found.forced[i] == pytest.approx(told[8:].sum().exp().item(), rel=1e-3)
        assert found.slots[i] == pytest.approx(told[9:15].exp().numpy(), rel=1e-3)


def test_p_is_the_sum_over_all_reasonings_a_model_may_have(base, items):
    # The chance of a right report is summed over the reasonings that differ from the right one in
    # at most two words; what they lack of the tag's chance bounds the rest.
    net, processor = base
    item = items[0]
    right = item.reading.split()
    readings = {tuple(right)}
    for places in itertools.combinations(range(6), 2):
        for words in itertools.product(*(SEEN[place] for place in places)):
            changed = list(right)
            for place, word in zip(places, words, strict=True):
                changed[place] = word
            readings.add(tuple(changed))
    asked = [replace(item, item_id=str(i), reading=" ".join(r)) for i, r in enumerate(readings)]
    each = report_support(net, processor, asked, thinks=0)
    total, mass = (each.think * each.forced).sum(), each.think.sum()
    opening = logps(net, processor, item, "<think>").exp().item()
    found = report_support(net, processor, [item], thinks=400, seed=900)
    spread = opening * found.after.std() / 20
    assert total - 4 * spread - 1e-6 <= found.p[0] <= total + (opening - mass) + 4 * spread + 1e-6
    assert mass > 0.5 * opening  # else the test would say little


def test_p_is_what_plain_sampling_finds(base, items):
    net, processor = base
    found = report_support(net, processor, items, thinks=64, seed=900)
    decoding = Decoding(max_new_tokens=24)
    rows = [
        row
        for part in sample(net, processor, items, k=300, decoding=decoding, greedy=False, seed=901)
        for row in rollout_rows(part, decoding, seed=901, model_name="", model_hash="")
    ]
    right = np.array([row["correct"] for row in rows]).reshape(-1)
    p = found.p.mean()
    assert len(right) == 1800 and 0.1 < p < 0.9
    error = (p * (1 - p) / len(right)) ** 0.5 + (found.after.std(1) / 8).mean() / len(items) ** 0.5
    assert abs(right.mean() - p) < 4 * error


def test_temperature_is_that_of_every_softmax(base, items):
    found = report_support(*base, items[:1], thinks=4, temperature=2.0)
    told = logps(*base, items[0], written(items[0], items[0].reading), temperature=2.0)
    assert found.forced[0] == pytest.approx(told[8:].sum().exp().item(), rel=1e-3)
    assert found.think[0] == pytest.approx(told[:8].sum().exp().item(), rel=1e-3)


def test_equal_seeds_give_equal_numbers_and_batches_do_not_matter(base, items):
    first, again = (report_support(*base, items, thinks=8, seed=3) for _ in range(2))
    assert np.array_equal(first.after, again.after)
    alone = report_support(*base, items[2:3], thinks=8, seed=3)
    assert alone.after[0] == pytest.approx(first.after[2], rel=1e-3)
    # Where one of ten words of a reasoning is loose, other draws give other reasonings.
    loose = build_items(RULES_WORLD, "lung CT", "test", n=6)
    drawn = [report_support(*base, loose, thinks=8, seed=seed).after for seed in (3, 4)]
    assert not np.array_equal(*drawn)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"answer_format": "open"}, "is no report item with a reading"),
     ({"reading": ""}, "is no report item with a reading"),
     ({"gold": "left"}, "differ in tokens: ask separately")],
)  # fmt: skip
def test_other_items_are_refused(base, items, change, message):
    with pytest.raises(UserError, match=message):
        report_support(*base, [items[0], replace(items[1], **change)])


def test_no_items_are_refused(base):
    with pytest.raises(UserError, match="the support of no items"):
        report_support(*base, [])


def test_the_module_needs_no_torch_to_be_imported():
    code = "import sys; import medrl_core.score.exact_support; print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
