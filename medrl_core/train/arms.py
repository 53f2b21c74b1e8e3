"""The arms of the experiment: their names, and one call that makes one.

    made = make("rl", "data/drawn-base", items, rl=RL(completions=4096), seed=100, out=folder)
    made.net, made.processor, made.model_hash, made.record

`make` loads, trains, saves and hashes. Names and the words that a reader sees are
here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from transformers import TrainerCallback

from medrl_core.data.items import Item
from medrl_core.errors import UserError
from medrl_core.models import hub
from medrl_core.train import launch, trainable
from medrl_core.train import rl as rl_training
from medrl_core.train import sft as sft_training
from medrl_core.train.rewards import Coin
from medrl_core.train.rl import RL
from medrl_core.train.scale import Scale

# In the order of legends; the words are what a reader sees.
ARMS = {
    "base": "base",
    "rl": "RL",
    "sft": "SFT",
    "sft_rl": "SFT, then RL",
    "rft": "rejection fine-tuning",
    "care": "RL with the consistency bonus",
    "coin": "RL, coin reward",
    "format": "RL, format reward",
    "wrong": "RL, wrong labels",
    "shuffled": "SFT, shuffled labels",
    "rate0": "RL, learning rate 0",
}


@dataclass(frozen=True)
class SFT:
    """Settings of supervised fine-tuning.

    Arguments:
        passes: over the labelled items.
        learning_rate: of Adam, constant.
        batch_size: items a step.
        lora: train low-rank adapters only.
        train_vision: False freezes the vision tower.
    """

    passes: int = 8
    learning_rate: float = 1e-3
    batch_size: int = 16
    lora: bool = False
    train_vision: bool = True

    def steps(self, n_items: int) -> int:
        """Return the optimiser steps for a number of labelled items."""
        return max(1, -(-n_items * self.passes // self.batch_size))


@dataclass(frozen=True)
class Made:
    """A trained arm.

    Arguments: `arm` its name; `seed` of training; `net`, `processor` the model; `folder` where it
    lies; `model_hash` of weights and processor; `record` one row a step of RL, None without RL;
    `labels` and `completions` that it used; `settings` of both stages as plain values.
    """

    arm: str
    seed: int
    net: Any
    processor: Any
    folder: Path
    model_hash: str
    record: pd.DataFrame | None
    labels: int
    completions: int
    settings: dict

    def of_rl(self) -> pd.DataFrame:
        """Return the record of RL.

        Raises: UserError: the arm has none.
        """
        if self.record is None:
            raise UserError(f"arm {self.arm!r} ran no RL, so there is no record of its steps")
        return self.record


def make(
    arm: str,
    init: str,
    items: Sequence[Item],
    *,
    seed: int,
    out: Path,
    rl: RL | None = None,
    sft: SFT | None = None,
    labelled: Sequence[Item] = (),
    coin_rates: Sequence[float] = (),
    callbacks: Sequence[TrainerCallback] = (),
    lora: bool = False,
    scale: Scale | None = None,
) -> Made:
    """Train one arm and save it as a Hugging Face folder.

    Arguments:
        arm: a key of `ARMS` but "base".
        init: model to start from.
        items: of RL; their golds are what its reward reads.
        seed: of training.
        out: folder that the model is saved to.
        rl, sft: settings; an arm of both runs SFT first. Logged completions are in the folder
            `completions` of `out` with "-log" behind its name.
        labelled: items of SFT.
        coin_rates: of the arm "coin": the rewarded share of the arm that it is a control of.
        callbacks: of the RL trainer, for example to look at the model on the way; not with
            several processes.
        lora: RL trains low-rank adapters only.
        scale: memory and processes.

    Raises:
        UserError: an unknown arm, or settings that it lacks.
    """
    if arm not in ARMS or arm == "base":
        raise UserError(f"there is no arm {arm!r}: use one of {', '.join(list(ARMS)[1:])}")
    if rl is None and sft is None:
        raise UserError(f"arm {arm!r} needs settings of SFT or RL")
    trainable.check(hub.read_config(init), ARMS[arm])
    stages = []
    if sft is not None:
        options = {
            "steps": sft.steps(len(labelled)), "batch_size": min(sft.batch_size, len(labelled)),
            "learning_rate": sft.learning_rate, "lora": sft.lora, "train_vision": sft.train_vision,
        }  # fmt: skip
        stages.append(("sft", labelled, options))
    if rl is not None:
        settings = replace(rl, rewards=_rewards(arm, rl, coin_rates, seed))
        options = {"settings": settings, "lora": lora}
        if rl.log_completions:  # beside the folder of the model, which is written as a whole
            options["work_dir"] = f"{out}-log"
            Path(options["work_dir"], "completions").mkdir(parents=True, exist_ok=True)
        stages.append(("rl", items, options))
    shared = {"seed": seed, "scale": scale or Scale(), "label": ARMS[arm]}
    if shared["scale"].launch:
        net, processor, record = _in_processes(init, stages, shared)
    else:
        net, processor, record = _here(init, stages, shared, callbacks)
    folder = hub.save(net, processor, Path(out))
    completions = rl.completions if rl else 0
    return Made(
        arm, seed, net, processor, folder, hub.model_hash(str(folder)), record,
        len(labelled), completions, {"rl": _plain(rl), "sft": _plain(sft)},
    )  # fmt: skip


def _here(init: str, stages: list[tuple], shared: dict, callbacks: Sequence[TrainerCallback]):
    """Train stages in this process: model, processor, and the record of RL or None."""
    net, processor = hub.load(init)
    record = None
    for stage, items, options in stages:
        if stage == "sft":
            net, _ = sft_training.train(net, processor, items, **options, **shared)
        else:
            trained = rl_training.train(
                net, processor, items, **options, **shared, callbacks=callbacks
            )
            net, record = trained.net, trained.record
    return net, processor, record


def _in_processes(init: str, stages: list[tuple], shared: dict):
    """The same in the processes that accelerate starts, for each stage anew."""
    record, ref = None, init
    with TemporaryDirectory(prefix="stages-") as place:
        for stage, items, options in stages:
            folder = Path(place) / stage
            log = launch.train(stage, ref, items, {**options, **shared}, folder)
            record = pd.DataFrame(log) if stage == "rl" else record
            ref = str(folder)
        return *hub.load(ref, merge=not options["lora"]), record


def _plain(settings: RL | SFT | None) -> dict | None:
    return asdict(settings) if settings else None


def _rewards(arm: str, rl: RL, coin_rates: Sequence[float], seed: int) -> tuple:
    if arm == "coin":
        return (Coin(coin_rates, seed),)
    if arm == "format":
        return ("format",)
    return rl.rewards
