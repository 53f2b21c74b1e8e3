"""What a step of RL costs: our sampler inside TRL's trainer, and beside it TRL's own generation.

    python -m benchmarks.rl_step --model data/drawn-base --steps 24

prints CPU-seconds a step of 64 completions, both measured in one run, in turns, on one thread.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import time

import numpy as np
import torch
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from medrl_core.data.drawn.items import build_items
from medrl_core.data.drawn.modalities import RULES_WORLD
from medrl_core.data.prompts import to_dataset
from medrl_core.models import hub
from medrl_core.train import rl
from medrl_core.train.progress import restore
from medrl_core.train.rewards import accuracy_reward

WARM_UP = 2  # steps that are not counted


class Clock(TrainerCallback):
    """CPU-seconds of each step."""

    def __init__(self):
        self.at: list[float] = []

    def on_step_begin(self, *args, **kwargs):
        self.at.append(time.process_time())

    def seconds(self) -> np.ndarray:
        """Seconds of the steps, from the beginning of each to that of the next."""
        return np.diff(self.at)[WARM_UP:]


def ours(net, processor, items, settings: rl.RL, seed: int) -> np.ndarray:
    """CPU-seconds of our steps."""
    clock = Clock()
    rl.train(net, processor, items, settings, seed=seed, callbacks=[clock])
    return clock.seconds()


def stock(net, processor, items, settings: rl.RL, seed: int) -> np.ndarray:
    """CPU-seconds of the steps of TRL's trainer as it comes, with the same settings."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        net.save_pretrained(folder)
        net.config._name_or_path = folder
        trainer = GRPOTrainer(
            model=net,
            reward_funcs=[accuracy_reward],
            args=GRPOConfig(
                output_dir=folder,
                max_steps=settings.completions // settings.per_step,
                per_device_train_batch_size=settings.per_step,
                num_generations=settings.group,
                learning_rate=settings.learning_rate,
                lr_scheduler_type="constant",
                beta=settings.beta,
                max_completion_length=settings.max_new_tokens,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                use_cpu=True,
                seed=seed,
                **rl.OBJECTIVES["grpo"],
            ),
            train_dataset=to_dataset(items),
            processing_class=processor,
            callbacks=[clock],
        )
        trainer.train()
    restore(net)
    return clock.seconds()


def main() -> None:
    """Measure both in turns and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="data/drawn-base")
    parser.add_argument("--modality", default="chest film")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    net, processor = hub.load(asked.model)
    items = build_items(RULES_WORLD, asked.modality, "train", n=512, seed=900)
    settings = rl.RL(completions=64 * asked.steps)
    found: dict[str, list] = {}
    variants = {
        "ours": (ours, settings),
        "ours, tower frozen": (ours, rl.RL(64 * asked.steps, train_vision=False)),
        "ours, without KL": (ours, rl.RL(64 * asked.steps, beta=0.0)),
        "TRL's generation": (stock, settings),
    }
    for turn in range(asked.rounds):
        for name, (measure, one) in variants.items():
            seconds = measure(copy.deepcopy(net), processor, items, one, 900 + turn)
            found.setdefault(name, []).extend(seconds.tolist())
    print(json.dumps({name: round(float(np.mean(one)), 3) for name, one in found.items()}))


if __name__ == "__main__":
    main()
