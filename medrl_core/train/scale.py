"""How a training is laid out on memory and processes; its objective stays the same."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from medrl_core.errors import UserError


@dataclass(frozen=True)
class Scale:
    """Settings of memory and processes; the defaults hold all of a step at once.

    Arguments:
        rows: sequences that a process holds at once; None: all of its part of a step. The gradient
            of a step is added up from its pieces, the same in RL up to rounding; in SFT a piece
            counts as much as another, whatever its length.
        checkpointing: compute activations again in the backward pass instead of keeping them.
        launch: `ddp`, `zero3`, `fsdp2` or a configuration file of accelerate, whose processes
            train; None trains in this process.
    """

    rows: int | None = None
    checkpointing: bool = False
    launch: str | None = None

    def arguments(self, total: int, name: str, processes: int | None = None) -> dict:
        """What the trainers' configurations are told of memory, processes and number format.

        Arguments:
            total: sequences a step, over all processes.
            name: of the setting that gives `total`, for a message.
            processes: that share a step; None: as many as the launcher of this one started.

        Raises:
            UserError: processes or pieces cannot share a step equally.
        """
        processes = processes or int(os.environ.get("WORLD_SIZE", "1"))
        if total % processes:
            raise UserError(f"{name} {total} must be a multiple of the {processes} processes")
        share = total // processes
        rows = self.rows or share
        if share % rows:
            raise UserError(
                f"{name} {total} is {share} sequences a process, no multiple of the {rows} rows "
                "held at once: change rows"
            )
        on_gpu = torch.cuda.is_available()
        return {
            "per_device_train_batch_size": rows,
            "gradient_accumulation_steps": share // rows,
            "activation_checkpointing": self.checkpointing,
            "bf16": on_gpu,
            "use_cpu": not on_gpu,
        }


def widen(model, lora: bool = False) -> torch.dtype | None:
    """Turn weights that are to be trained into float32.

    A weight of 0.02 in bfloat16 moves by 6e-5 or not at all: steps of 5e-7 would be lost.

    Arguments:
        model: what will be trained; frozen weights beside an adapter stay as they are.
        lora: an adapter will be made, which is float32 on any base.

    Returns:
        What the weights were, for the model to be turned back; None if nothing was changed.
    """
    own = {weight.dtype for weight in model.parameters() if weight.requires_grad}
    if lora or own <= {torch.float32}:
        return None
    model.float()
    return own.pop()
