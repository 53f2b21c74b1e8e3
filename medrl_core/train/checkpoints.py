"""Checkpoints of a training: one that is killed goes on where it was, to the same weights."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch
from accelerate.data_loader import get_sampler
from transformers import Trainer, TrainerCallback
from trl.trainer.utils import RepeatSampler

import medrl_core
from medrl_core.errors import UserError, on_disk
from medrl_core.train.budget import TokenBudget

# The rooms of the core that a training runs through, and the packages that compute it.
ROOMS = ("data", "measure", "models", "train")
PACKAGES = ("accelerate", "peft", "torch", "transformers", "trl")
MARK = "whole"
ENDED = "ended.pt"


@dataclass(frozen=True)
class Checkpoints:
    """Where trainings keep their state while they go on.

    Arguments:
        folder: holds one folder a training, named by the hash of all that the training is made of:
            start weights, items, settings, code. So no training goes on from another's state.
        every: steps between checkpoints; rounded up to whole intervals of the trainer's log.
    """

    folder: Path
    every: int = 10

    @classmethod
    def of(cls, out: str | os.PathLike) -> Checkpoints:
        """Those of a notebook: runs/.checkpoints/STUDY/NAME, which outlives a killed run.

        `medrl run` removes the folder when the run is whole.

        Arguments:
            out: the notebook's parameter, runs/STUDY/NAME, or the place where NAME is being made.
        """
        out = Path(out)
        name = out.name.split(".partial-")[0].lstrip(".")
        return cls(out.parents[1] / ".checkpoints" / out.parent.name / name)


def run(trainer: Trainer, checkpoints: Checkpoints | None) -> None:
    """Train, from the last checkpoint of the same training if there is one.

    A training that has ended keeps its weights and its log instead of its checkpoints, so that a
    run that is killed later need not do it again.

    Arguments:
        trainer: ready to train.
        checkpoints: where and how often; None keeps nothing.
    """
    if checkpoints is not None and (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):
        if trainer.is_world_process_zero():
            print("no checkpoints: a model split over processes has none yet", file=sys.stderr)
        checkpoints = None
    if checkpoints is None:
        trainer.train()
        return
    home = Path(checkpoints.folder) / fingerprint(trainer)
    if (home / ENDED).is_file():
        _restore_ended(trainer, home / ENDED)
        return
    with on_disk(home):
        _train(trainer, home, checkpoints.every)


def _train(trainer: Trainer, home: Path, every: int) -> None:
    """Train from the last whole checkpoint in `home`, and keep there what the training ends in."""
    # Between two log rows, or between two steps on one batch of completions, there is more state
    # than the trainer saves. A batch of completions ends where a log row does.
    unit = int(trainer.args.logging_steps)
    trainer.args.output_dir = str(home)
    trainer.args.save_strategy = "steps"
    trainer.args.save_steps = math.ceil(every / unit) * unit
    # The one before the last is whole while the last is being written.
    trainer.args.save_total_limit = 2
    last = newest(home)
    if last:
        _check(last)
    trainer.add_callback(_State(trainer, last))
    # The trainer's own way with weights saves them under other names for some models, among them
    # Qwen2.5-VL, and then goes on from the first weights with no more than a warning.
    trainer.save_model = lambda folder, **_: _save_weights(trainer, Path(folder))
    trainer._load_from_checkpoint = lambda folder, **_: _load_weights(trainer, Path(folder))
    try:
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    finally:
        del trainer.save_model, trainer._load_from_checkpoint
    _keep_ended(trainer, home)


def newest(home: Path) -> Path | None:
    """The last checkpoint in a training's folder that was written to its end."""
    whole = (mark.parent for mark in home.glob(f"checkpoint-*/{MARK}"))
    return max(whole, key=lambda folder: int(folder.name.split("-")[1]), default=None)


