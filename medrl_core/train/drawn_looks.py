"""What is looked at while a model of the drawn world trains, and the numbers of its answers.

    looks = Looks(net, processor, items, settings, enough=0.95, ks={"pass@16": 16})
    rl.train(net, processor, train_items, settings, callbacks=[looks])
    looks.rows(record)      # one row a look: n, acc, well, thought, words, p, pass@16 ...
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from transformers import TrainerCallback

from medrl_core.data.drawn.world import RULED_SLOTS
from medrl_core.data.items import Item
from medrl_core.sample.sampling import GREEDY, Decoding, sample
from medrl_core.score import support
from medrl_core.score.evaluate import rollout_rows
from medrl_core.score.exact_support import report_support
from medrl_core.score.parsing import normalise
from medrl_core.train.rewards import reading_of
from medrl_core.train.rl import RL

EVERY = 256  # completions between looks
FIRST = 512  # p is taken at the start, here, and at its doubles
THINKS = 4  # reasonings drawn for p at a look


class Looks(TrainerCallback):
    """Evaluates greedy answers to test items on the way, and p at doublings.

    Arguments:
        net: the model that trains.
        processor: its processor.
        items: test items.
        settings: of the training.
        enough: stop at this Acc@1; above 1: never.
        ks: names and values of K.
    """

    def __init__(
        self, net, processor, items: Sequence[Item], settings: RL, enough: float,
        ks: Mapping[str, int],
    ):  # fmt: skip
        self.net, self.processor, self.items = net, processor, list(items)
        self.settings, self.enough, self.ks = settings, enough, ks
        self.looks: list[dict] = []
        self.facts: list[dict[Any, float]] = []
        self.seconds = 0.0

    def on_train_begin(self, args, state, control, **kwargs):
        """Look before the first step."""
        self._look(0)

    def on_step_end(self, args, state, control, **kwargs):
        """Look where it is time to."""
        n = state.global_step // self.settings.updates * self.settings.per_step
        if n % EVERY == 0 and self._look(n) >= self.enough:
            control.should_training_stop = True

    def _look(self, n: int) -> float:
        started, training = time.process_time(), self.net.training
        self.net.eval()
        decoding = Decoding(max_new_tokens=self.settings.max_new_tokens)
        rows = [
            row
            for part in sample(self.net, self.processor, self.items, k=0, decoding=decoding)
            for row in rollout_rows(part, decoding, seed=0, model_name="", model_hash="")
        ]
        found = numbers(self.items, pd.DataFrame(rows))
        shown = ("acc", "well", "thought", "words")
        look: dict[str, Any] = {"n": n, **{name: found[name] for name in shown}}
        if n in (0, *(FIRST * 2**i for i in range(9))):
            p = report_support(self.net, self.processor, self.items, thinks=THINKS).p
            look["p"] = float(p.mean())
            passed = support.pass_curve(p, ks=self.ks.values())
            look |= dict(zip(self.ks, passed.tolist(), strict=True))
        right = {row["item_id"]: row["correct"] for row in rows}
        labels = pd.Series([item.label for item in self.items])
        places: Any = labels.index.to_series()
        by_fact = places.map(lambda i: right[self.items[i].item_id])
        self.looks.append(look)
        self.facts.append(by_fact.groupby(labels).mean().to_dict())
        self.net.train(training)
        self.seconds += time.process_time() - started
        return look["acc"]

    def rows(self, record: pd.DataFrame) -> list[dict]:
        """One row a look, with hits so far and the means of the steps since the look before."""
        steps = record[["completions", "reward", "accuracy", "answered", "signal", "entropy", "kl"]]
        steps = steps.rename(columns={"accuracy": "right", "answered": "well"})
        n = [look["n"] for look in self.looks]
        place = np.searchsorted(n, steps["completions"])
        means = steps.drop(columns="completions").groupby(place).mean().add_prefix("step_")
        hits = record.set_index("completions")["right"].cumsum()
        found = pd.DataFrame(self.looks).join(means)
        found["hits"] = [0, *(int(hits.loc[:one].iloc[-1]) for one in n[1:])]
        return found.replace({np.nan: None}).to_dict("records")

    def first_right(self, record: pd.DataFrame) -> int | None:
        """Number of the first right completion, from 1; None if there was none."""
        first = record["first_right"].dropna()
        return int(first.iloc[0]) if len(first) else None

    def by_fact(self, base_p: Sequence[float]):
        """For each fact the base's p on it, and Acc@1 on its items at each n."""
        n = [look["n"] for look in self.looks]
        for fact, p in enumerate(base_p):
            yield p, n, [look.get(fact, np.nan) for look in self.facts]

    def met(self, record: pd.DataFrame, fact: int, n_facts: int) -> tuple[int | None, int]:
        """Number of a fact's first right completion and of all its right ones."""
        if n_facts == 1:
            return self.first_right(record), int(record["right"].sum())
        firsts = [row.get(fact) for row in record["first_by_fact"]]
        hits = [row.get(fact, 0) for row in record["hits_by_fact"]]
        return next((first for first in firsts if first is not None), None), int(sum(hits))


def numbers(items: Sequence[Item], rows: pd.DataFrame) -> dict[str, float | None]:
    """What answers say of a model; the columns of `score.twin.Measured`.

    Arguments:
        items: what was asked.
        rows: rollouts: one greedy answer to each item, and samples where there are any.

    Returns:
        acc of greedy answers; of samples (of greedy answers where there are none) the share in the
        asked format (well), with the right reasoning (thought) and that among right answers
        (right_thought), the share of the commonest report and the information of gold and report in
        bits; words, the fewest distinct words that a ruled slot says in greedy answers.
    """
    by_id = {item.item_id: item for item in items}
    greedy = rows[rows["sample_index"] == GREEDY]
    drawn = rows[rows["sample_index"] != GREEDY]
    drawn = drawn if len(drawn) else greedy
    well = drawn["parsed"].notna()
    asked: Any = drawn["item_id"]
    readings = asked.map(lambda one: normalise(by_id[one].reading))
    thought = well & (drawn["text"].map(reading_of) == readings)
    length = len(items[0].gold.split())
    words_of: Any = drawn["parsed"].fillna("").str.split()
    whole = drawn[well & (words_of.str.len() == length)]
    said = np.array(whole["parsed"].str.split().tolist()).reshape(-1, length)
    gold = np.array([by_id[one].gold.split() for one in whole["item_id"]]).reshape(-1, length)
    once = greedy["parsed"].dropna().str.split()
    once = np.array([words for words in once if len(words) == length]).reshape(-1, length)
    slots = [slot for slot in RULED_SLOTS if slot < length]
    right = drawn["correct"].to_numpy(bool)
    return {
        "acc": float(greedy["correct"].mean()),
        "well": float(well.mean()),
        "thought": float(thought.mean()),
        "right_thought": float(thought[right].mean()) if right.any() else None,
        "commonest": support.commonest_share(said) if len(said) else None,
        "words": int(support.distinct_words(once)[slots].min()) if len(once) else 0,
        "information": float(support.slot_information(gold, said).sum()) if len(said) else 0.0,
    }
