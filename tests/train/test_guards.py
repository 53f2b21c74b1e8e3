"""What stops a training: each test breaks a real one and reads the one line that comes of it."""

from __future__ import annotations

import copy
import json
import math
import re
from pathlib import Path

import pytest
import torch

import tiny
from medrl_core.errors import UserError
from medrl_core.models.micro import TAG_TOKENS
from medrl_core.train import guards, rl, sft
from medrl_core.train.progress import ProgressLines
from medrl_core.train.rl import RL

SETTINGS = {"group": 4, "per_step": 8, "max_new_tokens": 6, "learning_rate": 1e-3, "beta": 0.0}


def zeros(completions, **_):
    return [0.0] * len(completions)


def ones(completions, **_):
    return [1.0] * len(completions)


def train(steps=3, items=None, model=None, work_dir=None, **given):
    own, processor = tiny.build() if model is None else model
    settings = RL(completions=8 * steps, **{**SETTINGS, "rewards": (differing,), **given})
    return rl.train(own, processor, items or tiny.items("open", 8), settings, work_dir=work_dir)


def batch(error) -> list[dict]:
    """The batch that a message says was written, and one line of text it must be."""
    message = str(error.value)
    assert "\n" not in message
    path = Path(re.search(r"The batch is in (\S+)$", message)[1])
    return [json.loads(line) for line in path.read_text().splitlines()]


def differing(completions, **_):
    return [len(completion[-1]["content"]) / 100 for completion in completions]


@pytest.mark.parametrize("objective", ["grpo", "care", "rloo", "passk"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, None])
@pytest.mark.fault(
    "Odd numbers and sizes", "a training whose loss or reward becomes NaN, infinite or nothing",
    "stops at that step in one line; the batch is kept beside it",
)  # fmt: skip
def test_a_reward_that_is_not_finite_stops_at_its_step(tmp_path, tried, objective, bad):
    calls = []

    def third_breaks(completions, **_):
        calls.append(1)
        return [1.0] * 7 + [bad if len(calls) == 3 else 0.0]

    with tried():
        with pytest.raises(UserError, match=r"rl, step 3: a reward is not finite") as error:
            train(5, objective=objective, rewards=(zeros, third_breaks), work_dir=tmp_path)
        rows = batch(error)
        assert len(rows) == 8 and len(calls) == 3
    assert set(rows[0]) == {"item_id", "prompt", "completion", "rewards"}
    assert rows[0]["item_id"] == rows[3]["item_id"] != rows[4]["item_id"]
    assert rows[0]["rewards"]["third_breaks"] == 1.0


@pytest.mark.fault(
    "Odd numbers and sizes", "a training whose loss or reward becomes NaN, infinite or nothing",
    "stops at that step in one line; the batch is kept beside it",
)  # fmt: skip
def test_a_loss_of_rl_that_is_not_finite_stops_at_its_step(monkeypatch, tmp_path, tried):
    seen = []

    class Broken(rl.Trainer):
        def compute_loss(self, *args, **kwargs):
            seen.append(1)
            return super().compute_loss(*args, **kwargs) * (math.nan if len(seen) == 2 else 1.0)

    monkeypatch.setattr(rl, "Trainer", Broken)
    with tried():
        with pytest.raises(UserError, match=r"step 2: the loss is not finite: lower the") as error:
            train(5, work_dir=tmp_path)
        assert len(batch(error)) == 8 and len(seen) == 2


@pytest.mark.fault(
    "Odd numbers and sizes", "a training whose loss or reward becomes NaN, infinite or nothing",
    "stops at that step in one line; the batch is kept beside it",
)  # fmt: skip
def test_a_loss_of_sft_that_is_not_finite_keeps_what_was_taught(tmp_path, tried):
    model, processor = tiny.build()
    with torch.no_grad():
        next(model.parameters()).fill_(math.nan)
    options = {"steps": 3, "batch_size": 4, "work_dir": tmp_path}
    with tried():
        with pytest.raises(UserError, match=r"sft, step 1: the loss is not finite") as error:
            sft.train(model, processor, tiny.items("open", 8), **options)
        rows = batch(error)
    assert len(rows) == 4 and all("<answer>" in row["text"] for row in rows)


