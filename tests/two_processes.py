"""One process of two that compute the consistency bonus of groups split between them.

`pytest tests/test_grpo.py` starts it twice: `python tests/two_processes.py RANK PORT FOLDER`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

import tiny
from medrl_core.train import grpo


def run(folder: Path) -> None:
    """Train one step with a reward and a likelihood that the row's place decides, and save."""
    from accelerate import PartialState

    model, processor = tiny.build()
    saved = {}

    class Known(grpo.CareGRPOTrainer):
        def _first(self, n):
            return self.accelerator.process_index * n

        def _reference_likelihood(self, output):
            n = len(output["completion_ids"])
            return LIKELIHOOD[self._first(n) : self._first(n) + n]

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
    torch.save(saved, folder / f"{PartialState().process_index}.pt")


# Split in the middle, the means of the two halves differ from the mean of the group.
ACCURACY = torch.tensor([1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0])
LIKELIHOOD = torch.tensor([0.9, 0.8, 0.7, 0.9, 0.3, 0.2, 0.9, 0.1])

if __name__ == "__main__":
    rank, port, folder = sys.argv[1:]
    os.environ |= {
        "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": "",
    }
    run(Path(folder))
    torch.distributed.destroy_process_group()
