from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from torch import nn

import tiny
from medrl_core.train import reference, sft


@pytest.fixture(scope="module")
def accelerator():
    return Accelerator(cpu=True)


def test_an_average_by_hand(accelerator):
    policy = nn.Linear(1, 1, bias=False)
    policy.weight.data.fill_(1.0)
    average = reference.make(policy, accelerator)
    policy.weight.data.fill_(3.0)
    reference.MovingAverage.sync_target_model(policy, average, 0.25)
    assert average.weight.item() == 1.5  # 1 + (3 - 1) / 4
    assert policy.weight.item() == 3.0
    assert not average.weight.requires_grad and policy.weight.requires_grad


def test_with_an_adapter_the_base_is_shared_and_stays(accelerator):
    model, _ = tiny.build()
    from peft import get_peft_model

    model = get_peft_model(model, sft.lora_config())
    average = reference.make(model, accelerator)
    pairs = list(zip(model.named_parameters(), average.parameters(), strict=True))
    shared = [name for (name, weight), other in pairs if weight is other]
    own = [name for (name, weight), other in pairs if weight is not other]
    assert own and all("lora_" in name for name in own)
    assert shared and not any("lora_" in name for name in shared)
    base = {name: weight.clone() for (name, weight), _ in pairs if name in shared}
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name in own:
                weight.fill_(1.0)
    before = {name: weight.clone() for name, weight in average.named_parameters() if name in own}
    reference.MovingAverage.sync_target_model(model, average, 0.5)
    for name, weight in average.named_parameters():
        expected = base[name] if name in base else (before[name] + 1) / 2
        assert torch.equal(weight, expected), name


def test_with_zero3_the_copy_is_split_in_float32(monkeypatch):
    class Engine(nn.Module):
        def eval(self):
            """As DeepSpeed's: nothing comes back."""

    seen = []

    def initialize(model, config):
        seen.append(config)
        return Engine(), None

    monkeypatch.setitem(sys.modules, "deepspeed", SimpleNamespace(initialize=initialize))
    zero = {"zero_optimization": {"stage": 3}}
    config = {**zero, "bf16": {"enabled": True}, "optimizer": {}}
    plugin = SimpleNamespace(zero_stage=3, deepspeed_config=config)
    state = SimpleNamespace(deepspeed_plugin=plugin, fsdp_plugin=None)
    found = reference.make(nn.Linear(1, 1), SimpleNamespace(state=state))
    assert isinstance(found, Engine) and seen == [zero]
    assert "bf16" in plugin.deepspeed_config  # the policy's own configuration stays


def test_bfloat16_would_hold_the_reference_still():
    for kind, moved in ((torch.float32, True), (torch.bfloat16, False)):
        policy, average = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        policy, average = policy.to(kind), average.to(kind)
        policy.weight.data.fill_(1.25)  # a quarter away: far more than training moves a weight
        average.weight.data.fill_(1.0)
        for _ in range(100):
            reference.MovingAverage.sync_target_model(policy, average, 0.005)
        assert (average.weight.item() != 1.0) == moved