def _mark(folder: Path) -> None:
    """Mark a checkpoint as written to its end, with the SHA-256 of each file."""
    sums = {
        path.relative_to(folder).as_posix(): _file_hash(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    partial = folder / f".{MARK}"
    partial.write_text(json.dumps(sums))
    os.replace(partial, folder / MARK)


def _check(folder: Path) -> None:
    """Refuse a checkpoint that is not as it was written."""
    remedy = f"remove {folder}, and the training goes on from the one before"
    try:
        sums = json.loads((folder / MARK).read_bytes())
        odd = [name for name, told in sums.items() if _file_hash(folder / name) != told]
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{folder / MARK} is damaged ({error}): {remedy}") from error
    if odd or not sums:
        raise UserError(f"{folder / (odd or [MARK])[0]} is not as it was written: {remedy}")


def _file_hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint(trainer: Trainer) -> str:
    """First 16 hex digits of the SHA-256 over all that the end of a training depends on.

    Arguments:
        trainer: that has not trained yet.
    """
    settings = trainer.args.to_dict()
    for name in ("output_dir", "logging_dir", "run_name"):
        settings.pop(name, None)
    # What our own trainers and the budget of tokens take beside the configuration.
    settings |= {name: repr(getattr(trainer, name, None)) for name in ("care", "reward_k")}
    callbacks = trainer.callback_handler.callbacks
    settings["tokens"] = [one.tokens for one in callbacks if isinstance(one, TokenBudget)]
    settings["trainer"] = type(trainer).__name__
    settings["processes"] = trainer.args.world_size
    settings["device"] = trainer.args.device.type
    settings |= {name: metadata.version(name) for name in PACKAGES}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    root = Path(medrl_core.__file__).parent
    for path in sorted(path for room in ROOMS for path in (root / room).rglob("*.py")):
        digest.update(path.read_bytes())
    for row in _rows(trainer.train_dataset):
        digest.update(row)
    for name, value in sorted(trainer.model.state_dict().items()):
        digest.update(f"{name}{value.dtype}{tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def _rows(dataset) -> Iterator[bytes]:
    """The items as bytes, pixels included."""
    for row in dataset:
        images = row.pop("images", None) or []
        yield json.dumps(row, sort_keys=True, default=str).encode()
        for image in images:
            yield f"{image.mode}{image.size}".encode() + image.tobytes()


class _State(TrainerCallback):
    """Saves and restores what the trainer's own checkpoints leave out.

    That is the moving-average reference of consistency-aware GRPO, how often the sampler of TRL's
    GRPOTrainer has shuffled the items, and how many tokens its SFTTrainer has seen.
    """

    def __init__(self, trainer: Trainer, start: Path | None):
        self.trainer = trainer
        self.start = start

    def on_train_begin(self, args, state, control, **kwargs):
        if self.start is None:
            return
        averaged = self._averaged()
        if averaged:
            saved = torch.load(self.start / "reference.pt", map_location="cpu", weights_only=True)
            _copy(saved, averaged)
        if hasattr(self.trainer, "_total_train_tokens"):  # SFTTrainer's count
            self.trainer._total_train_tokens = state.log_history[-1]["num_tokens"]
        loader = self.trainer.callback_handler.train_dataloader
        sampler = get_sampler(loader)
        if isinstance(sampler, RepeatSampler):
            steps = math.ceil(len(loader) / args.gradient_accumulation_steps)
            for _ in range(state.global_step // steps):
                torch.randperm(sampler.num_samples, generator=sampler.generator)

    def on_step_end(self, args, state, control, **kwargs):
        if control.should_training_stop:  # a trainer that begins at the end takes one more step
            control.should_save = False

    def on_save(self, args, state, control, **kwargs):
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        averaged = self._averaged()
        if averaged and state.is_world_process_zero:
            torch.save(averaged, folder / "reference.pt")
        self.trainer.accelerator.wait_for_everyone()  # each process writes its random state
        if state.is_world_process_zero:
            _mark(folder)

    def _averaged(self) -> dict[str, torch.Tensor]:
        """The weights of the reference that are its own, by name; {} without a reference."""
        if not hasattr(self.trainer, "reference"):
            return {}
        averaged = dict(self.trainer.reference.named_parameters())
        return {name: averaged[name].detach() for name in _trained(self.trainer)}


def _trained(trainer: Trainer) -> dict[str, torch.Tensor]:
    """The weights that a trainer changes, by name."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    weights = model.named_parameters()
    return {name: weight.detach() for name, weight in weights if weight.requires_grad}


def _save_weights(trainer: Trainer, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if trainer.is_world_process_zero():
        torch.save(_trained(trainer), folder / "weights.pt")


def _load_weights(trainer: Trainer, folder: Path) -> None:
    _copy(torch.load(folder / "weights.pt", map_location="cpu", weights_only=True),
          _trained(trainer))


def _copy(saved: dict[str, torch.Tensor], weights: dict[str, torch.Tensor]) -> None:
    """Write saved values into the weights of the same names."""
    if saved.keys() != weights.keys():
        raise RuntimeError("a checkpoint holds other weights than the model trains")
    for name, weight in weights.items():
        weight.copy_(saved[name])


def _keep_ended(trainer: Trainer, home: Path) -> None:
    """Write the trained weights and the log, whole or not at all, and remove the checkpoints."""
    trainer.accelerator.wait_for_everyone()
    if trainer.is_world_process_zero():
        partial = home / f".{ENDED}"
        home.mkdir(parents=True, exist_ok=True)
        log = json.dumps(trainer.state.log_history)
        torch.save({"weights": _trained(trainer), "log": log}, partial)
        os.replace(partial, home / ENDED)
        for folder in home.glob("checkpoint-*"):
            shutil.rmtree(folder)
        (home / "README.md").unlink(missing_ok=True)  # TRL's card, one a checkpoint
    trainer.accelerator.wait_for_everyone()


def _restore_ended(trainer: Trainer, path: Path) -> None:
    """Give a trainer the weights and the log of the same training that has ended before."""
    try:
        with zipfile.ZipFile(path) as archive:
            if odd := archive.testzip():  # torch writes checksums and does not read them
                raise ValueError(f"{odd} has another checksum")
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damage anywhere in an archive may raise almost anything
        why = " ".join(str(error).split())[:200]
        raise UserError(f"{path} is damaged ({why}): remove it, to train again") from error
    _copy(saved["weights"], _trained(trainer))
    trainer.state.log_history = json.loads(saved["log"])
