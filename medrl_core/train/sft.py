"""SFT with TRL's SFTTrainer: loss on the completion alone, full weights or LoRA.

    net, history = train(net, processor, items, steps=128, batch_size=16, learning_rate=1e-3)

A small model on small pictures spends most of a step on decoding and encoding the pictures again;
for it they are encoded once, and the loss is taken without TRL's tiles of the vocabulary.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from datasets import Dataset
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import TrainerCallback, set_seed
from trl import SFTConfig, SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

from medrl_core.data.items import Item
from medrl_core.data.prompts import to_dataset
from medrl_core.errors import UserError
from medrl_core.models.vision_calls import fewer_calls, tower_of
from medrl_core.train import guards, progress, trainable
from medrl_core.train.guards import Guarded
from medrl_core.train.scale import Scale, widen
from medrl_core.train.targets import targets

# Vocabularies up to this are small: log-probabilities of a batch fit into memory at once.
SMALL_VOCABULARY = 4096
# Pictures with up to so many pixels in all are encoded once and kept.
FEW_PIXELS = 20_000_000
IGNORE = -100


def completion_loss(net, inputs: dict, labels: torch.Tensor, n: torch.Tensor | int | None = None):
    """Negative log-likelihood a token of what is labelled, all logits of it at once.

    Arguments:
        net: the model.
        inputs: its inputs without labels.
        labels: (rows, length), IGNORE where nothing is learnt.
        n: what the sum is divided by; None: the number of labelled tokens.
    """
    learnt = labels != IGNORE
    first = int(learnt.any(0).int().argmax())
    keep = labels.shape[1] - first
    logits = net(**inputs, logits_to_keep=keep + 1, use_cache=False).logits[:, :-1].float()
    total = cross_entropy(
        logits.flatten(0, 1), labels[:, first:].flatten(), ignore_index=IGNORE, reduction="sum"
    )
    return total / (learnt.sum() if n is None else n)


class PlainSFTTrainer(Guarded, SFTTrainer):
    """SFTTrainer that stops as `Guarded` says, and takes a small model's loss at once."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Take the loss of a small model at once, any other as TRL does."""
        small = _is_small(self.accelerator.unwrap_model(model))
        if return_outputs or not small or not isinstance(self.data_collator, EncodedOnce):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        inputs = dict(inputs)
        labels = inputs.pop("labels")
        if num_items_in_batch is not None:  # as TRL: it counts the tokens of all processes
            num_items_in_batch = num_items_in_batch / self.accelerator.num_processes
        return completion_loss(model, inputs, labels, num_items_in_batch)


def _is_small(model) -> bool:
    return model.config.get_text_config().vocab_size <= SMALL_VOCABULARY


class EncodedOnce:
    """Collates rows that TRL's own collator has encoded one by one, at their first use.

    Arguments:
        rows: of `prompts.to_dataset`, as dicts.
        collator: of TRL.
        pad: the token that fills up.
    """

    FILL = {"labels": IGNORE}  # others with a column for each token: 0

    def __init__(self, rows: Sequence[dict], collator: Callable, pad: int):
        self.rows, self.collator, self.pad = rows, collator, pad
        self.encoded: dict[int, dict] = {}

    def __call__(self, asked: Sequence[dict]) -> dict[str, torch.Tensor]:
        """Collate the rows that are asked for."""
        batch = [self._encode(row["row"]) for row in asked]
        length = batch[0]["input_ids"].shape[1]
        joined = {}
        for name, first in batch[0].items():
            parts = [one[name] for one in batch]
            if first.shape == (1, length):
                rows = [part[0] for part in parts]
                fill = self.pad if name == "input_ids" else self.FILL.get(name, 0)
                joined[name] = pad_sequence(rows, batch_first=True, padding_value=fill)
            else:  # pictures, one after the other
                joined[name] = torch.cat(parts)
        return joined

    def _encode(self, row: int) -> dict:
        if row not in self.encoded:
            self.encoded[row] = dict(self.collator([dict(self.rows[row])]))
        return self.encoded[row]


def is_few_pixels(items: Sequence[Item]) -> bool:
    """Whether the items' pictures are small enough to be kept encoded; each has one."""
    sizes = [[image.width * image.height for image in item.images] for item in items]
    return all(len(one) == 1 for one in sizes) and sum(map(sum, sizes)) <= FEW_PIXELS


def lora_config(rank: int = 16):
    """LoRA on every linear layer of the vision tower and the language model, but the output."""
    from peft import LoraConfig

    return LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread inside, on a machine without a GPU: waiting threads cost ten times the work."""
    before = torch.get_num_threads()
    if not torch.cuda.is_available():
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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

    def on_evaluate(
        self, args, state, control, metrics: Any = None, model: Any = None, **kwargs
    ):
        """Keep the weights of the lowest loss, and stop after too many that are not lower."""
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
    train_vision: bool = True,
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
        train_vision: False freezes the vision tower.
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
        UserError: no items, items of which some have no picture or a target that is not read as
            its gold answer, a loss that is not finite, or no memory.
    """
    if not items:
        raise UserError("SFT needs at least one training item: none was given")
    guards.check_pictures(items, label)
    trainable.check(model.config, label)
    if steps == 0:
        return model, []
    scale = scale or Scale()
    width = widen(model, lora)
    set_seed(seed)  # of the first weights of an adapter
    fewer_calls(model)
    frozen = None if train_vision else tower_of(model)
    if frozen is not None:
        frozen.requires_grad_(False)
    dataset = to_dataset(items, targets(items, seed))
    once: dict = {}
    if is_few_pixels(items) and not validation:
        collator = DataCollatorForVisionLanguageModeling(
            processor=processor, max_length=None, completion_only_loss=True
        )
        rows: list[Any] = list(dataset)
        tokenizer = processor.tokenizer
        once = {"data_collator": EncodedOnce(rows, collator, tokenizer.pad_token_id)}
        dataset = Dataset.from_dict({"row": list(range(len(items)))})
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
            dataset_kwargs={"skip_prepare_dataset": bool(once)},
            remove_unused_columns=not once,
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
        train_dataset=dataset,
        eval_dataset=to_dataset(validation, targets(validation, seed)) if validation else None,
        processing_class=processor,
        peft_config=lora_config() if lora else None,
        label=label,
        **once,
    )
    best = KeepBest(patience)
    if validation:
        trainer.add_callback(best)
    progress.attach(trainer, label)
    side = max((max(image.size) for item in items for image in item.images), default=0)
    needed = {"batch_size": batch_size, "the side of the images": side}
    with guards.memory(label, needed), one_thread():
        trainer.train()
    progress.restore(trainer.model)
    if frozen is not None:
        frozen.requires_grad_(True)
    best.put_back(trainer.model)
    if save_to:
        trainer.save_model(str(save_to))
    history = [row for row in trainer.state.log_history if {"loss", "eval_loss"} & set(row)]
    trained: Any = trainer.model
    model = trained.to(width) if width else trained
    return model.eval(), history
