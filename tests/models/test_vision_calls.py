from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from PIL import Image

from medrl_core.models import micro
from medrl_core.models.vision_calls import fewer_calls


@pytest.fixture(scope="module")
def made():
    """A random micro model, and a batch of eight rows that show two pictures."""
    processor = micro.build_processor(micro.train_tokenizer(["user\nassistant\nWhat?"] * 4))
    net = micro.build_model(processor.tokenizer, width=64, depth=2)
    with torch.no_grad():
        for weight in net.parameters():
            weight.mul_(3)
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(256, size=(32, 32, 3), dtype=np.uint8)) for _ in "ab"]
    text = "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>What?<|im_end|>\n"
    order = [0, 1, 0, 0, 1, 1, 0, 1]
    inputs = processor(text=[text] * 8, images=[[pictures[i]] for i in order], return_tensors="pt")
    return net, dict(inputs), processor, pictures


def pass_through(net, inputs):
    net.zero_grad()
    loss = net(**inputs, labels=inputs["input_ids"]).loss
    loss.backward()
    found = {name: weight.grad for name, weight in net.named_parameters()}
    return loss.item(), {name: x.clone() for name, x in found.items() if x is not None}


def test_loss_and_gradients_are_those_of_transformers(made):
    net, inputs, *_ = made
    quick = copy.deepcopy(net)
    fewer_calls(quick)
    (loss, gradients), (same, others) = pass_through(net, inputs), pass_through(quick, inputs)
    assert same == pytest.approx(loss, rel=1e-5)
    assert gradients.keys() == others.keys() and any("visual" in name for name in gradients)
    for name, gradient in gradients.items():
        largest = gradient.abs().max().clamp(min=1e-6)
        assert (gradient - others[name]).abs().max() / largest < 1e-3, name


def test_each_picture_is_encoded_once_in_one_attention_call_a_layer(made, monkeypatch):
    net, inputs, *_ = made
    quick = copy.deepcopy(net)
    fewer_calls(quick)
    seen = []
    patch = quick.model.visual.patch_embed.forward
    monkeypatch.setattr(
        quick.model.visual.patch_embed, "forward", lambda x: (seen.append(len(x)), patch(x))[1]
    )
    quick(**inputs)
    assert seen == [2 * 64]


def test_a_copy_has_a_tower_of_its_own(made):
    net, inputs, *_ = made
    quick = copy.deepcopy(net)
    fewer_calls(quick)
    fewer_calls(quick)  # a second time changes nothing
    other = copy.deepcopy(quick)
    with torch.no_grad():
        for weight in other.model.visual.parameters():
            weight.zero_()
        assert not torch.allclose(quick(**inputs).logits, other(**inputs).logits)
        assert torch.allclose(quick(**inputs).logits, net(**inputs).logits, atol=1e-4)


def test_pictures_of_different_sizes_and_unequal_windows(made):
    net, _, processor, pictures = made
    processor = copy.deepcopy(processor)
    processor.image_processor.size = {"shortest_edge": 16, "longest_edge": 10_000}
    text = "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>What?<|im_end|>\n"
    images = [[pictures[0]], [pictures[1].resize((48, 40))]]
    inputs = processor(text=[text] * 2, images=images, padding=True, return_tensors="pt")
    windowed = copy.deepcopy(net)
    windowed.model.visual.fullatt_block_indexes = []
    quick = copy.deepcopy(windowed)
    fewer_calls(quick)
    with torch.no_grad():
        assert torch.allclose(windowed(**inputs).logits, quick(**inputs).logits, atol=1e-4)


def test_a_model_without_such_a_tower_is_left_alone():
    net = torch.nn.Linear(2, 2)
    fewer_calls(net)
    assert net(torch.zeros(1, 2)).shape == (1, 2)
