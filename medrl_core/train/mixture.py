"""Training items of several image sets in fixed shares, for SFT on more than one modality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from medrl_core.data.items import Item
from medrl_core.errors import UserError


def shares(weights: Mapping[str, float], n: int) -> dict[str, int]:
    """How many of n items each set gives, by largest remainders.

    Arguments:
        weights: a positive weight for each set; only their ratios count.
        n: items in all.

    Returns:
        Whole numbers that sum to n, each less than one away from its exact share; of two equal
        remainders the set named first gets the item.

    Raises:
        UserError: no sets, or a weight that is not positive.
    """
    if not weights or min(weights.values()) <= 0:
        raise UserError(f"a mixture needs sets with positive weights, not {dict(weights)}")
    total = sum(weights.values())
    exact = {name: n * weight / total for name, weight in weights.items()}
    counts = {name: int(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: counts[name] - exact[name])  # stable
    for name in by_remainder[: n - sum(counts.values())]:
        counts[name] += 1
    return counts


def mix(
    parts: Mapping[str, Sequence[Item]], weights: Mapping[str, float], n: int, *, seed: int = 0
) -> list[Item]:
    """Draw n items from several sets in the shares of their weights.

    Arguments:
        parts: the items of each set.
        weights: a positive weight for each set of `parts`.
        n: items in all.
        seed: of the draw and of the order.

    Returns:
        n items, none twice, in a shuffled order.

    Raises:
        UserError: sets without weights or weights without sets, or too few items of a set.
    """
    if set(parts) != set(weights):
        raise UserError(f"the sets {sorted(parts)} and the weights {sorted(weights)} must agree")
    rng = np.random.default_rng(seed)
    drawn = []
    for name, count in shares(weights, n).items():
        if count > len(parts[name]):
            raise UserError(
                f"a mixture of {n} needs {count} items of {name}, which has {len(parts[name])}: "
                "lower its weight or the number of items"
            )
        drawn += [parts[name][i] for i in rng.permutation(len(parts[name]))[:count]]
    return [drawn[i] for i in rng.permutation(len(drawn))]
