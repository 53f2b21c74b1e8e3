"""SFT with TRL's SFTTrainer: loss on the completion alone, full weights or LoRA."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence

import torch
from transformers import TrainerCallback, set_seed
from trl import SFTConfig, SFTTrainer

from medrl_core.data.items import Item
from medrl_core.data.prompts import to_dataset
from medrl_core.errors import UserError
from medrl_core.train import guards, progress
from medrl_core.train.guards import Guarded
from medrl_core.train.scale import Scale, widen


class PlainSFTTrainer(Guarded, SFTTrainer):
    """SFTTrainer that stops as `Guarded` says."""


def lora_config(rank: int = 16):
    """LoRA on every linear layer of the vision tower and the language model, but the output."""
    from peft import LoraConfig

    return LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")


class KeepBest(TrainerCallback):
    """Keeps the weights of the lowest validation loss, and ends training that no longer lowers it.

    The copy stays in memory: the Trainer's own way, through a checkpoint, does not find a
    Qwen2.5-VL model's weights under their saved names and goes on with the last ones.

    Arguments:
        patience: validations in a row without a lower loss that end training.
    """

    def __init__(self, patience: int):
        self.patience, self.waited, self.loss = patience, 0, math.inf
        self.weights: dict[str, torch.Tensor] = {}

    def on_evaluate(self, args, state, control, metrics=None, model=None, **kwargs):
        self.waited += 1
        if metrics["eval_loss"] < self.loss:
            self.loss, self.waited = metrics["eval_loss"], 0
            self.weights = {
                name: value.detach().cpu().clone()
                for name, value in model.named_parameters()
                if value.requires_grad
            }
        if self.waited >= self.patience:
            control.should_training_stop = True

    @torch.no_grad()
    def put_back(self, model) -> None:
        """Copy the kept weights into a model; without a validation there are none."""
        for name, value in model.named_parameters():
            if name in self.weights:
                value.copy_(self.weights[name])


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
    validation: Sequence[Item] = (),
    patience: int = 3,
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
        learning_rate: of Adam, constant.
        lora: train a LoRA adapter instead of all weights.
        scale: memory and processes.
        save_to: folder that the trained weights are written to, by one of the processes.
        validation: items whose loss is taken every twentieth of the steps: training stops early
            and gives back the weights of the lowest one. None: all steps, the last weights.
        patience: validations in a row without a lower loss that stop training.
        seed: of the order of items and the wording of rationales.
        work_dir: where the trainer may write; nothing is kept there.
        label: what the progress lines call this training.

    Returns:
        `(model, history)`: the trained model in evaluation mode, and the trainer's log with one
        row every tenth of the steps; with validation items also one for each validation, which
        has `eval_loss` and no `loss`.

    Raises:
        UserError: no items, a loss that is not finite, or no memory.
    """
    if not items:
        raise UserError("SFT needs at least one training item: none was given")
    if steps == 0:
        return model, []
    scale = scale or Scale()
    width = widen(model, lora)
    set_seed(seed)  # of the first weights of an adapter
    trainer = PlainSFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(work_dir or tempfile.gettempdir()),
            **scale.arguments(batch_size, "batch_size"),
            per_device_eval_batch_size=batch_size,
            max_steps=steps,
            learning_rate=learning_rate,
            lr_scheduler_type="constant",
            completion_only_loss=True,
            max_length=None,
            logging_steps=max(1, steps // 10),
            logging_nan_inf_filter=False,
            eval_strategy="steps" if validation else "no",
            eval_steps=max(1, steps // 20),
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=seed,
            data_seed=seed,
            dataloader_num_workers=0,
        ),
        train_dataset=to_dataset(items, with_targets=True, seed=seed),
        eval_dataset=to_dataset(validation, with_targets=True, seed=seed) if validation else None,
        processing_class=processor,
        peft_config=lora_config() if lora else None,
        label=label,
    )
    best = KeepBest(patience)
    if validation:
        trainer.add_callback(best)
    progress.attach(trainer, label)
    side = max((max(image.size) for item in items for image in item.images), default=0)
    with guards.memory(label, {"batch_size": batch_size, "the side of the images": side}):
        trainer.train()
    progress.restore(trainer.model)
    best.put_back(trainer.model)
    if save_to:
        trainer.save_model(str(save_to))
    history = [row for row in trainer.state.log_history if {"loss", "eval_loss"} & set(row)]
    model = trainer.model.to(width) if width else trainer.model
    return model.eval(), history
