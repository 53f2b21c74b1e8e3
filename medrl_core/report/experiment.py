"""What a notebook does over and over: ask groups, train arms, measure them, and keep all of it.

    lab = Experiment(out, notebook="04_rl", study=study, init=init, seed=seed)
    lab.base("drawn:chest film")                        # the untouched base on the group
    made, found = lab.arm("rl", "drawn:chest film", 100, rl=RL(completions=4096))
    lab.table()                                         # one row an arm, group and training seed

An arm is trained, saved, hashed, measured on test items and given its card by the one call. Every
value of several parts (arm, group, training seed) is columns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from transformers import TrainerCallback

from medrl_core.data import groups
from medrl_core.data.items import Item
from medrl_core.models import hub
from medrl_core.report import modelcard
from medrl_core.report.results import Results
from medrl_core.sample.rollouts import RolloutStore
from medrl_core.sample.sampling import Decoding
from medrl_core.score.measure import Measured, measure
from medrl_core.train import arms
from medrl_core.train.rl import RL
from medrl_core.train.scale import Scale

KEYS = ["arm", "group", "training_seed", "trained_on", "labels", "completions"]


class Experiment:
    """One run of a notebook: its groups, models, measurements and results.

    Arguments:
        out: the run folder.
        notebook, study: names.
        init: model to start from, or that is asked.
        seed: of training; data_seed and sampling_seed are this where they are None.
        n_items: test items of a group.
        k: sampled answers an item, beside the greedy one.
        temperature, top_p, max_new_tokens: of sampled answers.
        root, vqa_root: folders of data.
        allow: MedMNIST sets whose file need not have the official sum.
    """

    def __init__(
        self, out: str | Path, *, notebook: str, study: str, init: str, seed: int = 100,
        data_seed: int | None = None, sampling_seed: int | None = None, n_items: int = 128,
        k: int = 16, temperature: float = 1.0, top_p: float = 1.0,
        max_new_tokens: int = 24, root: str | None = None, allow: Sequence[str] = (),
        vqa_root: str | None = None,
    ):  # fmt: skip
        self.out, self.init, self.study, self.notebook = Path(out), init, study, notebook
        self.results = Results(out, notebook=notebook, study=study)
        self.store = RolloutStore(out)
        self.seed = seed
        self.data_seed = seed if data_seed is None else data_seed
        self.sampling_seed = seed if sampling_seed is None else sampling_seed
        self.n_items, self.k = n_items, k
        self.decoding = Decoding(
            temperature=temperature, top_p=top_p, max_new_tokens=max_new_tokens
        )
        self.where = {"root": root, "allow": allow, "vqa_root": vqa_root}
        self.init_hash = hub.model_hash(init)
        self.results.model_hash("base", self.init_hash)
        self._base = None
        self._measured: dict[str, Measured] = {}
        self._items: dict[tuple, list[Item]] = {}
        self.rows: list[dict] = []

    def items(self, group: str, split: str = "test", n: int | None = None) -> list[Item]:
        """Return items of a group, the same at every call; test items are `n_items` at most."""
        n = self.n_items if n is None and split == "test" else n
        key = (group, split, n)
        if key not in self._items:
            found = groups.load(group, split, n=n, seed=self.data_seed, **self.where)
            self._items[key] = found
            digest = hashlib.md5("".join(one.item_id + one.gold for one in found).encode())
            name = f"{groups.label(group)}, {split}"
            self.results.data_hash(name, digest.hexdigest(), groups.kind(group))
        return self._items[key]

    def model(self):
        """Return the model that was started from, with its processor; loaded once."""
        if self._base is None:
            self._base = hub.load(self.init)
        return self._base

    def at(self, temperature: float) -> Decoding:
        """Return how answers are sampled, at another temperature."""
        return replace(self.decoding, temperature=temperature)

    def base(self, group: str) -> Measured:
        """Measure the untouched base on the test items of a group, once."""
        if group not in self._measured:
            net, processor = self.model()
            found = self.measure(net, processor, group, "base", self.init_hash)
            self._measured[group] = found
            self.keep("base", group, None, found)
        return self._measured[group]

    def measure(
        self, net, processor, group: str, model_name: str, model_hash: str, *,
        items: Sequence[Item] | None = None, seed: int | None = None,
    ) -> Measured:  # fmt: skip
        """Measure any model on the test items of a group; its rollouts are kept."""
        return measure(
            net,
            processor,
            self.items(group) if items is None else items,
            seed=self.sampling_seed if seed is None else seed,
            k=self.k,
            decoding=self.decoding,
            store=self.store,
            model_name=model_name,
            model_hash=model_hash,
        )

    def arm(
        self,
        arm: str,
        group: str,
        training_seed: int,
        *,
        rl: RL | None = None,
        sft: arms.SFT | None = None,
        train: Sequence[Item] | None = None,
        labelled: Sequence[Item] = (),
        test_on: Sequence[str] = (),
        coin_rates: Sequence[float] = (),
        callbacks: Sequence[TrainerCallback] = (),
        lora: bool = False,
        scale: Scale | None = None,
        **columns: object,
    ) -> tuple[arms.Made, dict[str, Measured]]:
        """Train an arm on a group, save it, write its card, and measure it.

        Arguments:
            arm: a key of `arms.ARMS`.
            group: that it is trained on.
            training_seed: of training.
            rl, sft: settings of the stages.
            train: items of RL; None: the training items of the group.
            labelled: items of SFT.
            test_on: groups that it is measured on; none: the group itself.
            coin_rates, callbacks, lora, scale: as `arms.make`.
            **columns: more columns of the rows that are kept.

        Returns:
            The trained arm, and what was measured on each group.
        """
        told = "".join(f"-{value}" for value in columns.values())
        name = f"{arm}-{groups.label(group)}-{training_seed}-{len(labelled)}{told}"
        folder = self.out / "models" / "".join(c if c.isalnum() or c in ".-" else "_" for c in name)
        if rl is not None and train is None:
            train = self.items(group, "train", n=max(1, rl.completions // rl.group))
        made = arms.make(
            arm, self.init, train or (), seed=training_seed, out=folder, rl=rl, sft=sft,
            labelled=labelled, coin_rates=coin_rates, callbacks=callbacks, lora=lora,
            scale=scale,
        )  # fmt: skip
        self.results.model_hash(folder.name, made.model_hash)
        found = {}
        for one in test_on or [group]:
            found[one] = self.measure(
                made.net, made.processor, one, arms.ARMS[arm], made.model_hash
            )
            self.keep(arm, one, training_seed, found[one], made, group, **columns)
        modelcard.write(
            folder, base=self.init, notebook=self.notebook, study=self.study,
            datasets=[groups.label(group)], parameters={"arm": arms.ARMS[arm], **made.settings},
            rollouts=pd.concat([one.rollouts for one in found.values()]),
        )  # fmt: skip
        return made, found

    def keep(
        self, arm: str, group: str, training_seed: int | None, found: Measured,
        made: arms.Made | None = None, trained_on: str = "", **columns: object,
    ) -> None:  # fmt: skip
        """Keep the numbers of one measurement as a row of `table`."""
        self.rows.append(
            {
                "arm": arm,
                "group": groups.label(group),
                "training_seed": training_seed,
                "trained_on": groups.label(trained_on) if trained_on else "",
                "labels": made.labels if made else 0,
                "completions": made.completions if made else 0,
                **columns,
                **found.numbers(),
                "model_hash": made.model_hash if made else self.init_hash,
            }
        )

    def table(self) -> pd.DataFrame:
        """Return all measurements, one row an arm, group and training seed."""
        return pd.DataFrame(self.rows)

    def save(self) -> None:
        """Write results.json and join the rollouts to one file."""
        self.store.compact()
        self.results.save()