def test_rewards_without_signal_stop_and_a_right_answer_for_all_does_not(tmp_path):
    with pytest.raises(UserError, match=r"step 4: for 3 steps no group's compl.* differed") as e:
        train(6, patience=3, rewards=(zeros,), work_dir=tmp_path)
    assert "of 8 completions close their answer tag: raise max_new_tokens" in str(e.value)
    assert "too hard for this model: begin with SFT" in str(e.value)
    assert len(batch(e)) == 8
    train(4, patience=0, rewards=(zeros,))
    train(4, patience=3, rewards=(ones,))


def test_a_bonus_among_right_answers_is_signal(monkeypatch):
    """Equal rewards, but the consistency bonus differs: something is learned."""
    monkeypatch.setattr(
        rl.Trainer, "_likelihood", lambda self, output: torch.tensor([0.1, 0.2, 0.3, 0.9] * 2)
    )
    train(4, objective="care", rewards=(ones,), patience=2)
    with pytest.raises(UserError, match="step 3: for 2 steps"):
        train(4, objective="grpo", rewards=(zeros,), patience=2)


def test_one_step_with_signal_begins_the_count_again():
    calls = []

    def third_differs(completions, **_):
        calls.append(1)
        return [float(len(calls) == 3), *[0.0] * 7]

    train(5, patience=3, rewards=(third_differs,))
    assert len(calls) == 5


def test_tags_that_decoding_strips_are_named(tmp_path):
    """A trap of the real trainer: special tags vanish before the reward sees them."""
    model, processor = copy.deepcopy(tiny.build())
    processor.tokenizer.add_tokens(list(TAG_TOKENS), special_tokens=True)
    model, _ = sft.train(
        model, processor, tiny.items("open", 8), steps=60, batch_size=8, learning_rate=1e-2
    )
    with pytest.raises(UserError, match="<answer>, </answer> are special tokens, which deco") as e:
        train(4, model=(model, processor), patience=2, max_new_tokens=30, rewards=("format",),
              work_dir=tmp_path)  # fmt: skip
    assert not any("<answer>" in row["completion"] for row in batch(e))


@pytest.mark.parametrize(
    "raised",
    [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(),
     RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")],
)
def test_no_memory_names_two_settings(raised):
    def full(completions, **_):
        raise raised

    with pytest.raises(UserError) as error:
        train(rewards=(full,))
    assert str(error.value) == "rl: out of memory; lower per_step = 8 or max_new_tokens = 6"


def test_really_too_large_a_batch_is_one_line():
    told = pytest.raises(UserError, match="sft: out of memory; lower batch_size = 2 or size = 28")
    with told, guards.memory("sft", {"batch_size": 2, "size": 28}):
        torch.empty(2**55)


def test_other_errors_pass_unchanged():
    def wrong(completions, **_):
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        train(rewards=(wrong,))


def test_a_fault_of_the_reference_stops_the_run(monkeypatch):
    class Broken(rl.Trainer):
        def _get_per_token_logps_and_entropies(self, model, *args, **kwargs):
            if model is self.average:
                raise RuntimeError("the reference is broken")
            return super()._get_per_token_logps_and_entropies(model, *args, **kwargs)

    monkeypatch.setattr(rl, "Trainer", Broken)
    with pytest.raises(RuntimeError, match="the reference is broken"):
        train(objective="care", rewards=(ones,))


def test_progress_tells_reward_entropy_length_and_signal(monkeypatch, capsys):
    monkeypatch.setattr("medrl_core.train.progress.EVERY_SECONDS", 0.0)
    train(2)
    last = capsys.readouterr().err.strip().splitlines()[-1]
    number = r"-?[\d.]+(e-?\d+)?"
    assert re.search(
        f"step 2/2, loss {number}, reward {number}, entropy {number}, length {number}, "
        f"groups without signal {number},",
        last,
    ), last
    assert ProgressLines("x").note == ""
