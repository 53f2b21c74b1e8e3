from __future__ import annotations

import pytest
import torch

import tiny
from medrl_core.data.prompts import messages, target_text
from medrl_core.errors import UserError
from medrl_core.train import sft


def test_loss_is_on_the_completion_alone(monkeypatch):
    model, processor = tiny.build()
    items = [*tiny.items("open", 2), *tiny.items("mcq", 2)]
    seen = []

    class Spy(sft.PlainSFTTrainer):
        def compute_loss(self, model, inputs, *args, **kwargs):
            seen.append({name: value.clone() for name, value in inputs.items()})
            return super().compute_loss(model, inputs, *args, **kwargs)

    monkeypatch.setattr(sft, "PlainSFTTrainer", Spy)
    sft.train(model, processor, items, steps=1, batch_size=4)
    (batch,) = seen
    found = set()
    for ids, labels, mask in zip(
        batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True
    ):
        ids, labels = ids[mask.bool()], labels[mask.bool()]
        learned = labels != -100
        assert torch.equal(ids[learned], labels[learned])
        start = int(learned.int().argmax())
        found.add((tuple(ids[:start].tolist()), processor.tokenizer.decode(labels[start:])))
        assert learned[start:].all()
    assert not (batch["labels"][batch["attention_mask"] == 0] != -100).any()
    for item in items:
        text = processor.apply_chat_template(
            messages(item), tokenize=False, add_generation_prompt=True
        )
        prompt = processor(text=[text], images=list(item.images))["input_ids"][0]
        completions = [done for start, done in found if list(start) == list(prompt)]
        assert completions, "the prompt is not that of the evaluation"
        assert all(
            done.rstrip("\n") in {f"{target_text(item, v)}<|im_end|>" for v in range(3)}
            for done in completions
        )


def test_loss_falls_on_a_toy_set_and_progress_is_told(capsys):
    model, processor = tiny.build()
    model, history = sft.train(
        model, processor, tiny.items("open", 4), steps=30, batch_size=4, learning_rate=1e-2,
        label="toy",
    )
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    assert len(history) == 10
    assert not model.training
    assert "toy: step 30/30, loss" in capsys.readouterr().err


def test_early_stopping_gives_back_the_weights_of_the_lowest_validation_loss(monkeypatch):
    model, processor = tiny.build()
    seen = []

    class Watched(sft.PlainSFTTrainer):
        def evaluate(self, *args, **kwargs):
            found = super().evaluate(*args, **kwargs)
            seen.append((found["eval_loss"], tiny.weights(self.model)))
            return found

    monkeypatch.setattr(sft, "PlainSFTTrainer", Watched)
    # Two items learned by heart, others asked: the loss on those rises soon.
    model, history = sft.train(
        model, processor, tiny.items("open", 24, "train")[:2], steps=60, batch_size=2,
        learning_rate=2e-2, validation=tiny.items("open", 8, "val"), patience=3,
    )
    losses = [loss for loss, _ in seen]
    best = losses.index(min(losses))
    assert len(losses) < 20 and len(losses) == best + 1 + 3
    assert tiny.same(tiny.weights(model), seen[best][1])
    assert [row["eval_loss"] for row in history if "eval_loss" in row] == losses


def test_small_models_learn_what_trls_own_way_teaches(monkeypatch):
    # Items of two prompt lengths, three passes: pictures are encoded once, and the loss is ours.
    items = [*tiny.items("open", 3), *tiny.items("mcq", 3)]

    def trained():
        model, processor = tiny.build()
        _, history = sft.train(model, processor, items, steps=6, batch_size=3, learning_rate=1e-3)
        return tiny.weights(model), [row["loss"] for row in history]

    quick, losses = trained()
    monkeypatch.setattr(sft, "FEW_PIXELS", 0)
    monkeypatch.setattr(sft, "SMALL_VOCABULARY", 0)
    stock, expected = trained()
    assert losses == pytest.approx(expected, rel=1e-3)
    for name, value in stock.items():
        assert torch.allclose(quick[name], value, atol=2e-4), name


def test_pictures_are_encoded_once(monkeypatch):
    model, processor = tiny.build()
    calls = []
    encode = processor.image_processor.preprocess
    monkeypatch.setattr(
        processor.image_processor,
        "preprocess",
        lambda *a, **k: (calls.append(1), encode(*a, **k))[1],
    )
    sft.train(model, processor, tiny.items("open", 4), steps=6, batch_size=2)
    assert len(calls) == 4


def test_a_frozen_tower_stays():
    model, processor = tiny.build()
    before = tiny.weights(model)
    sft.train(model, processor, tiny.items("open", 4), steps=2, batch_size=2, train_vision=False)
    after = tiny.weights(model)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and not any("visual" in name for name in moved)
    assert all(weight.requires_grad for weight in model.parameters())


def test_equal_seeds_give_equal_weights():
    def weights(seed):
        model, processor = tiny.build()
        sft.train(model, processor, tiny.items("open", 8), steps=3, batch_size=4, seed=seed)
        return tiny.weights(model)

    first = weights(1)
    assert tiny.same(first, weights(1))
    assert not tiny.same(first, weights(2))


def test_an_adapter_leaves_the_base_weights():
    model, processor = tiny.build()
    before = tiny.weights(model)
    adapted, _ = sft.train(
        model, processor, tiny.items("open", 4), steps=2, batch_size=4, lora=True
    )
    after = {
        name.removeprefix("base_model.model.").replace(".base_layer", ""): value
        for name, value in tiny.weights(adapted).items()
        if "lora_" not in name
    }
    assert tiny.same(before, after)
    ups = [value for name, value in tiny.weights(adapted).items() if "lora_B" in name]
    assert ups and all(value.any() for value in ups[:1])


def test_no_items_and_no_steps():
    model, processor = tiny.build()
    before = tiny.weights(model)
    with pytest.raises(UserError, match="at least one training item"):
        sft.train(model, processor, [], steps=1)
    same, history = sft.train(model, processor, tiny.items("open", 2), steps=0)
    assert same is model and history == [] and tiny.same(before, tiny.weights(model))
