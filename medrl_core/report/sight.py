"""What towers see of a group's pictures, before and after training, and what is said of it.

    towers = Towers(lab, "drawn:chest film", labels=256, completions=4096, n_train=600)
    towers.train("rl", seed=100)                # once; the tower is probed on every group
    towers.look(["base", "rl"], groups)
    towers.table()                              # one row a group and tower

All towers are frozen and read by the same linear probes, word by word (`medrl_core.vision.slots`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from medrl_core.data import groups as kinds
from medrl_core.data.items import Item
from medrl_core.models import hub, small_cnn, tokens
from medrl_core.report.experiment import Experiment
from medrl_core.score.intervals import Estimate, hierarchical_mean
from medrl_core.score.measure import Measured
from medrl_core.train.arms import SFT, Made
from medrl_core.train.rewards import reading_of
from medrl_core.train.rl import RL
from medrl_core.vision import slots

VALIDATION = 200
# In the order of figures; the words are what a reader sees.
TOWERS = {
    "pixels": "raw pixels",
    "random": "random weights",
    "cnn": "vision-only network",
    "base": "base",
    "sft": "after SFT",
    "rl": "after RL, all weights",
    "rl_frozen": "after RL, tower frozen",
    "coin": "after RL, coin reward",
}
TRAINED = ("sft", "rl", "rl_frozen", "coin")


def _pixels(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1) / np.float32(255)


class Towers:
    """Towers trained from one base on one group, and what all of them see.

    Arguments:
        lab: the experiment.
        train_on: group that the base is trained on.
        labels: of SFT. completions: of RL.
        n_train: training pictures of a probe.
    """

    def __init__(
        self, lab: Experiment, train_on: str, *, labels: int, completions: int, n_train: int
    ):
        self.lab, self.train_on, self.n_train = lab, train_on, n_train
        self.labels, self.completions = labels, completions
        self.made: dict[tuple[str, int], Made] = {}
        self.right: dict[tuple[str, str, int], np.ndarray] = {}
        self.slot_names: dict[str, list[str]] = {}

    def train(self, tower: str, seed: int) -> None:
        """Train the model that a tower is taken from; one that trains nothing is left alone."""
        if tower not in TRAINED or (tower, seed) in self.made:
            return
        settings: dict[str, Any] = {}
        if tower == "sft":
            labelled = self.lab.items(self.train_on, "train", self.labels)
            settings = {"sft": SFT(), "labelled": labelled}
        else:
            settings = {"rl": RL(self.completions, train_vision=tower != "rl_frozen")}
        if tower == "coin":  # at the rate at which RL on all weights was rewarded
            self.train("rl", seed)
            settings["coin_rates"] = self.made["rl", seed].of_rl()["reward"].tolist()
        arm = "rl" if tower == "rl_frozen" else tower
        made, _ = self.lab.arm(arm, self.train_on, seed, **settings, tower=TOWERS[tower])
        self.made[tower, seed] = made

    def look(self, towers: Sequence[str], groups: Sequence[str], seeds: Sequence[int]) -> None:
        """Probe towers on groups; what was trained, once a training seed."""
        for group in groups:
            parts = [
                self.lab.items(group, "train", self.n_train),
                self.lab.items(group, "val", VALIDATION),
                self.lab.items(group),
            ]
            self.slot_names[group] = slots.names(parts[2])
            for tower in towers:
                for seed in seeds if tower in TRAINED else seeds[:1]:
                    encode = self._encode(tower, seed, parts[0])
                    self.right[group, tower, seed] = slots.probe(encode, *parts)

    def _encode(self, tower: str, seed: int, train: Sequence[Item]) -> slots.Encode:
        if tower == "pixels":
            return _pixels
        if tower == "cnn":
            labels = slots.classes(slots.slots(train))[0]
            return small_cnn.train(slots.pictures(train), labels, seed=seed)
        if tower == "random":
            net, image_processor = hub.load_vision(self.lab.init, random=True)
        elif tower == "base":
            net, processor = self.lab.model()
            image_processor = processor.image_processor
        else:
            self.train(tower, seed)
            made = self.made[tower, seed]
            net, image_processor = made.net, made.processor.image_processor
        return partial(_float32, tokens.encoder(net, image_processor, pooling="all"))

    def seen(self, group: str, tower: str) -> np.ndarray | None:
        """Return the share of words read in each picture, by training seed: (S, B)."""
        found = [right.mean(1) for key, right in self.right.items() if key[:2] == (group, tower)]
        return np.stack(found) if found else None

    def table(self, seed: int = 0) -> pd.DataFrame:
        """Return one row a group and tower: value, low, high (share of words read), joint."""
        rows = []
        for group, tower in dict.fromkeys(key[:2] for key in self.right):
            right = [one for key, one in self.right.items() if key[:2] == (group, tower)]
            estimate = hierarchical_mean([np.stack([one.mean(1) for one in right])], seed=seed)
            joint = [one.all(1) for one in right]
            rows.append(
                {
                    "group": kinds.label(group),
                    "tower": TOWERS[tower],
                    "value": estimate.value,
                    "low": estimate.low,
                    "high": estimate.high,
                    "joint": float(np.mean(joint)),
                    "floor": self._commonest(group),
                }
            )
        return pd.DataFrame(rows)

    def _commonest(self, group: str) -> float:
        """Return the share of words that are right by always saying the commonest."""
        words = slots.slots(self.lab.items(group))
        return float(np.mean([np.unique(c, return_counts=True)[1].max() for c in words.T])) / len(
            words
        )

    def claims(self, seed: int = 0) -> dict[str, Estimate | None]:
        """Give the numbers of H1; None where a tower was not probed."""
        groups = list(self.slot_names)

        def minus(one: str, others: Sequence[str]) -> Estimate | None:
            pairs = []
            for group in groups:
                a = self.seen(group, one)
                found = [self.seen(group, other) for other in others]
                found = [other for other in found if other is not None]
                if a is None or not found:
                    return None
                pairs.append(a - max(found, key=np.mean))
            return hierarchical_mean(pairs, seed=seed)

        return {
            "h1": minus("sft", ["rl"]),
            "h1_coin": minus("coin", ["base"]),
            "h1_rl": minus("rl", ["base"]),
            "h1_sft": minus("sft", ["base"]),
            "h1_base": minus("base", ["pixels", "random"]),
            "h1_cnn": minus("base", ["cnn"]),
        }

    def said(self, groups: Sequence[str]) -> pd.DataFrame:
        """Set what the base tower sees beside what the base reasons and reports, word by word.

        Returns:
            One row a group, stage and slot: stage, slot, value. The stages are the probe of the
            base tower, the greedy reasoning, and the chance of the report's right word after the
            right ones (where it is exact).
        """
        rows = []
        for group in groups:
            key = next((k for k in self.right if k[:2] == (group, "base")), None)
            if key is None:
                continue
            base, names = self.lab.base(group), self.slot_names[group]
            stages = {"seen": self.right[key].mean(0), "reasoned": reasoned(base)}
            if base.chances is not None and base.chances.slots.shape[1] == len(names):
                stages["reported"] = base.chances.slots.mean(0)
            for stage, values in stages.items():
                named = f"{kinds.label(group)}: {stage}"
                rows += [
                    {"stage": named, "slot": name, "value": float(value)}
                    for name, value in zip(names, values, strict=True)
                ]
        return pd.DataFrame(rows)


def _float32(encode: slots.Encode, images: np.ndarray) -> np.ndarray:
    return encode(images).astype(np.float32)


def reasoned(found: Measured) -> np.ndarray:
    """Return the share of greedy reasonings that name each slot rightly: (S,)."""
    right = slots.slots(found.items)
    texts = found.greedy().set_index("item_id").text
    said = np.full(right.shape, "", dtype=object)
    for row, item in enumerate(found.items):
        words = (reading_of(texts[item.item_id]) or "").split()[: right.shape[1]]
        said[row, : len(words)] = words
    return (said == right).mean(0)


def title(table: pd.DataFrame) -> str:
    """Say as a title what SFT and RL do to what the tower sees, mean over groups."""
    mean = table.groupby("tower").value.mean()
    named = [(TOWERS[one], TOWERS[one].removeprefix("after ")) for one in ("sft", "rl", "coin")]
    said = [
        f"{name} {100 * (mean[tower] - mean[TOWERS['base']]):+.1f}"
        for tower, name in named
        if tower in mean and TOWERS["base"] in mean
    ]
    return f"Points that training changes what the tower sees: {', '.join(said) or 'none trained'}"


def said_title(table: pd.DataFrame) -> str:
    """Say as a title in which slot seeing and saying lie furthest apart."""
    parts = table.stage.str.rpartition(": ")
    wide = table.assign(group=parts[0], stage=parts[2])
    stages = wide.pivot(index=["group", "slot"], columns="stage", values="value")
    if "reported" not in stages:
        return "What the tower sees and what the reasoning says"
    rows: Any = stages.iterrows()
    (group, slot), row = max(rows, key=lambda one: one[1].seen - one[1].reported)
    return (
        f"{group}, {slot}: the tower shows it in {100 * row.seen:.0f}% and the report says it in "
        f"{100 * row.reported:.0f}%"
    )


def finding(table: pd.DataFrame, numbers: dict[str, Estimate | None]) -> str:
    """Say what was found as Markdown."""
    words = {
        "h1": "the tower after SFT minus after RL on all weights",
        "h1_sft": "after SFT minus the base",
        "h1_rl": "after RL minus the base",
        "h1_coin": "after a coin reward minus the base",
        "h1_base": "the base minus the better of pixels and random weights",
        "h1_cnn": "the base minus a vision-only network",
    }
    lines = [
        f"- {said}: **{100 * one.value:+.1f} points** [{100 * one.low:+.1f}, {100 * one.high:+.1f}]"
        for name, said in words.items()
        if (one := numbers[name]) is not None
    ]
    return "Share of the words of a picture that a linear probe reads:\n\n" + "\n".join(lines)
