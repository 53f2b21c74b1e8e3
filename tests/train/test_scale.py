"""How a step is laid out on memory and processes, and that it stays the same step."""

from __future__ import annotations

import pytest
import torch

import tiny
from medrl_core.errors import UserError
from medrl_core.train import rl, sft
from medrl_core.train.rl import RL
from medrl_core.train.scale import Scale


@pytest.mark.parametrize(
    ("rows", "processes", "expected"),
    [(None, 1, (64, 1)), (None, 4, (16, 1)), (8, 1, (8, 8)), (8, 4, (8, 2)), (16, 4, (16, 1))],
)
def test_pieces_of_a_step_by_hand(monkeypatch, rows, processes, expected):
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    found = Scale(rows=rows).arguments(64, "batch_size")
    pieces = found["per_device_train_batch_size"], found["gradient_accumulation_steps"]
    assert pieces == expected
    assert pieces[0] * pieces[1] * processes == 64


def test_what_cannot_be_shared_is_refused(monkeypatch):
    with pytest.raises(UserError, match="batch_size 64 is 64 sequences a process, no multiple of"):
        Scale(rows=24).arguments(64, "batch_size")
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UserError, match="batch_size 64 must be a multiple of the 3 processes"):
        Scale().arguments(64, "batch_size")


def signal(completions, **_):
    """A reward that differs within any group of differing texts: training always moves."""
    return [len(completion[-1]["content"]) / 100 for completion in completions]


def test_pieces_and_recomputing_change_rl_by_rounding_alone():
    def weights(scale):
        model, processor = tiny.build()
        settings = RL(
            completions=16, group=4, per_step=8, temperature=2.0, max_new_tokens=6,
            learning_rate=1e-3, rewards=(signal,),
        )  # fmt: skip
        found = rl.train(model, processor, tiny.items("open", 4), settings, seed=0, scale=scale)
        return tiny.weights(found.net), found.record

    (whole, first), (pieces, second) = weights(None), weights(Scale(rows=2, checkpointing=True))
    assert first["step"].tolist() == second["step"].tolist() == [1, 2]
    assert first["signal"].tolist() == second["signal"].tolist()
    moved = max((whole[n] - w).abs().max().item() for n, w in tiny.weights(tiny.build()[0]).items())
    apart = {n: (whole[n] - pieces[n]).abs() for n in whole}
    near = torch.cat([d.flatten() for d in apart.values()]) < 0.05 * moved
    assert moved > 5e-4 and near.float().mean() > 0.99


def test_pieces_change_sft_by_their_weights_alone():
    def losses(scale):
        model, processor = tiny.build()
        _, history = sft.train(
            model, processor, tiny.items("open", 8), steps=3, batch_size=8, learning_rate=1e-3,
            scale=scale,
        )
        return [row["loss"] for row in history]

    # A piece counts as much as another, a whole batch counts tokens: texts here are of like length.
    assert losses(Scale(rows=2)) == pytest.approx(losses(None), rel=5e-3)


def test_weights_of_half_width_are_trained_in_full_width():
    model, processor = tiny.build()
    model = model.to(torch.bfloat16)
    before = tiny.weights(model)
    seen = []
    model.register_forward_pre_hook(lambda module, _: seen.append(module.dtype))
    model, _ = sft.train(model, processor, tiny.items("open", 4), steps=3, batch_size=4)
    assert set(seen) == {torch.float32}
    assert model.dtype == torch.bfloat16 and not tiny.same(before, tiny.weights(model))
