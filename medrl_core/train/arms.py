"""The arms of the study: SFT, RL, and SFT then RL, at one budget of training sequences.

A sequence is one SFT target or one sampled completion, so that arms compare at equal budgets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from medrl_core.data.items import Item
from medrl_core.errors import UserError
from medrl_core.models import hub
from medrl_core.train import grpo, launch, sft
from medrl_core.train.care import Care
from medrl_core.train.checkpoints import Checkpoints
from medrl_core.train.scale import Scale

# Of the last two, RL is plain GRPO, whatever the recipe's objective: what the bonus adds is the
# difference.
ARMS = ("sft", "rl", "sft_rl", "rl_grpo", "sft_rl_grpo")


@dataclass(frozen=True)
class Recipe:
    """Settings that the arms share.

    Arguments:
        budget: training sequences of an arm.
        batch_size: sequences a step.
        learning_rate_sft: peak learning rate of SFT.
        learning_rate_rl: learning rate of RL.
        objective: RL objective, a key of `medrl_core.train.grpo.OBJECTIVES`.
        num_generations: completions an item in RL.
        temperature: of the sampled completions.
        max_new_tokens: longest completion.
        sft_share: share of the budget that `sft_rl` spends on SFT.
        care: numbers of the consistency bonus.
        lora: train low-rank adapters instead of all weights.
        scale: memory and processes.
    """

    budget: int
    batch_size: int = 64
    learning_rate_sft: float = 1e-3
    learning_rate_rl: float = 1e-4
    objective: str = "care"
    num_generations: int = 8
    temperature: float = 1.0
    max_new_tokens: int = 40
    sft_share: float = 0.5
    care: Care = field(default_factory=Care)
    lora: bool = False
    scale: Scale = field(default_factory=Scale)


def steps(arm: str, recipe: Recipe) -> tuple[int, int]:
    """Steps of SFT and of RL that an arm takes.

    Raises:
        UserError: unknown arm, or a budget of under two steps.
    """
    total = recipe.budget // recipe.batch_size
    if arm not in ARMS:
        raise UserError(f"arm {arm!r} is unknown: use one of {', '.join(ARMS)}")
    stages = arm.removesuffix("_grpo")
    first = {"sft": total, "rl": 0, "sft_rl": round(total * recipe.sft_share)}[stages]
    found = first, total - first
    # The first step of a warm-up has a learning rate of zero, so one step alone trains nothing.
    needed = {"sft": (2, 0), "rl": (0, 2), "sft_rl": (2, 2)}[stages]
    if any(have < need for have, need in zip(found, needed, strict=True)):
        raise UserError(
            f"budget {recipe.budget} gives arm {arm} {found[0]} steps of SFT and {found[1]} of RL, "
            f"{recipe.batch_size} sequences each; it needs two of each: raise budget or lower "
            "batch_size"
        )
    return found


def train_arm(
    arm: str,
    init: str,
    items: Sequence[Item],
    recipe: Recipe,
    *,
    seed: int = 0,
    label: str = "",
    checkpoints: Checkpoints | None = None,
):
    """Train one arm from a model reference.

    Arguments:
        arm: one of `ARMS`.
        init: folder or hub id of the model to start from.
        items: training items.
        recipe: budget and settings.
        seed: of the order of items and of sampling.
        label: what progress lines call it.
        checkpoints: where the stages keep their state, so that they go on after a kill.

    Returns:
        `(model, processor, history)`: history has one row for each logged step, with the columns
        stage (`sft` or `rl`), step and whatever the trainer logged.
    """
    n_sft, n_rl = steps(arm, recipe)
    shared = {"lora": recipe.lora, "scale": recipe.scale, "seed": seed}
    shared["checkpoints"] = checkpoints
    stages = {
        "sft": {
            "steps": n_sft, "batch_size": recipe.batch_size,
            "learning_rate": recipe.learning_rate_sft, "label": f"{label} (sft)", **shared,
        },
        "rl": {
            "steps": n_rl, "objective": "grpo" if arm.endswith("_grpo") else recipe.objective,
            "num_generations": recipe.num_generations, "completions_per_step": recipe.batch_size,
            "learning_rate": recipe.learning_rate_rl, "temperature": recipe.temperature,
            "max_new_tokens": recipe.max_new_tokens, "care": recipe.care,
            "label": f"{label} (rl)", **shared,
        },
    }  # fmt: skip
    stages = {name: options for name, options in stages.items() if options["steps"]}
    train = _in_processes if recipe.scale.launch else _here
    model, processor, logs = train(init, items, stages)
    rows = [
        {"stage": stage, "step": row["step"] + offset, **_numbers(row)}
        for stage, offset in (("sft", 0), ("rl", n_sft))
        for row in logs.get(stage, [])
    ]
    return model, processor, pd.DataFrame(rows)


def _here(init: str, items: Sequence[Item], stages: dict[str, dict]):
    """Train stages in this process; returns model, processor and the log of each stage."""
    model, processor = hub.load(init)
    logs = {}
    for stage, options in stages.items():
        train = {"sft": sft.train, "rl": grpo.train}[stage]
        model, logs[stage] = train(model, processor, items, **options)
    return model, processor, logs


def _in_processes(init: str, items: Sequence[Item], stages: dict[str, dict]):
    """The same in the processes that accelerate starts, for each stage anew."""
    logs = {}
    with TemporaryDirectory(prefix="stages-") as place:
        for stage, options in stages.items():
            folder = Path(place) / stage
            logs[stage] = launch.train(stage, init, items, options, folder)
            init = str(folder)
        return *hub.load(init, merge=not options["lora"]), logs


def _numbers(row: dict) -> dict[str, float]:
    """The logged numbers that figures show, under short names; times are left out."""
    names = {
        "loss": "loss",
        "reward": "reward",
        "rewards/accuracy_reward/mean": "accuracy_reward",
        "passk/accuracy": "accuracy_reward",  # there the reward above is the groups' Pass@K
        "rewards/format_reward/mean": "format_reward",
        "frac_reward_zero_std": "groups_without_signal",
        "entropy": "entropy",
        "completions/mean_length": "length",
        "care/bonus": "bonus",
        "care/likelihood": "likelihood",
    }
    return {short: float(row[name]) for name, short in names.items() if name in row}
