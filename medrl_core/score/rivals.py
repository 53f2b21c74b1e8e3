"""What a base reaches without training: another temperature, a vote, a sharper distribution.

    best, tried = best_temperature(net, processor, validation, [0.5, 1.0, 1.5], seed=100)
    vote(found, k=16).mean()        # majority of 16 samples
    sharpened(found, power=4).mean()  # one answer drawn from p^4
    of_reports(net, processor, items, validation)   # all of them, where answers are reports

A gain by training counts only beyond these. `pytest tests/score/test_rivals.py` runs the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medrl_core.data.groups import is_exact
from medrl_core.data.items import Item
from medrl_core.errors import UserError
from medrl_core.sample.sampling import GREEDY, Decoding
from medrl_core.score import support
from medrl_core.score.exact_support import report_support
from medrl_core.score.measure import Measured, blank, measure

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin

Floats = NDArray[np.float64]
TEMPERATURES = (0.5, 0.7, 1.0, 1.3, 1.6, 2.0)
MAJORITY = 16  # samples that vote


def best_temperature(
    net: PreTrainedModel, processor: ProcessorMixin, items: Sequence[Item],
    temperatures: Sequence[float], *, k: int = 16, thinks: int = 16, seed: int = 0,
    decoding: Decoding | None = None,
) -> tuple[float, pd.DataFrame]:  # fmt: skip
    """Choose the temperature that gives the highest Pass@K on validation items.

    Arguments:
        net, processor: the model.
        items: of one group, none of them a test item.
        temperatures: to choose from; of equals the first wins.
        k: K; also the samples an item where p cannot be exact.
        thinks: reasonings drawn an item where it can.
        seed: of samples.
        decoding: all but the temperature.

    Returns:
        The temperature, and one row a temperature: temperature, p, pass.
    """
    decoding = decoding or Decoding(max_new_tokens=24)
    rows: list[tuple[float, float, float]] = []
    for temperature in temperatures:
        at = replace(decoding, temperature=temperature)
        n = 0 if is_exact(items) else k
        found = measure(net, processor, items, seed=seed, k=n, thinks=thinks, decoding=at)
        rows.append((temperature, float(found.p.mean()), float(found.pass_items(k).mean())))
    tried = pd.DataFrame(rows, columns=["temperature", "p", "pass"])
    return float(tried.temperature[tried["pass"].argmax()]), tried


def drawn(found: Measured, column: str, k: int | None = None) -> NDArray[Any]:
    """Return a column of the sampled rollouts, items by samples: (B, k).

    Raises:
        UserError: fewer than k samples of an item are there.
    """
    rows = found.rollouts[found.rollouts.sample_index != GREEDY]
    wide = rows.pivot(index="item_id", columns="sample_index", values=column)
    wide = wide.reindex([item.item_id for item in found.items]).to_numpy()
    if not wide.size or wide.shape[1] < (k or 1):
        raise UserError(f"{k or 1} samples an item are needed, {wide.shape[1]} are there: raise k")
    return wide[:, :k]


def right_samples(found: Measured, k: int | None = None) -> NDArray[np.bool_]:
    """Return which samples are right, items by samples: (B, k)."""
    return drawn(found, "correct", k).astype(bool)


def vote(found: Measured, k: int) -> Floats:
    """Return each item's chance that the commonest of k sampled answers is right: (B,).

    Answers that cannot be read count as one wrong answer.
    """
    said = drawn(found, "parsed", k)
    said = np.where(pd.isna(said), "", said).astype(str)
    return support.majority_right(said, right_samples(found, k))


def sharpened(found: Measured, power: float = 4) -> Floats:
    """Return each item's chance of a right answer under p^power, from the samples there are: (B,).

    Source: sharpening without training, arXiv 2510.14901.
    """
    logprob = drawn(found, "logprob").astype(float)
    return support.power_right(
        drawn(found, "text").astype(str), logprob, right_samples(found), power
    )


def of_reports(
    net: PreTrainedModel, processor: ProcessorMixin, items: Sequence[Item],
    validation: Sequence[Item], *, seed: int = 0, copies: int = 256, max_new_tokens: int = 24,
) -> dict[str, Floats]:  # fmt: skip
    """Return each report item's chance of a right answer by what a model can do untrained.

    Arguments:
        net, processor: the model.
        items: report items.
        validation: items that the temperature is chosen on.
        seed: of samples and reasonings.
        copies: samples an item, at least `MAJORITY`.
        max_new_tokens: of a sample.

    Returns:
        "best temperature": one sample at it; "majority" of 16 samples; "power": p^4 renormalised
        over the samples; "blind": one sample without the picture.
    """
    decoding = Decoding(max_new_tokens=max_new_tokens)
    found = measure(net, processor, items, seed=seed, k=copies, thinks=0, decoding=decoding)
    best, _ = best_temperature(
        net, processor, validation, TEMPERATURES, thinks=4, seed=seed, decoding=decoding
    )
    return {
        "best temperature": report_support(
            net, processor, items, seed=seed, temperature=best
        ).p,
        "majority": vote(found, MAJORITY),
        "power": sharpened(found),
        "blind": report_support(net, processor, blank(items), seed=seed).p,
    }
