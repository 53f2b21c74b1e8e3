"""Checks of lab 1: guess floor, Pass@K without bias, excess support, bootstrap over images."""

from __future__ import annotations

from collections.abc import Callable
from math import comb

import numpy as np
import pandas as pd

from medrl.labs.checks import compare
from medrl_core.score import passk

LEVEL = 19 / 20


def guess_floor(answer: Callable) -> None:
    """Check guess_floor(m, k)."""
    compare.function(
        answer,
        passk.guess_floor,
        [(2, 1), (4, 1), (4, 4), (7, 16)],
        {
            "chances of several tries do not add up: at large K yours leaves [0, 1]; start from "
            "the chance that all guesses are wrong": lambda m, k: k / m,
            "that is the chance that all guesses are right": lambda m, k: (1 / m) ** k,
            "that is the chance that no guess is right: one step is missing": (
                lambda m, k: (1 - 1 / m) ** k
            ),
        },
    )


def smallest_k(answer: int) -> None:
    """Check the smallest K at which guessing among four options passes on 19 of 20 questions."""
    right = next(k for k in range(1, 100) if passk.guess_floor(4, k) >= LEVEL)
    low = "at this K the floor is still under the level: you are one too low"
    high = "a smaller K does as well: does your search begin at 1 and stop at the first?"
    floor = "that is the floor itself: the K is asked for"
    wrong = {low: right - 1, high: right + 1, floor: float(passk.guess_floor(4, right))}
    compare.value(answer, right, wrong)


def pass_at_k(answer: Callable) -> None:
    """Check pass_at_k(n, c, k)."""
    compare.function(
        answer,
        lambda n, c, k: float(passk.pass_at_k(n, c, k)),
        [(8, 0, 4), (8, 1, 4), (16, 3, 4), (16, 14, 4), (8, 8, 1)],
        {
            "that is the plug-in, which draws answers with replacement; count sets of different "
            "answers": lambda n, c, k: 1 - (1 - c / n) ** k,
            "that is the share of sets without a right answer: one step is missing": (
                lambda n, c, k: comb(n - c, k) / comb(n, k)
            ),
            "that counts sets whose answers are all right; one is enough": (
                lambda n, c, k: comb(c, k) / comb(n, k)
            ),
            "that is Pass@1; it does not hang on k": lambda n, c, k: c / n,
        },
    )


def expected(answer: Callable) -> None:
    """Check expected(estimator, n, p, k)."""

    def plug_in(n: int, c: int, k: int) -> float:
        return 1 - (1 - c / n) ** k

    def chance(c: int, n: int, p: float) -> float:
        return comb(n, c) * p**c * (1 - p) ** (n - c)

    compare.function(
        answer,
        lambda e, n, p, k: sum(chance(c, n, p) * e(n, c, k) for c in range(n + 1)),
        [(plug_in, 4, 0.1, 4), (plug_in, 8, 0.5, 2)],
        {
            "the values must be weighted by chance(c, n, p): not all c are equally likely": (
                lambda e, n, p, k: sum(e(n, c, k) for c in range(n + 1)) / (n + 1)
            ),
            "the sum misses the last term: c goes from 0 to n, and range ends before its end": (
                lambda e, n, p, k: sum(chance(c, n, p) * e(n, c, k) for c in range(n))
            ),
            "the weights add up to 1 already: do not divide again": (
                lambda e, n, p, k: sum(chance(c, n, p) * e(n, c, k) for c in range(n + 1)) / (n + 1)
            ),
        },
    )


def excess_support(answer: Callable) -> None:
    """Check excess_support(passk, floor)."""
    compare.function(
        answer,
        lambda p, floor: float(passk.excess_support(p, floor)),
        [(1.0, 0.5), (0.5, 0.5), (0.9, 0.7), (0.4, 0.7)],
        {
            "a perfect model must get 1 whatever the floor: scale by the room that is left": (
                lambda p, floor: p - floor
            ),
            "the room is what lies above the floor, not the floor": (
                lambda p, floor: (p - floor) / floor
            ),
            "a guesser must get 0: subtract before you divide": lambda p, floor: p / floor,
            "under the floor the value is negative: do not cut it off": (
                lambda p, floor: max((p - floor) / (1 - floor), 0.0)
            ),
        },
    )


def supported(answer: list[str], excess: pd.DataFrame) -> None:
    """Check the names whose excess support surely lies above zero.

    Arguments: `answer` names; `excess` the table with dataset, value, low and high.
    """
    compare.names(
        answer,
        excess.dataset[excess.low > 0],
        {
            "you look at the value alone: an interval that reaches below zero says nothing sure": (
                excess.dataset[excess.value > 0]
            ),
            "you look at the upper end: even a guesser's upper end lies above zero": (
                excess.dataset[excess.high > 0]
            ),
            "these are the sets that do not surely have support": excess.dataset[excess.low <= 0],
        },
    )


def one_draw(answer: Callable) -> None:
    """Check one_draw(values, images, rng), one draw of a bootstrap over whole images.

    Five images with two to ten rows; the rows of an image are equal, so that drawing rows instead
    of images shows in the spread of the draws.
    """
    sizes = np.array([2, 4, 6, 8, 10])
    images, values = np.repeat(np.arange(5), sizes), np.repeat([0.0, 1.0, 0.0, 1.0, 0.0], sizes)
    compare.not_blank(answer)
    if compare.call(answer, (values, images, np.random.default_rng(0))) is None:
        raise compare.NotYet(compare.NOTHING)
    spread = _spread(lambda rng: answer(values, images, rng))
    whole = _spread(lambda rng: _whole(values, images, rng))
    rows = _spread(lambda rng: rng.choice(values, len(values)).mean())
    if spread < 1e-9:
        raise compare.NotYet("every draw gives the same: draw with replacement, and use rng")
    if abs(spread - rows) < abs(spread - whole):
        raise compare.NotYet(
            "your draws spread too little: it seems that you draw completions, not whole images"
        )
    if abs(spread - whole) > 0.1 * whole:
        raise compare.NotYet(
            "the spread of your draws is off: draw as many images as there are, with replacement, "
            "and average over completions, so that an image with more of them counts more"
        )
    print("Right.")


def _spread(draw: Callable) -> float:
    rng = np.random.default_rng(1)
    return float(np.std([draw(rng) for _ in range(1000)]))


def _whole(values: np.ndarray, images: np.ndarray, rng: np.random.Generator) -> float:
    drawn = rng.choice(5, 5)
    return float(np.concatenate([values[images == one] for one in drawn]).mean())
