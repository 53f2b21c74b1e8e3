"""Measure a model on a group of items: Acc@1, p, Pass@K, and whether it reads the picture at all.

    found = measure(net, processor, items, seed=100)
    found.acc, found.p.mean(), found.pass_curve([1, 16, 256])
    found.numbers()     # one row for a table: acc, p, pass@16, commonest, words, information ...

p is the chance that one sampled answer is right. Where the right report can be forced, it is exact
(`medrl_core.score.exact_support`); elsewhere it is c / n of the samples, and chances under about
3 / n are not seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from medrl_core.data.groups import is_exact
from medrl_core.data.items import Item
from medrl_core.sample.rollouts import COLUMNS, RolloutStore
from medrl_core.sample.sampling import GREEDY, Decoding, sample
from medrl_core.score import support
from medrl_core.score.evaluate import evaluate, rollout_rows
from medrl_core.score.exact_support import ReportSupport, report_support
from medrl_core.score.passk import pass_at_k

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin

Floats = NDArray[np.float64]
KS = support.KS


@dataclass(frozen=True)
class Measured:
    """A model on the items of one group.

    Arguments:
        items: what was asked.
        right: (B,) whether the greedy answer is right.
        p: (B,) chance that one sampled answer is right.
        exact: whether p comes from the model itself; else it is c / n.
        n: samples behind p where it is not exact.
        rollouts: the greedy answer to each item, and the samples where there are any.
        chances: of reasoning and report, slot by slot (see `ReportSupport`); None if not exact.
    """

    items: tuple[Item, ...]
    right: NDArray[np.bool_]
    p: Floats
    exact: bool
    n: int
    rollouts: pd.DataFrame
    chances: ReportSupport | None

    @property
    def acc(self) -> float:
        """Acc@1: share of right greedy answers."""
        return float(self.right.mean())

    def pass_items(self, k: int) -> Floats:
        """Return each item's Pass@K: (B,). nan where K is above the samples and p is not exact."""
        if self.exact:
            return 1 - (1 - self.p) ** k
        if k > self.n:
            return np.full(len(self.p), np.nan)
        return pass_at_k(np.full(len(self.p), self.n), np.rint(self.p * self.n), k)

    def pass_curve(self, ks: Iterable[int] = KS) -> Floats:
        """Return Pass@K, the mean over items, one value a K."""
        return np.array([self.pass_items(k).mean() for k in ks])

    def greedy(self) -> pd.DataFrame:
        """Return the greedy rollouts, one row an item."""
        return self.rollouts[self.rollouts.sample_index == GREEDY]

    def numbers(self, ks: Iterable[int] = (16, 256)) -> dict[str, float]:
        """Return the group's numbers as one row of a table.

        `commonest` is the share of the commonest greedy answer, `words` the fewest different words
        that a slot of the report says (1: a constant word, which reads no picture), `information`
        the bits that the greedy answers tell of the gold ones, `think` the chance of the right
        reasoning.
        """
        said = self.greedy().set_index("item_id").parsed.reindex([i.item_id for i in self.items])
        found = {
            "acc": self.acc,
            "p": float(self.p.mean()),
            **{f"pass@{k}": float(self.pass_items(k).mean()) for k in ks},
            "answered": float(said.notna().mean()),
            "commonest": support.commonest_share(said.dropna()) if said.notna().any() else np.nan,
        }
        if self.chances is not None:
            found["think"] = float(self.chances.think.mean())
        there = [(i.gold.split(), one.split()) for i, one in zip(self.items, said, strict=True)
                 if isinstance(one, str) and len(one.split()) == len(i.gold.split())]  # fmt: skip
        if self.exact and there:
            gold, words = (np.array(part) for part in zip(*there, strict=True))
            found["words"] = int(_varied(gold, words))
            found["information"] = float(support.slot_information(gold, words).sum())
        return found


def _varied(gold: NDArray[Any], said: NDArray[Any]) -> int:
    """Count the fewest different words of a slot whose right answer varies."""
    varies = support.distinct_words(gold) > 1
    return support.distinct_words(said)[varies].min() if varies.any() else 1


def measure(
    net: PreTrainedModel,
    processor: ProcessorMixin,
    items: Sequence[Item],
    *,
    seed: int = 0,
    k: int = 0,
    thinks: int = 16,
    decoding: Decoding | None = None,
    store: RolloutStore | None = None,
    model_name: str = "",
    model_hash: str = "",
) -> Measured:
    """Measure a model on items.

    Arguments:
        net: an image-text-to-text model.
        processor: its processor.
        items: of one group.
        seed: of samples and reasonings.
        k: sampled answers an item, beside the greedy one; needed where p cannot be exact.
        thinks: reasonings drawn for the exact p.
        decoding: temperature and the like; p is taken at its temperature.
        store: where rollouts are kept; None keeps none.
        model_name, model_hash: written into the rollouts.
    """
    decoding = decoding or Decoding(max_new_tokens=24)
    about: dict[str, Any] = {"seed": seed, "model_name": model_name, "model_hash": model_hash}
    if store is None:
        rows = [
            row
            for part in sample(net, processor, items, k=k, decoding=decoding, seed=seed)
            for row in rollout_rows(part, decoding, **about)
        ]
        rollouts = pd.DataFrame(rows, columns=list(COLUMNS))
    else:
        rollouts = evaluate(net, processor, items, store, k=k, decoding=decoding, **about)
    order = [item.item_id for item in items]
    greedy = rollouts[rollouts.sample_index == GREEDY].set_index("item_id").correct
    right = greedy.reindex(order).to_numpy(bool)
    if is_exact(items):
        chances = report_support(
            net, processor, items, thinks=thinks, seed=seed, temperature=decoding.temperature
        )
        return Measured(tuple(items), right, chances.p, True, 0, rollouts, chances)
    drawn = rollouts[rollouts.sample_index != GREEDY].groupby("item_id").correct.mean()
    p = drawn.reindex(order).to_numpy(float)
    return Measured(tuple(items), right, p, False, k, rollouts, None)


def blank(items: Sequence[Item]) -> list[Item]:
    """Return items that show a grey picture of the same size: what is left is the blind floor."""
    return [
        replace(item, images=tuple(Image.new("RGB", one.size, (128,) * 3) for one in item.images))
        for item in items
    ]


def swapped(items: Sequence[Item]) -> list[Item]:
    """Return items that show the picture of another item, the next one's."""
    pictures = [item.images for item in items]
    return [
        replace(item, images=other)
        for item, other in zip(items, pictures[1:] + pictures[:1], strict=True)
    ]
