"""What the processes of tests/train/test_checkpoints.py run: short trainings of the tiny model.

A fork server imports this module once; each process that it starts can be killed.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import torch

import tiny
from medrl_core.train import grpo, sft
from medrl_core.train.care import Care
from medrl_core.train.checkpoints import Checkpoints

STEPS = 10
RL = {
    "num_generations": 4, "completions_per_step": 8, "max_new_tokens": 4, "learning_rate": 1e-2,
    "care": Care(ema_decay=0.5, ema_every=3),
}
# Six items: an epoch is three steps, so trainings end and go on in the middle of a later one.
KINDS = {
    "sft": {"steps": STEPS, "batch_size": 2},
    "grpo": {"steps": STEPS, "objective": "grpo", **RL},
    "care": {"steps": STEPS, "objective": "care", **RL},
    "care lora": {"steps": STEPS, "objective": "care", "lora": True, **RL},
    "rloo, two updates": {"steps": STEPS // 2, "objective": "rloo", "updates": 2, **RL},
    "care, tokens": {"tokens": 32 * STEPS, "objective": "care", **RL},
}


def signal(completions, **_):
    """A reward that differs within any group of differing texts: training always moves."""
    return [zlib.crc32(text[-1]["content"].encode()) % 97 / 97 for text in completions]


def run(kind: str, folder: str | None, out: str, **changed) -> None:
    """Train with checkpoints every two steps in `folder`, and write weights and log to `out`."""
    torch.set_num_threads(1)
    grpo.accuracy_reward = signal
    model, processor = tiny.build()
    train = sft.train if kind.startswith("sft") else grpo.train
    kept = Checkpoints(Path(folder), every=2) if folder else None
    options = {**KINDS[kind], **changed}
    items = tiny.items("open", 6)
    model, history = train(model, processor, items, seed=3, checkpoints=kept, **options)
    torch.save((tiny.weights(model), history), out)
