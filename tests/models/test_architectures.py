"""What each architecture can do, tried on tiny random models: the table of the book's page.

    pytest tests/models/test_architectures.py --architectures data/architectures.json
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
import trl

import architectures
import tiny
from conftest import TABLE
from medrl_core.errors import UserError
from medrl_core.models import tokens
from medrl_core.models.vision_calls import tower_of
from medrl_core.sample.decode import WAYS, way_of
from medrl_core.sample.sampling import Decoding, sample
from medrl_core.train import rl, sft

# transformers makes arrays of tensors in the processors of PaliGemma and GLM-4V.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
TOKENS = 6
# What is refused, and the words of the reason. All else has to work.
REFUSED = {
    ("paligemma", "sft"): "in both directions", ("paligemma", "rl"): "in both directions",
    ("mllama", "sft"): "cross-attention", ("mllama", "rl"): "cross-attention",
}  # fmt: skip
VERSIONS = f"transformers {transformers.__version__}, TRL {trl.__version__}, torch "
VERSIONS += torch.__version__.split("+")[0]


def answers(model, processor, items, k: int) -> dict[tuple[str, int], str]:
    """The text of each completion by item and sample; -1 is the greedy one."""
    found = sample(model, processor, items, k=k, decoding=Decoding(max_new_tokens=TOKENS))
    return {(one.item.item_id, one.sample_index): one.text for batch in found for one in batch}


def greedy_by_generate(model, processor, item) -> str:
    """The greedy answer to an item that transformers' own call gives, nothing of ours in it."""
    turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "x"}]}
    turn["content"][1]["text"] = rl.user_text(item)
    prompt = processor.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
    inputs = dict(processor(text=[prompt], images=[list(item.images)], return_tensors="pt"))
    inputs.pop("labels", None)
    made = model.generate(**inputs, max_new_tokens=TOKENS, do_sample=False)
    made = made[0, inputs["input_ids"].shape[1] :]
    return processor.tokenizer.decode(made, skip_special_tokens=True)


def evaluates(model, processor) -> None:
    """Greedy answers are those of `generate`; samples are many, and the same whatever is beside."""
    items = tiny.items(n=6)
    together = answers(model, processor, items, k=3)
    assert len(together) == 6 * 4
    alone: dict[tuple[str, int], str] = {}
    for item in items:
        alone |= answers(model, processor, [item], k=3)
        assert together[item.item_id, -1] == greedy_by_generate(model, processor, item)
    assert together == alone and len(set(together.values())) > 3
    # The pictures have a say: all six ask the same question.
    assert len({text for (_, index), text in together.items() if index == -1}) > 1


def probes(model, processor) -> None:
    """Features of the tower are finite, and others for another picture."""
    pictures = np.stack([np.asarray(item.images[0]) for item in tiny.items(n=4)])
    found = tokens.encoder(model, processor.image_processor)(pictures)
    assert len(found) == 4 and np.isfinite(found).all() and len(np.unique(found, axis=0)) > 1


def learns_by_sft(model, processor) -> None:
    """A few steps lower the loss on what they teach; a frozen tower stays as it was."""
    before, tower = tiny.weights(model), tiny.weights(tower_of(model))
    items = tiny.items(n=2, split="train")
    model, history = sft.train(
        model, processor, items, steps=6, batch_size=2, learning_rate=1e-3, train_vision=False
    )
    losses = [row["loss"] for row in history if "loss" in row]
    assert losses[-1] < losses[0] and not tiny.same(before, tiny.weights(model))
    assert tower and tiny.same(tower, tiny.weights(tower_of(model)))


def longest(completions, **_) -> list[float]:
    """A reward that differs within a group."""
    return [float(len(one[-1]["content"]) + i % 2) for i, one in enumerate(completions)]


def learns_by_rl(model, processor) -> None:
    """A step on a reward that differs within a group moves the weights."""
    before = tiny.weights(model)
    settings = rl.RL(
        completions=8, per_step=8, group=4, max_new_tokens=TOKENS, learning_rate=1e-4,
        rewards=(longest,), keep_rollouts=True,
    )  # fmt: skip
    found = rl.train(model, processor, tiny.items(n=4, split="train"), settings)
    assert len(found.record) == 1 and not tiny.same(before, tiny.weights(found.net))


TRIED: dict[str, Callable[[Any, Any], None]] = {
    "evaluate": evaluates, "probe": probes, "sft": learns_by_sft, "rl": learns_by_rl,
}  # fmt: skip


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "each" in metafunc.fixturenames:
        every = metafunc.config.getoption("--architectures") is not None
        names = architectures.ARCHITECTURES if every else architectures.FEW
        metafunc.parametrize("each", list(names))


def test_an_architecture_does_all_or_says_in_one_line_what_it_does_not(each, request):
    if each == "smolvlm":
        pytest.importorskip("num2words", reason="SmolVLM's processor asks for it")
    row: dict[str, Any] = {"architecture": each, "versions": VERSIONS}
    for name, tried in TRIED.items():
        model, processor = architectures.build(each)
        if name == "evaluate":
            row["about"] = architectures.ARCHITECTURES[each].__doc__
        if (each, name) in REFUSED:
            with pytest.raises(UserError, match=REFUSED[each, name]) as refusal:
                tried(model, processor)
            said = str(refusal.value)
            assert "\n" not in said
            row[name] = said.split("cannot be trained here: ")[1].split(";")[0]
            continue
        tried(model, processor)
        row[name] = True
        if name == "evaluate":
            row["decoding"] = way_of(model)
            assert row["decoding"] in WAYS
    request.config.stash[TABLE].append(row)


@pytest.mark.parametrize("name", ["qwen3_vl", "mistral3", "lfm2_vl"])
def test_a_greedy_answer_does_not_depend_on_what_is_asked_beside_it(name):
    model, processor = architectures.build(name)
    items = list(tiny.items(n=6))
    wide = items[1].images[0].resize((56, 28))
    items[1] = replace(items[1], images=(wide,))
    items[2] = replace(items[2], images=())
    items[3] = replace(items[3], images=(*items[3].images, items[4].images[0]))
    alone = [answers(model, processor, [item], k=0) for item in items]
    expected = {key: text for one in alone for key, text in one.items()}
    assert answers(model, processor, items, k=0) == expected
    assert answers(model, processor, items[::-1], k=0) == expected
    assert len(set(expected.values())) > 1
