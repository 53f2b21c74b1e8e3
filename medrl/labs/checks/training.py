"""Checks of lab 3: advantages and signal of RL, paired gains, diversity, crossing curves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from medrl.labs.checks import compare

SMALLEST_STD = 1e-4  # as in PAPER.md: it keeps a group of equal rewards from dividing by zero


def advantages(answer: Callable) -> None:
    """Check advantages(rewards) of one group."""
    groups = ([1, 0, 0, 0], [2.0, 1.0, 0.0, 1.0], [0, 0, 0], [1, 1])
    compare.function(
        answer,
        lambda r: (r - r.mean()) / (r.std() + SMALLEST_STD),
        [(np.array(group, dtype=float),) for group in groups],
        {
            "subtract the mean of the group first": lambda r: r / (r.std() + SMALLEST_STD),
            "divide by the standard deviation of the group as well": lambda r: r - r.mean(),
            "that is the variance; the standard deviation is its root": (
                lambda r: (r - r.mean()) / (r.var() + SMALLEST_STD)
            ),
            "that is the sample standard deviation (ddof=1); np.std without it is asked for": (
                lambda r: (r - r.mean()) / (r.std(ddof=1) + SMALLEST_STD)
            ),
            "a group of equal rewards must give zeros: add the small number to the deviation": (
                _without_the_small_number
            ),
        },
    )


def signal(answer: Callable) -> None:
    """Check signal(p, g)."""
    compare.function(
        answer,
        lambda p, g: 1 - p**g - (1 - p) ** g,
        [(0.0, 8), (0.1, 8), (0.5, 2), (0.9, 4), (1.0, 4)],
        {
            "a group that is all right is silent too": lambda p, g: 1 - (1 - p) ** g,
            "a group that is all wrong is silent too": lambda p, g: 1 - p**g,
            "that is the chance that a group is silent: one step is missing": (
                lambda p, g: p**g + (1 - p) ** g
            ),
            "that is for one answer: what does the size of the group do?": (
                lambda p, g: 2 * p * (1 - p)
            ),
        },
    )


def silent_share(answer: Callable) -> None:
    """Check silent_share(n, c)."""
    n, c = np.array([8, 8, 8, 8, 4]), np.array([0, 8, 3, 0, 4])
    compare.function(
        answer,
        lambda n, c: float(np.mean((c == 0) | (c == n))),
        [(n, c), (n, np.array([1, 2, 3, 4, 0]))],
        {
            "groups that are all right are silent too": lambda n, c: float(np.mean(c == 0)),
            "groups that are all wrong are silent too": lambda n, c: float(np.mean(c == n)),
            "that is the share of groups with a signal": (
                lambda n, c: float(np.mean((c != 0) & (c != n)))
            ),
            "a share is asked for, not a count": lambda n, c: float(np.sum((c == 0) | (c == n))),
        },
    )


def gain(answer: Callable) -> None:
    """Check gain(after, before) on tables in different orders, one of which has an item more."""
    after = pd.DataFrame({"item_id": ["a", "b", "c"], "value": [1.0, 0.5, 0.0]})
    before = pd.DataFrame({"item_id": ["d", "c", "a", "b"], "value": [0.9, 0.0, 0.25, 0.5]})
    compare.function(
        answer,
        lambda a, b: 0.25,
        [(after, before)],
        {
            "the rows of the two tables do not stand in the same order: join them by item_id": (
                lambda a, b: float((a.value - b.value).mean())
            ),
            "compare only items that both tables have: join them by item_id": (
                lambda a, b: float(a.value.mean() - b.value.mean())
            ),
            "that is before minus after": lambda a, b: -0.25,
            "the mean over items is asked for, not the sum": lambda a, b: 0.75,
        },
    )


def entropy(answer: Callable) -> None:
    """Check entropy(given) in bits."""
    compare.function(
        answer,
        lambda given: float(_entropy(given, np.log2)),
        [(["x"] * 4,), (["x", "y"],), (["x", "x", "x", "y"],), (list("abcd"),)],
        {
            "that is in nats: take the logarithm to base 2": (
                lambda given: float(_entropy(given, np.log))
            ),
            "the sum is negative: entropy is minus the sum": (
                lambda given: -float(_entropy(given, np.log2))
            ),
            "that is the number of different answers: their shares count too": (
                lambda given: len(set(given))
            ),
            "that treats all different answers as equally frequent: their shares count too": (
                lambda given: float(np.log2(len(set(given))))
            ),
        },
    )


def crossing(answer: Callable) -> None:
    """Check crossing(ks, before, after)."""
    ks = [1, 2, 4, 8]
    compare.function(
        answer,
        _crossing,
        [
            (ks, [0.3, 0.5, 0.7, 0.9], [0.4, 0.5, 0.6, 0.7]),
            (ks, [0.3, 0.5, 0.7, 0.9], [0.4, 0.6, 0.8, 1.0]),
            (ks, [0.3, 0.5, 0.7, 0.9], [0.2, 0.4, 0.6, 0.8]),
            (ks, [0.3, 0.5, 0.7, 0.9], [0.3, 0.4, 0.8, 0.8]),
        ],
        {
            "curves that start lower do not cross: look at the first K": (
                lambda ks, b, a: next((k for k, x, y in zip(ks, b, a, strict=True) if y < x), None)
            ),
            "equal is not under": (
                lambda ks, b, a: next((k for k, x, y in zip(ks, b, a, strict=True) if y <= x), None)
            ),
            "the smallest such K is asked for, not the largest": (
                lambda ks, b, a: (
                    None
                    if a[0] < b[0]
                    else max((k for k, x, y in zip(ks, b, a, strict=True) if y < x), default=None)
                )
            ),
            "return the K itself, not its place in the list": (
                lambda ks, b, a: (
                    None if _crossing(ks, b, a) is None else ks.index(_crossing(ks, b, a))
                )
            ),
        },
    )


def _without_the_small_number(rewards: np.ndarray) -> np.ndarray:
    spread = rewards.std()
    return (rewards - rewards.mean()) / spread if spread else np.full(rewards.shape, np.nan)


def _entropy(given: list, logarithm: Callable) -> float:
    shares = np.array(list(Counter(given).values())) / len(given)
    return -(shares * logarithm(shares)).sum()


def _crossing(ks: Sequence[int], before: Sequence[float], after: Sequence[float]) -> int | None:
    if after[0] < before[0]:
        return None
    return next((k for k, b, a in zip(ks, before, after, strict=True) if a < b), None)
