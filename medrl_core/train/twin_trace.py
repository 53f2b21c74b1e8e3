"""What a training of the twin showed and consumed: step by step, look by look, and in sum.

`medrl_core.train.twin.train_rl` returns a `Trace`:

    >>> trace.steps.columns.tolist()
    ['n', 'reward', 'right', 'well', 'signal', 'entropy', 'kl', 'gradient']
    >>> trace.looks.columns.tolist()  # and acc_0, acc_1, ... where there are several facts
    ['n', 'hits', 'acc', 'well', 'thought', 'words']

Run its test: `pytest tests/train/test_twin_training.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medrl_core.data.drawn.world import RULED_SLOTS
from medrl_core.models.twin import COMPLETION, PROMPT, Twin
from medrl_core.score.support import distinct_words
from medrl_core.score.twin import Answers, Questions, greedy

TOKENS = PROMPT + COMPLETION
Watch = Callable[[int, Twin], dict[str, float]]


@dataclass(frozen=True)
class Cost:
    """What a training consumed, on every axis of a budget.

    Arguments:
        completions: sampled.
        labels: sequences with a target that were trained on, repeats counted.
        gold: gold answers read, repeats not counted.
        token_equivalents: tokens of supervised sequences, and 5/3 of those of completions that
            RL samples (arXiv 2512.07783).
        cpu_seconds: measured.
    """

    completions: int = 0
    labels: int = 0
    gold: int = 0
    token_equivalents: float = 0.0
    cpu_seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        mine, others = vars(self), vars(other)
        return Cost(**{name: mine[name] + others[name] for name in mine})


@dataclass(frozen=True)
class Trace:
    """What a training of RL showed.

    Arguments:
        steps: one row a step: n (completions sampled by its end), mean reward, right and well
            (shares of the completions), signal (share of groups whose rewards differ), entropy and
            kl from the start (nats a token), gradient (norm).
        looks: one row an evaluation of greedy answers to the test items: n, hits (right
            completions so far), acc, well, thought (share of right reasonings), words (fewest
            distinct words that a ruled slot says), with several facts the accuracy on each, acc_0,
            acc_1, ..., and what was watched.
        first_right: number of the first right completion, from 1; None if there was none.
        first_by_fact: the same for each fact.
        hits_by_fact: right completions of each fact.
        cost: what it consumed.
    """

    steps: pd.DataFrame
    looks: pd.DataFrame
    first_right: int | None
    first_by_fact: tuple[int | None, ...]
    hits_by_fact: tuple[int, ...]
    cost: Cost


class Record:
    """Collects the rows of a trace while a training runs.

    Arguments: `test` items that are looked at; `n_facts` of the modality; `watch` gives more
    columns of a look, from the completions so far and the twin.
    """

    def __init__(self, test: Questions, n_facts: int, watch: Watch | None = None):
        self._test, self._n_facts, self._watch = test, n_facts, watch
        self._steps: list[dict] = []
        self._looks: list[dict] = []
        self._first: list[int | None] = [None] * n_facts
        self._hits = np.zeros(n_facts, dtype=int)

    def step(
        self, n: int, asked: Questions, found: Answers, rewards: NDArray, **numbers: float
    ) -> None:
        """Add a step: `n` completions by its end; `found` answers and `rewards`, both (B, K)."""
        right = found.right
        for item, place in zip(*np.nonzero(right), strict=True):
            fact = int(asked.fact[item])
            self._hits[fact] += 1
            if self._first[fact] is None:
                self._first[fact] = n - right.size + int(item) * right.shape[1] + int(place) + 1
        self._steps.append(
            {
                "n": n, "reward": rewards.mean(), "right": right.mean(), "well": found.well.mean(),
                "signal": (rewards.max(1) > rewards.min(1)).mean(), **numbers,
            }
        )  # fmt: skip

    def look(self, n: int, net: Twin, *, moved: bool = True) -> float:
        """Evaluate greedy answers to the test items; returns Acc@1.

        Arguments: `n` completions so far; `net`; `moved`: False says that the weights are those of
            the look before, whose row then stands.
        """
        if not moved:
            self._looks.append({**self._looks[-1], "n": n, "hits": int(self._hits.sum())})
            return float(self._looks[-1]["acc"])
        found = greedy(net, self._test)
        well, right = found.well[:, 0], found.right[:, 0]
        said = found.report[well, 0][:, RULED_SLOTS]
        row = {
            "n": n, "hits": int(self._hits.sum()), "acc": right.mean(), "well": well.mean(),
            "thought": found.thought.mean(),
            "words": int(distinct_words(said).min()) if len(said) else 0,
        }  # fmt: skip
        if self._n_facts > 1:
            for fact in range(self._n_facts):
                of_fact = right[self._test.fact == fact]
                row[f"acc_{fact}"] = of_fact.mean() if len(of_fact) else np.nan
        if self._watch is not None:
            row |= self._watch(n, net)
        self._looks.append(row)
        return float(row["acc"])

    def trace(self, cost: Cost) -> Trace:
        """Close the record."""
        met = [first for first in self._first if first is not None]
        return Trace(
            pd.DataFrame(self._steps), pd.DataFrame(self._looks), min(met, default=None),
            tuple(self._first), tuple(self._hits.tolist()), cost,
        )  # fmt: skip
