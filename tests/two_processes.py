"""One process of two that share the groups of consistency-aware GRPO.

`pytest tests/train/test_grpo.py` starts it twice: `python tests/two_processes.py bonus RANK PORT
FOLDER`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from transformers import TrainerCallback

import tiny
from medrl_core.data.prompts import target_text
from medrl_core.train import grpo
from medrl_core.train.care import Care

# Split in the middle, the means of the two halves differ from the mean of the group.
ACCURACY = torch.tensor([1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0])
LIKELIHOOD = torch.tensor([0.9, 0.8, 0.7, 0.9, 0.3, 0.2, 0.9, 0.1])


def bonus() -> dict:
    """Train one step with a reward and a likelihood that the row's place decides.

    Returns:
        The advantages and the items of this process's rows.
    """
    model, processor = tiny.build()
    saved = {}

    class Known(grpo.CareGRPOTrainer):
        def _reference_likelihood(self, output):
            n = len(output["completion_ids"])
            return LIKELIHOOD[self.accelerator.process_index * n :][:n]

        def _calculate_rewards(self, *args, **kwargs):
            super()._calculate_rewards(*args, **kwargs)
            self._rewards = torch.stack([ACCURACY, torch.ones(8)], 1)
            return self._rewards

        def _generate_and_score_completions(self, inputs):
            output = super()._generate_and_score_completions(inputs)
            saved["advantages"] = output["advantages"].tolist()
            saved["items"] = [row["item_id"] for row in inputs]
            return output

    grpo.CareGRPOTrainer = Known
    grpo.train(
        model, processor, tiny.items("open", 4), steps=1, num_generations=8,
        completions_per_step=8, max_new_tokens=3,
    )
    return saved


def step() -> dict:
    """Train three steps on completions that the row's place decides; all else is as it is.

    Returns:
        advantages and likelihood of this process's rows, gradient of the last step, weights and
        weights of the reference after it.
    """
    model, processor = tiny.build()
    item = tiny.items("open", 1)[0]
    wrong = next(label for label in item.label_set if label != item.gold)
    right = [target_text(item, variant) for variant in range(3)]
    texts = [*right, *(text.replace(item.gold, wrong) for text in right), wrong,
             f"<think>{item.gold}</think><answer>{item.gold}</answer>"]
    ids = processor.tokenizer([f"{text}<|im_end|>" for text in texts])["input_ids"]
    saved, usual = {}, grpo.CareGRPOTrainer

    class Known(usual):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.add_callback(Gradient())
            saved["trainer"] = self

        def _generate_single_turn(self, prompt_ids, *args, **kwargs):
            n = len(prompt_ids)
            return ids[self.accelerator.process_index * n :][:n], None

        def _reference_likelihood(self, output):
            saved["likelihood"] = super()._reference_likelihood(output)
            return saved["likelihood"]

        def _generate_and_score_completions(self, inputs):
            output = super()._generate_and_score_completions(inputs)
            saved["advantages"] = output["advantages"].tolist()
            return output

    class Gradient(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
            saved["gradient"] = {
                name.removeprefix("module."): weight.grad.clone()
                for name, weight in model.named_parameters() if weight.grad is not None
            }

    grpo.CareGRPOTrainer = Known
    try:
        grpo.train(
            model, processor, [item], steps=3, num_generations=8, completions_per_step=8,
            max_new_tokens=60, learning_rate=1e-3,
            care=Care(margin=0.0, ema_decay=0.5, ema_every=1),
        )
    finally:
        grpo.CareGRPOTrainer = usual
    reference = tiny.weights(saved.pop("trainer").reference)
    saved["likelihood"] = saved["likelihood"].tolist()
    return {**saved, "weights": tiny.weights(model), "reference": reference}


if __name__ == "__main__":
    what, rank, port, folder = sys.argv[1:]
    os.environ |= {
        "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": "",
    }
    found = {"bonus": bonus, "step": step}[what]()
    torch.save(found, Path(folder) / f"{rank}.pt")
    assert torch.distributed.get_world_size() == 2 and torch.distributed.get_backend() == "gloo"
    torch.distributed.destroy_process_group()
