"""What known defects of the official code do to a number: each on our own rollouts and model.

Notebook 02_support makes the table; the book's page on defects shows it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from medrl_core.data.images import ImageSet
from medrl_core.data.items import Item
from medrl_core.sample.rollouts import RolloutStore
from medrl_core.sample.sampling import Decoding
from medrl_core.score import effects
from medrl_core.score.evaluate import evaluate
from medrl_core.score.intervals import Estimate, bootstrap_mean
from medrl_core.score.readings import OURS, by_parser
from medrl_core.train.care import Care, consistency_bonus
from medrl_core.vision import axis as vision

COLUMNS = ["defect", "number", "way", "value", "low", "high"]
OFFICIAL, HERE = "as the official code", "as here"
GROUP, ITEMS_A_DEVICE = 8, 2


class Unprompted:
    """A processor whose prompts end without the mark that opens the model's turn."""

    def __init__(self, processor: Any):
        self._processor = processor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processor, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._processor(*args, **kwargs)

    def apply_chat_template(self, *args: Any, **kwargs: Any) -> Any:
        """As the processor's own, but never with the generation prompt."""
        return self._processor.apply_chat_template(
            *args, **{**kwargs, "add_generation_prompt": False}
        )


def _rows(defect: str, number: str, official: Estimate, here: Estimate) -> list[tuple]:
    return [
        (defect, number, way, one.value, one.low, one.high)
        for way, one in ((OFFICIAL, official), (HERE, here))
    ]


def generation_prompt(
    model: Any, processor: Any, items: Sequence[Item], decoding: Decoding, seed: int = 0
) -> list[tuple]:
    """Acc@1 of the same model on the same items, without and with the generation prompt."""
    found = []
    for one in (Unprompted(processor), processor):
        with tempfile.TemporaryDirectory() as folder:
            frame = evaluate(
                model, one, items, RolloutStore(folder), k=1, decoding=decoding, seed=seed,
                model_name="model", model_hash="model",
            )  # fmt: skip
        greedy = frame[frame.sample_index < 0]
        found.append(bootstrap_mean(greedy.correct, greedy.image_id, seed=seed))
    return _rows("no generation prompt", "Acc@1", *found)


def parser(frame: pd.DataFrame, items: Sequence[Item], seed: int = 0) -> list[tuple]:
    """Acc@1 of the same greedy completions, read in the official order and by our parser."""
    greedy = frame[frame.sample_index < 0]
    read = by_parser(greedy, items)
    found = [
        bootstrap_mean(read[name].correct, read[name].image_id, seed=seed)
        for name in ("official order", OURS)
    ]
    return _rows("parser", "Acc@1", *found)


def guess_floor(frame: pd.DataFrame, k: int, seed: int = 0) -> list[tuple]:
    """Support as raw Pass@K, and as what lies above the guess floor."""
    values = effects.item_values(frame, k)
    found = [
        effects.mean_over_datasets(values, column=column, seed=seed)
        for column in ("pass@k", "excess_support@k")
    ]
    return _rows("no guess floor", f"support at K = {k}", *found)


def feature_grid(images: ImageSet, model: str, seed: int = 0) -> list[tuple]:
    """Accuracy of kNN on the tokens before the patch merger, and on the merged ones."""
    found = []
    for layer in ("patch", "merger"):
        table = vision.probe_once(images, model, layer=layer, seed=seed)
        one = table[(table.metric == "accuracy") & (table.probe == "knn")].iloc[0]
        found.append(Estimate(one.value, one.low, one.high, int(one.n)))
    return _rows("two feature grids", "accuracy of kNN", *found)


def bonus_statistics(frame: pd.DataFrame, seed: int = 0) -> list[tuple]:
    """Share of right completions that earn the bonus: mean over a device's batch, or the group's.

    A device holds the groups of two items. The likelihood of a completion stands in for that of
    its answer under the reference, which rollouts do not hold.
    """
    sampled = frame[frame.sample_index.between(0, GROUP - 1)]
    ids = np.random.default_rng(seed).permutation(sampled.item_id.unique())
    ids = ids[: len(ids) // ITEMS_A_DEVICE * ITEMS_A_DEVICE]
    rows = sampled.set_index("item_id").loc[ids].reset_index()
    size = len(rows) // len(ids)
    accuracy = torch.tensor(rows.correct.to_numpy(dtype=np.float32))
    mean = (rows.logprob / rows.n_tokens).to_numpy(dtype=np.float32)
    likelihood = torch.tensor(mean).exp().clamp(max=Care().clamp)
    right = rows.correct.to_numpy(dtype=bool)
    if not right.any():
        none = Estimate(float("nan"), float("nan"), float("nan"), 0)
        return _rows("bonus over the device", "right completions with bonus", none, none)
    found = []
    for group in (ITEMS_A_DEVICE * size, size):
        got = consistency_bonus(accuracy, likelihood, group, Care()).numpy() > 0
        found.append(bootstrap_mean(got[right], rows.image_id[right], seed=seed))
    return _rows("bonus over the device", "right completions with bonus", *found)


def table(rows: Sequence[tuple]) -> pd.DataFrame:
    """Rows of the experiments as one table: COLUMNS, two rows a defect."""
    return pd.DataFrame(list(rows), columns=COLUMNS)
