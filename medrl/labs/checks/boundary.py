"""Checks of lab 4: expected hits, the chance of take-off, growth, the rules, and what they cost."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any, cast

import numpy as np
import pandas as pd

from medrl.labs.checks import compare

LEFT, WORTH = 1 / 10, 1 / 2
Pair = tuple[float, float]


def expected_hits(answer: Callable) -> None:
    """Check expected_hits(p, n, share)."""
    compare.function(
        answer,
        lambda p, n, share: p * n * share,
        [(0.01, 4096, 1.0), (0.5, 100, 0.25), (0.0, 4096, 1.0)],
        {
            "only a share of the completions is about these items": lambda p, n, share: p * n,
            "that is the chance of at least one: the expected number is asked for": (
                lambda p, n, share: 1 - (1 - p) ** (n * share)
            ),
            "a smaller share means fewer hits": lambda p, n, share: p * n / share,
        },
    )


def chance(answer: Callable) -> None:
    """Check chance(p, n, growth)."""
    compare.function(
        answer,
        _chance,
        [(0.001, 4096, 1000), (0.5, 64, 64), (0.1, 64, 640), (0.0, 4096, 0), (0.01, 256, 0)],
        {
            "a run needs time to grow: only the first n - growth completions count": (
                lambda p, n, growth: float(1 - np.exp(-p * n))
            ),
            "that is the chance that none comes: one step is missing": (
                lambda p, n, growth: float(np.exp(-p * max(n - growth, 0)))
            ),
            "where growth exceeds n the number of completions in time is 0, not negative": (
                lambda p, n, growth: float(1 - np.exp(-p * (n - growth)))
            ),
            "that is the number of hits, not a chance": (
                lambda p, n, growth: float(p * max(n - growth, 0))
            ),
        },
    )


def median_growth(answer: Callable) -> None:
    """Check median_growth(first_right, took_off), of runs one of which never took off."""
    first = np.array([4.0, 100.0, 60.0, np.nan, 900.0])
    at = np.array([1024.0, 1024.0, 3072.0, np.inf, np.inf])
    compare.function(
        answer,
        lambda first, at: float(np.median((at - first)[np.isfinite(at)])),
        [(first, at), (first[:2], at[:2])],
        {
            "growth begins with the first right completion: subtract it": (
                lambda first, at: float(np.median(at[np.isfinite(at)]))
            ),
            "leave out the runs that never took off": lambda first, at: float(
                np.median(np.nan_to_num(at - first, nan=np.inf))
            ),
            "the median is asked for, not the mean": (
                lambda first, at: float(np.mean((at - first)[np.isfinite(at)]))
            ),
            "that is the negative: growth ends with the take-off": (
                lambda first, at: float(np.median((first - at)[np.isfinite(at)]))
            ),
        },
    )


def rule(answer: Callable) -> None:
    """Check rule(acc, ceiling, chance, left, worth) on single numbers."""
    rooms = [(0.0, 1.0), (0.9, 0.95), (0.25, 0.5), (0.375, 0.5), (0.5, 0.25)]
    compare.function(
        answer,
        _rule,
        [(a, c, p, 0.125, 0.5) for (a, c), p in product(rooms, (0.0, 0.5, 0.9))],
        {
            "you look at the chance first: where nothing is left to gain there is nothing to pay": (
                lambda a, c, p, left, worth: (
                    "sharpen" if p >= worth else "stop" if c - a < left else "bridge"
                )
            ),
            "a value equal to its threshold counts as enough": (
                lambda a, c, p, left, worth: (
                    "stop" if c - a <= left else "sharpen" if p > worth else "bridge"
                )
            ),
            "where RL is likely to take off it needs no labels first": (
                lambda a, c, p, left, worth: (
                    "stop" if c - a < left else "bridge" if p >= worth else "sharpen"
                )
            ),
            "what is left lies between Acc@1 and the ceiling, not between Acc@1 and 1": (
                lambda a, c, p, left, worth: _rule(a, 1.0, p, left, worth)
            ),
        },
    )


def careful(answer: Callable) -> None:
    """Check careful(acc, ceiling, chance, left, worth) with a chance that is a pair (low, high)."""
    pairs = [(0.0, 0.1), (0.1, 0.6), (0.1, 0.95), (0.5, 0.8), (0.3, 0.5), (0.9, 1.0)]
    rooms = [(0.0, 1.0), (0.9, 0.95)]
    compare.function(
        answer,
        _careful,
        [(a, c, pair, LEFT, WORTH) for (a, c), pair in product(rooms, pairs)],
        {
            "you decide by the middle of the interval: it must lie on one side as a whole": (
                lambda a, c, pair, left, worth: _rule(a, c, sum(pair) / 2, left, worth)
            ),
            "a low chance must be sure: look at the upper end before you say bridge": (
                lambda a, c, pair, left, worth: _rule(a, c, pair[0], left, worth)
            ),
            "a high chance must be sure: look at the lower end before you say sharpen": (
                lambda a, c, pair, left, worth: _rule(a, c, pair[1], left, worth)
            ),
            "where nothing is left to gain the chance does not matter: stop": (
                lambda a, c, pair, left, worth: _careful(0.0, 1.0, pair, left, worth)
            ),
        },
    )


def actions(answer: dict[str, str], table: pd.DataFrame, left: float, worth: float) -> None:
    """Check the action of each row of a table.

    Arguments: `answer` name to action; `table` columns acc, ceiling, low and high (of the chance);
    `left` and `worth` thresholds.
    """
    rows = list(cast(Any, table).itertuples())
    right = {one.Index: _careful(one.acc, one.ceiling, (one.low, one.high), left, worth)
             for one in rows}  # fmt: skip
    middle = {one.Index: _rule(one.acc, one.ceiling, (one.low + one.high) / 2, left, worth)
              for one in rows}  # fmt: skip
    hint = "that is the rule of exercise 4: give the careful rule both ends of the interval"
    compare.value(answer, right, {hint: middle})


def agreement(answer: Callable) -> None:
    """Check agreement(actions, took_off)."""
    said = {"a": "bridge", "b": "bridge", "c": "sharpen", "d": "undecided", "e": "stop"}
    done = {"a": False, "b": True, "c": True, "d": False, "e": True}

    def right(said: dict, done: dict, names: list[str] | None = None) -> list[bool]:
        told = [one for one in said if said[one] in ("sharpen", "bridge")]
        return [(said[one] == "sharpen") == done[one] for one in names or told]

    compare.function(
        answer,
        lambda said, done: sum(right(said, done)) / len(right(said, done)),
        [(said, done), ({"a": "bridge", "d": "undecided"}, done)],
        {
            "stop and undecided are no predictions: leave them out": (
                lambda said, done: sum(right(said, done, list(said))) / len(said)
            ),
            "divide by the number of predictions, not of all": (
                lambda said, done: sum(right(said, done)) / len(said)
            ),
            "a share is asked for, not a count": lambda said, done: sum(right(said, done)),
            "you count the predictions that did not come true": (
                lambda said, done: 1 - sum(right(said, done)) / len(right(said, done))
            ),
        },
    )


def best_action(answer: Callable) -> None:
    """Check best_action(p_weak, costs)."""
    costs = {"bridge": {"weak": 0, "enough": 2}, "sharpen": {"weak": 6, "enough": 0}}
    more = costs | {"wait": {"weak": 1, "enough": 1}}
    compare.function(
        answer,
        lambda p, c: min(c, key=lambda action: _cost(p, c[action])),
        [(0.0, costs), (0.1, costs), (0.5, costs), (1.0, costs), (0.4, more), (0.9, more)],
        {
            "the least cost is wanted, not the largest": (
                lambda p, c: max(c, key=lambda action: _cost(p, c[action]))
            ),
            "p_weak is the chance of the state weak: the two chances are swapped": (
                lambda p, c: min(c, key=lambda action: _cost(1 - p, c[action]))
            ),
            "you ask which state is likelier; ask which action costs less on average": (
                lambda p, c: "bridge" if p >= 0.5 else "sharpen"
            ),
            "you take the worst case; weigh each cost by its chance": (
                lambda p, c: min(c, key=lambda action: max(c[action].values()))
            ),
        },
    )


def break_even(answer: float, costs: dict[str, dict[str, float]]) -> None:
    """Check the chance of no take-off at which both actions cost the same.

    Arguments: `answer` the chance; `costs` action to state to cost.
    """
    needless, wasted = costs["bridge"]["enough"], costs["sharpen"]["weak"]
    half = "the costs differ, so it is not at one half"
    swapped = "that is the chance of take-off: which state does p_weak go with?"
    odds = "that is the odds: turn them into a chance"
    wrong = {swapped: wasted / (needless + wasted), odds: needless / wasted, half: 1 / 2}
    compare.value(answer, needless / (needless + wasted), wrong)


def _chance(p: float, n: float, growth: float) -> float:
    return float(1 - np.exp(-p * max(n - growth, 0)))


def _rule(acc: float, ceiling: float, chance: float, left: float, worth: float) -> str:
    if ceiling - acc < left:
        return "stop"
    return "sharpen" if chance >= worth else "bridge"


def _careful(acc: float, ceiling: float, chance: Pair, left: float, worth: float) -> str:
    said = {_rule(acc, ceiling, end, left, worth) for end in chance}
    return said.pop() if len(said) == 1 else "undecided"


def _cost(p_weak: float, costs: dict[str, float]) -> float:
    return p_weak * costs["weak"] + (1 - p_weak) * costs["enough"]
