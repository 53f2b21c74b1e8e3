"""SFT with TRL's SFTTrainer: loss on the completion alone, full weights or LoRA.

`pytest tests/test_sft.py` trains a random micro model for a few steps.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence

import torch
from trl import SFTConfig, SFTTrainer

from medrl_core.data.items import Item
from medrl_core.data.prompts import to_dataset
from medrl_core.errors import UserError
from medrl_core.train import progress
from medrl_core.train.scale import Scale, widen


def lora_config(rank: int = 16):
    """LoRA on every linear layer of the vision tower and the language model, but the output."""
    from peft import LoraConfig

    return LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")


def train(
    model,
    processor,
    items: Sequence[Item],
    *,
    steps: int,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    lora: bool = False,
    scale: Scale | None = None,
    save_to: str | os.PathLike | None = None,
    seed: int = 0,
    work_dir: str | os.PathLike | None = None,
    label: str = "sft",
):
    """Fine-tune a model on the rationales and gold answers of items.

    Arguments:
        model: changed in place (its adapter, with `lora`).
        processor: its processor.
        items: training items; passed over as often as the steps need.
        steps: optimiser steps.
        batch_size: items a step.
        learning_rate: peak; cosine to zero after a warm-up of 5% of the steps.
        lora: train a LoRA adapter instead of all weights.
        scale: memory and processes.
        save_to: folder that the trained weights are written to, by one of the processes.
        seed: of the order of items and the wording of rationales.
        work_dir: where the trainer may write; nothing is kept there.
        label: what the progress lines call this training.

    Returns:
        `(model, history)`: the trained model in evaluation mode, and the trainer's log with one
        row every tenth of the steps.

    Raises:
        UserError: no items, or the loss is not finite.
    """
    if not items:
        raise UserError("SFT needs at least one training item: none was given")
    if steps == 0:
        return model, []
    scale = scale or Scale()
    width = widen(model, lora)
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(work_dir or tempfile.gettempdir()),
            **scale.arguments(batch_size, "batch_size"),
            max_steps=steps,
            learning_rate=learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=0.05,
            completion_only_loss=True,
            max_length=None,
            logging_steps=max(1, steps // 10),
            logging_nan_inf_filter=False,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=seed,
            data_seed=seed,
            dataloader_num_workers=0,
        ),
        train_dataset=to_dataset(items, with_targets=True, seed=seed),
        processing_class=processor,
        peft_config=lora_config() if lora else None,
    )
    progress.attach(trainer, label)
    trainer.train()
    progress.restore(trainer.model)
    if save_to:
        trainer.save_model(str(save_to))
    history = [row for row in trainer.state.log_history if "loss" in row]
    if any(not torch.isfinite(torch.tensor(row["loss"])) for row in history):
        raise UserError("SFT loss is not finite: lower learning_rate")
    model = trainer.model.to(width) if width else trainer.model
    return model.eval(), history
