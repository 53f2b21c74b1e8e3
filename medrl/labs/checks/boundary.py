"""Checks of lab 4: the decision rule on numbers and on intervals, its agreement, and its costs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pandas as pd

from medrl.labs.checks import compare
from medrl_core.score import boundary
from medrl_core.score.intervals import Estimate

Pair = tuple[float, float]


def rule(answer: Callable) -> None:
    """Check rule(support, gap, tau, delta) on single numbers."""
    grid = [(s, g, 0.2, 0.1) for s, g in product((-0.5, 0.1, 0.2, 0.9), (0.0, 0.1, 0.4))]
    compare.function(
        answer,
        _rule,
        grid,
        {
            "you look at the gap first: without support there is nothing to sharpen": (
                lambda s, g, t, d: "sharpen" if g >= d else "bridge" if s < t else "stop"
            ),
            "a value equal to its threshold counts as enough": (
                lambda s, g, t, d: "bridge" if s <= t else "sharpen" if g > d else "stop"
            ),
            "a large gap is a reason to sharpen, a small one to stop": (
                lambda s, g, t, d: "bridge" if s < t else "stop" if g >= d else "sharpen"
            ),
        },
    )


def careful(answer: Callable) -> None:
    """Check careful(support, gap, tau, delta) on pairs (low, high)."""
    supports = [(-0.9, -0.2), (-0.1, 0.3), (0.1, 0.15), (0.2, 0.8), (0.5, 0.9)]
    gaps = [(-0.1, 0.05), (0.0, 0.3), (0.1, 0.4), (0.2, 0.4)]
    compare.function(
        answer,
        _careful,
        [(s, g, 0.2, 0.1) for s, g in product(supports, gaps)],
        {
            "you decide by the middle of the interval: it must lie on one side as a whole": (
                lambda s, g, t, d: _rule(sum(s) / 2, sum(g) / 2, t, d)
            ),
            "low support must be sure: look at the upper end before you say bridge": (
                lambda s, g, t, d: _rule(s[0], g[0], t, d)
            ),
            "enough support must be sure: look at the lower end too": (
                lambda s, g, t, d: _rule(s[1], g[1], t, d)
            ),
            "the gap has an interval too: it may lie on both sides of delta": (
                lambda s, g, t, d: (
                    _careful(s, (g[0], g[0]), t, d) if s[0] >= t else _careful(s, g, t, d)
                )
            ),
            "where support is surely low the gap does not matter: bridge": (
                lambda s, g, t, d: "undecided" if g[0] < d <= g[1] else _careful(s, g, t, d)
            ),
        },
    )


def actions(answer: dict[str, str], table: pd.DataFrame, tau: float, delta: float) -> None:
    """Check the action of each row of a table.

    Arguments: `answer` name to action; `table` columns support, gap and their _low and _high;
    `tau` and `delta` thresholds.
    """
    rows = list(table.itertuples())
    right = {
        row.Index: _careful(
            (row.support_low, row.support_high), (row.gap_low, row.gap_high), tau, delta
        )
        for row in rows
    }
    plain = {row.Index: _rule(row.support, row.gap, tau, delta) for row in rows}
    hint = "that is the rule of exercise 1: give the careful rule the ends of the intervals"
    compare.value(answer, right, {hint: plain})


def agreement(answer: Callable) -> None:
    """Check agreement(actions, exposure)."""
    said = {"a": "bridge", "b": "bridge", "c": "sharpen", "d": "undecided", "e": "stop"}
    seen = {"a": 0, "b": 50, "c": 0, "d": 0, "e": 10, "f": 0}

    def right(done: dict, known: dict, names: list[str] | None = None) -> list[bool]:
        chosen = [name for name in done if done[name] != "undecided"] if names is None else names
        return [(done[name] == "bridge") == (known[name] == 0) for name in chosen]

    compare.function(
        answer,
        lambda done, known: sum(right(done, known)) / len(right(done, known)),
        [(said, seen), ({"a": "bridge", "d": "undecided"}, seen)],
        {
            "an undecided set is no mistake: leave it out": (
                lambda done, known: sum(right(done, known, list(done))) / len(done)
            ),
            "divide by the number of decided sets, not of all": (
                lambda done, known: sum(right(done, known)) / len(done)
            ),
            "a number was asked for as a share, not as a count": (
                lambda done, known: sum(right(done, known))
            ),
            "you count the sets that the rule gets wrong": (
                lambda done, known: 1 - sum(right(done, known)) / len(right(done, known))
            ),
        },
    )


def misled(
    answer: list[str], raw: pd.DataFrame, exposure: dict[str, int], tau: float, delta: float
) -> None:
    """Check the never-seen sets on which raw Pass@K does not say bridge.

    Arguments: `answer` names; `raw` columns pass@k and acc@1 by name; `exposure` images seen;
    `tau` and `delta` thresholds.
    """
    says = {
        name: _rule(row["pass@k"], row["pass@k"] - row["acc@1"], tau, delta)
        for name, row in raw.iterrows()
    }
    compare.names(
        answer,
        [name for name in says if exposure[name] == 0 and says[name] != "bridge"],
        {
            "only sets that the model has never seen are asked for": (
                [name for name in says if says[name] != "bridge"]
            ),
            "these are the sets that it has seen": (
                [name for name in says if exposure[name] > 0 and says[name] != "bridge"]
            ),
            "these are the sets on which the rule is right": (
                [name for name in says if exposure[name] == 0 and says[name] == "bridge"]
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
    """Check the chance of weak support at which both actions cost the same.

    Arguments: `answer` the chance; `costs` action to state to cost.
    """
    needless, wasted = costs["bridge"]["enough"], costs["sharpen"]["weak"]
    half = "the costs differ, so it is not at one half"
    swapped = "that is the chance of enough support: which state does p_weak go with?"
    odds = "that is the odds: turn them into a chance"
    wrong = {swapped: wasted / (needless + wasted), odds: needless / wasted, half: 1 / 2}
    compare.value(answer, needless / (needless + wasted), wrong)


def _rule(support: float, gap: float, tau: float, delta: float) -> str:
    if support < tau:
        return "bridge"
    return "sharpen" if gap >= delta else "stop"


def _careful(support: Pair, gap: Pair, tau: float, delta: float) -> str:
    estimates = [Estimate((low + high) / 2, low, high, 1) for low, high in (support, gap)]
    return boundary.decide(*estimates, tau_support=tau, delta_gap=delta).action


def _cost(p_weak: float, costs: dict[str, float]) -> float:
    return p_weak * costs["weak"] + (1 - p_weak) * costs["enough"]
