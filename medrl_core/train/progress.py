"""One line of progress on stderr for trainings and samplings that take more than a few seconds."""

from __future__ import annotations

import sys
import time

from transformers import PrinterCallback, Trainer, TrainerCallback

EVERY_SECONDS = 5.0
# What a line says of the last logged step: the trainer's name, and ours.
SHOWN = {
    "loss": "loss",
    "reward": "reward",
    "entropy": "entropy",
    "completions/mean_length": "length",
    "frac_reward_zero_std": "groups without signal",
}


class ProgressLines(TrainerCallback):
    """Says every few seconds what is trained, how far it is and what is left.

    Arguments:
        label: what is trained, e.g. `RL, chest film, seed 100`.
    """

    def __init__(self, label: str):
        self.label = label
        self.started = self.said = time.monotonic()
        self.note = ""

    def on_train_begin(self, args, state, control, **kwargs):
        """Start the clock."""
        self.started = self.said = time.monotonic()

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Keep the numbers that the next line shows."""
        logs = logs or {}
        shown = {short: logs[name] for name, short in SHOWN.items() if name in logs}
        self.note = "".join(f", {name} {float(value):.3g}" for name, value in shown.items())

    def on_step_end(self, args, state, control, **kwargs):
        """Print a line, every few seconds and at the last step."""
        now = time.monotonic()
        if now - self.said < EVERY_SECONDS and state.global_step < state.max_steps:
            return
        self.said = now
        if not state.is_world_process_zero:
            return
        spent = now - self.started
        place = f"step {state.global_step}/{state.max_steps}"
        done = state.global_step / state.max_steps
        left = spent / done - spent
        print(
            f"{self.label}: {place}{self.note}, "
            f"{spent:.0f} s, {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )


def attach(trainer: Trainer, label: str) -> None:
    """Replace a trainer's own printing by progress lines.

    Arguments:
        trainer: made with `disable_tqdm=True`.
        label: what is trained.
    """
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(ProgressLines(label))


def restore(model) -> None:
    """Take TRL's patch off a trained model's forward.

    The patch holds on to the model it was made for: a deep copy that kept it would generate with
    the weights of the original.

    Arguments:
        model: a transformers or PEFT model that a TRL trainer has trained.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    vars(base).pop("forward", None)
