from __future__ import annotations

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from medrl_core.errors import UserError
from medrl_core.models import hub
from medrl_core.train import estimate
from medrl_core.train.estimate import Plan

SEVEN = "OctoMed/OctoMed-7B"
MICRO = "data/drawn-base"


def test_weights_of_the_micro_model_are_those_it_has():
    model, _ = hub.load(MICRO)
    assert estimate.shape(MICRO).weights == sum(p.numel() for p in model.parameters())


def test_weights_of_a_model_without_pictures_are_those_it_has(tmp_path):
    config = LlamaConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        vocab_size=100,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    model.save_pretrained(tmp_path)
    found = estimate.shape(str(tmp_path))
    assert found.weights == sum(p.numel() for p in model.parameters())
    assert (found.kv_heads, found.head, found.inner) == (2, 8, 32)


def paper(**changed):
    return Plan(**{
        "model": estimate.shape(SEVEN), "steps": 1000, "completions": 64, "rows": 2, "prompt": 1200,
        "answer": 2048, "gpus": 4, "split": True, **changed,
    })  # fmt: skip


def test_memory_of_7b_by_hand():
    found = {name: size / 1e9 for name, (size, _) in estimate.memory(paper()).items()}
    assert estimate.shape(SEVEN).weights == 8_292_166_656
    assert found["weights"] == found["gradients"] == found["reference"]
    assert found["weights"] == pytest.approx(8.292166656)  # 4 bytes over 4 GPUs
    assert found["optimiser"] == pytest.approx(2 * 8.292166656)
    assert found["working copy"] == pytest.approx(8.292166656 / 2)
    # 2 x 28 layers x 4 heads x 128 x 2 bytes = 57,344 a token; 16 completions of 3,248 tokens
    assert found["rollout cache"] == pytest.approx(57_344 * 16 * 3248 / 1e9)
    # widths a token: 28 inputs of layers, one layer whole: 10 + 3 x 18944 / 3584 + 2 x 4 / 28
    widths = 28 + 10 + 3 * 18944 / 3584 + 2 / 7
    assert found["activations"] == pytest.approx(2 * 3248 * widths * 3584 * 2 / 1e9)
    moving = ("activations", "rollout cache")
    stays = sum(size for name, size in found.items() if name not in moving)
    assert estimate.peak(paper()) / 1e9 == pytest.approx(
        stays + max(found["activations"], found["rollout cache"])
    )


def test_an_adapter_and_its_reference_are_small():
    found = {n: size for n, (size, _) in estimate.memory(paper(lora=True, split=False)).items()}
    adapter = estimate.shape(SEVEN).adapter
    # rank 16, 28 layers: q and o 3584 + 3584, k and v 3584 + 512, three of 3584 + 18944
    assert adapter == 16 * 28 * (2 * 7168 + 2 * 4096 + 3 * 22528)
    assert found["weights"] == 8_292_166_656 * 2 + adapter * 4
    assert found["reference"] == adapter * 4 < found["weights"] / 50
    assert "working copy" not in found


def test_without_splitting_all_lies_on_each_gpu():
    split, whole = estimate.memory(paper()), estimate.memory(paper(split=False))
    for name in ("weights", "gradients", "optimiser", "reference"):
        assert whole[name][0] == 4 * split[name][0]
    assert whole["rollout cache"] == split["rollout cache"]
    assert "reference" not in estimate.memory(paper(care=False))


def test_tokens_and_hours_by_hand():
    found = {name: value for name, (value, _) in estimate.work(paper()).items()}
    assert found["sequences"] == 64_000
    assert found["tokens sampled"] == 64_000 * 2048
    assert found["tokens trained on"] == 64_000 * 3248
    assert found["GPU-hours of sampling"] == pytest.approx(64_000 * 2048 / 2500 / 3600)
    # forward and backward 3, recomputing 1, reference 1
    flops = 2 * 8_292_166_656 * 5 * 64_000 * 3248
    assert found["GPU-hours of training"] == pytest.approx(flops / (989e12 * 0.4) / 3600)


def test_main_memory_by_hand():
    assert estimate.host(paper())[0] == 4 * 2 * 8_292_166_656 * 4
    assert estimate.host(paper(care=False))[0] == 4 * 8_292_166_656 * 4
    assert estimate.host(paper(lora=True))[0] == 4 * 8_292_166_656 * 2


def test_an_unknown_model_is_refused_and_nothing_is_fetched():
    with pytest.raises(UserError, match="model 'some/model' is no folder .* give a folder"):
        estimate.shape("some/model")
