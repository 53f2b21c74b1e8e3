"""Counts the tokens that a training samples, and stops it when its budget of them is spent."""

from __future__ import annotations

import math

from transformers import Trainer, TrainerCallback


class TokenBudget(TrainerCallback):
    """Writes `sampled_tokens` into each row of the log; ends a training that has spent its budget.

    The last batch may go beyond the budget by what it samples.

    Arguments:
        tokens: the budget; None counts only.
        updates: optimiser steps on a batch of completions; a batch that was begun is used up.
    """

    def __init__(self, tokens: int | None = None, updates: int = 1):
        self.tokens, self.updates = tokens, updates
        self.spent = self._counted = 0
        self._trainer: Trainer | None = None

    def watch(self, trainer: Trainer) -> None:
        """Begin to count.

        Arguments:
            trainer: TRL's GRPOTrainer or RLOOTrainer.
        """
        self._trainer = trainer
        trainer.add_callback(self)

    def on_train_begin(self, args, state, control, **kwargs):
        if state.log_history:  # a training that goes on from a checkpoint
            self.spent = state.log_history[-1]["sampled_tokens"]

    def on_step_end(self, args, state, control, **kwargs):
        # One mean a batch since the last log; gathered over processes already.
        means = self._trainer._metrics["train"]["completions/mean_length"]
        new, self._counted = means[self._counted :], len(means)
        self.spent += sum(round(mean * args.generation_batch_size) for mean in new)
        used_up = state.global_step % self.updates == 0
        if self.tokens is not None and self.spent >= self.tokens and used_up:
            control.should_log = control.should_training_stop = True

    def on_log(self, args, state, control, **kwargs):
        self._counted = 0  # TRL empties its list
        state.log_history[-1]["sampled_tokens"] = self.spent


def steps(tokens: int, completions: int, longest: int) -> tuple[int, int]:
    """Fewest and most batches that a budget can last.

    Arguments:
        tokens: the budget.
        completions: completions a batch.
        longest: tokens of the longest completion; the shortest has one.
    """
    return math.ceil(tokens / (completions * longest)), math.ceil(tokens / completions)
