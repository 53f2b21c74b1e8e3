"""What a step of consistency-aware GRPO costs against a plain GRPO step of TRL.

`python -m benchmarks.step_time [MODEL]` from the repository's root; MODEL defaults to
data/micro-base. Times are of the processor, on one thread; compared runs alternate. Measured so on
a virtual machine of 2 cores that was busy with other work: 1.25 times, 95% interval 1.21 to 1.31.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Annotated

import torch
import typer
from scipy.stats import quantile_test
from transformers import TrainerCallback

from medrl_core.data.drawn import phantom
from medrl_core.data.items import build_items
from medrl_core.models import hub
from medrl_core.train import grpo, progress
from medrl_core.train.care import Care

TARGET = 1.3


class Clock(TrainerCallback):
    """Processor seconds from the second step to the end; the first step sets things up."""

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == 1:
            self.start = time.process_time()

    def on_train_end(self, args, state, control, **kwargs):
        self.seconds = time.process_time() - self.start


def step(objective: str, ref: str, items, steps: int, completions: int) -> tuple[float, list]:
    """Seconds of one step of an objective, and the mean lengths of the sampled completions.

    The learning rate is too small to change a weight, so that every objective samples the same
    completions. The reference moves once a run.
    """
    clock = Clock()
    usual = progress.attach

    def attach(trainer, label):
        usual(trainer, label)
        trainer.add_callback(clock)

    progress.attach = attach
    try:
        model, processor = hub.load(ref)
        _, history = grpo.train(
            model, processor, items, steps=steps + 1, objective=objective,
            completions_per_step=completions, learning_rate=1e-30, care=Care(ema_every=steps + 1),
        )  # fmt: skip
    finally:
        progress.attach = usual
    return clock.seconds / steps, [row["completions/mean_length"] for row in history]


def main(
    model: Annotated[str, typer.Argument(help="Folder of a model.")] = "data/micro-base",
    modality: Annotated[str, typer.Option(help="Phantom whose items are asked.")] = "blood",
    completions: Annotated[int, typer.Option(help="Completions a step.")] = 64,
    steps: Annotated[int, typer.Option(help="Steps measured in each run.")] = 4,
    rounds: Annotated[int, typer.Option(min=6, help="Pairs of runs.")] = 8,
) -> None:
    """Print seconds a step of both objectives, and the ratio of the pairs with its interval."""
    torch.set_num_threads(1)
    images = phantom.make(modality, n_train=64, n_val=8, n_test=8)
    items = build_items(images, "train")
    plain, care = [], []
    for pair in range(rounds):
        # Which goes first changes from pair to pair.
        found = {}
        for objective in ("grpo", "care") if pair % 2 else ("care", "grpo"):
            found[objective] = step(objective, model, items, steps, completions)
        if found["grpo"][1] != found["care"][1]:
            raise SystemExit("the two objectives sampled different completions: no fair ratio")
        plain.append(found["grpo"][0])
        care.append(found["care"][0])
    ratios = [a / b for a, b in zip(care, plain, strict=True)]
    interval = quantile_test(ratios, p=0.5).confidence_interval(0.95)
    print(f"{completions} completions a step, {rounds} pairs of {steps} steps:")
    print(f"  GRPO of TRL  {median(plain):6.2f} s a step")
    print(f"  CARE         {median(care):6.2f} s a step")
    print(
        f"  ratio        {median(ratios):6.2f}, 95% interval of the median "
        f"{interval.low:.2f} to {interval.high:.2f}; target at most {TARGET:g}"
    )


if __name__ == "__main__":
    typer.run(main)
