"""What an RL budget meets: right completions it samples, and groups that carry a signal.

    >>> budget = Budget(steps=200, prompts=64, group=8)
    >>> budget.completions
    102400
    >>> float(signal_rate(16, 4, 8).round(3))        # 4 of 16 right: most groups of 8 are mixed
    0.962

A group of GRPO whose answers are all right or all wrong moves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from medrl_core.errors import UserError
from medrl_core.score.intervals import Estimate, bootstrap_mean
from medrl_core.score.passk import pass_at_k


@dataclass(frozen=True)
class Budget:
    """What a run of RL samples: `steps`, prompts a step, completions a prompt."""

    steps: int
    prompts: int
    group: int

    def __post_init__(self) -> None:
        for name in ("steps", "prompts", "group"):
            if getattr(self, name) < 1:
                raise UserError(f"a budget needs at least one of its {name}")

    @property
    def completions(self) -> int:
        """All completions of the run."""
        return self.steps * self.prompts * self.group


def signal_rate(n: ArrayLike, c: ArrayLike, group: int) -> NDArray[np.float64]:
    """Give the chance that a group of an item's answers holds right and wrong ones.

    Arguments: `n` samples an item, `c` of them right; `group` answers.
    Returns: without bias 1 - (C(c, g) + C(n - c, g)) / C(n, g), with g the group, or n where fewer
    samples than a group were drawn: larger groups are mixed more often, so it is a lower bound.
    """
    n, c = np.broadcast_arrays(np.asarray(n, dtype=np.int64), np.asarray(c, dtype=np.int64))
    seen = np.minimum(group, n)
    return pass_at_k(n, c, seen) + pass_at_k(n, n - c, seen) - 1


def expected(items: pd.DataFrame, budget: Budget, seed: int = 0) -> dict[str, Estimate]:
    """Give what a budget is expected to meet on such items, each with its interval.

    Arguments: `items` rows of `statistics.per_item`, of which those with samples count; `budget`;
    `seed` of the intervals.
    Returns: `p` the mean chance of a right answer; `hits` right completions in the whole budget;
    `signal` share of groups that are mixed, at least so many where an item has fewer samples than
    a group; `groups` mixed groups in the whole budget.
    Raises: UserError where no item has samples.
    """
    items = items[items.n > 0]
    if items.empty:
        raise UserError("no item has sampled answers: expected hits need them")
    n, c = items.n.to_numpy(), items.c.to_numpy()
    p = bootstrap_mean(c / n, items.image_id, seed=seed)
    signal = bootstrap_mean(signal_rate(n, c, budget.group), items.image_id, seed=seed)
    return {
        "p": p,
        "hits": _times(p, budget.completions),
        "signal": signal,
        "groups": _times(signal, budget.steps * budget.prompts),
    }


def _times(estimate: Estimate, factor: int) -> Estimate:
    return Estimate(
        estimate.value * factor, estimate.low * factor, estimate.high * factor, estimate.n
    )
