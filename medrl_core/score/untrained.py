"""What an untrained model reaches by other ways of asking: the rivals of every training.

    found = rivals(net, processor, items, validation, seed=100)
    found["majority"].mean()    # chance that the commonest of 16 sampled reports is right

A gain of training counts only beyond them. Chances are one number an item.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medrl_core.data.items import Item
from medrl_core.score.exact_support import report_support
from medrl_core.score.measure import blank
from medrl_core.score.support import majority_right, pass_curve, power_right

Floats = NDArray[np.float64]
TEMPERATURES = (0.5, 0.7, 1.0, 1.3, 1.6, 2.0)
MAJORITY = 16


def best_temperature(
    net, processor, validation: Sequence[Item], *, k: int = 16, seed: int = 0
) -> float:
    """Return the temperature with the highest Pass@k on validation items.

    Arguments: `net`, `processor` the model; `validation` report items; `k`; `seed` of reasonings.
    """
    reached = []
    for one in TEMPERATURES:
        p = report_support(net, processor, validation, thinks=4, seed=seed, temperature=one).p
        reached.append(pass_curve(p, ks=(k,))[0])
    return TEMPERATURES[int(np.argmax(reached))]


def rivals(
    net, processor, items: Sequence[Item], validation: Sequence[Item], *, seed: int = 0,
    copies: int = 256, max_new_tokens: int = 24,
) -> dict[str, Floats]:  # fmt: skip
    """Return each item's chance of a right answer by what an untrained model can do instead.

    Arguments:
        net, processor: the model.
        items: report items.
        validation: items that the temperature is chosen on.
        seed: of samples and reasonings.
        copies: samples an item, at least `MAJORITY`.
        max_new_tokens: of a sample.

    Returns:
        "best temperature": one sample at it; "majority" of 16 samples; "power": p^4 renormalised
        over the samples (2510.14901); "blind": one sample without the picture.
    """
    from medrl_core.sample.sampling import Decoding, sample
    from medrl_core.score.evaluate import rollout_rows

    decoding = Decoding(max_new_tokens=max_new_tokens)
    drawn = pd.DataFrame(
        [
            (row["item_id"], row["text"], row["parsed"] or "", row["correct"], row["logprob"])
            for part in sample(
                net, processor, items, k=copies, decoding=decoding, greedy=False, seed=seed
            )
            for row in rollout_rows(part, decoding, seed=seed, model_name="", model_hash="")
        ],
        columns=["item_id", "text", "parsed", "correct", "logprob"],
    )
    order = [item.item_id for item in items]
    parts = {name: part for name, part in drawn.groupby("item_id")}

    def table(column: str) -> NDArray:
        """(items, copies) of a column."""
        return np.array([parts[one][column].tolist() for one in order])

    right, said = table("correct"), table("parsed")
    temperature = best_temperature(net, processor, validation, seed=seed)
    found = report_support(net, processor, items, seed=seed, temperature=temperature)
    return {
        "best temperature": found.p,
        "majority": majority_right(said[:, :MAJORITY], right[:, :MAJORITY]),
        "power": power_right(table("text"), table("logprob"), right),
        "blind": report_support(net, processor, blank(items), seed=seed).p,
    }
