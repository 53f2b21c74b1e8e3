"""Checks of lab 1: guess floor, Pass@K without bias, what no sample has shown, bootstrap."""

from __future__ import annotations

from collections.abc import Callable
from math import comb

import numpy as np

from medrl.labs.checks import compare
from medrl_core.score import passk

LEVEL = 19 / 20
MISSED = 1 / 20  # the chance of missing what is there


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
            "that is Pass@1; it does not depend on k": lambda n, c, k: c / n,
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


def pass_of_p(answer: Callable) -> None:
    """Check pass_of_p(p, k)."""
    compare.function(
        answer,
        lambda p, k: float(np.mean(1 - (1 - p) ** k)),
        [(np.array([0.0, 1.0]), 4), (np.array([0.1, 0.3, 0.0]), 1), (np.array([0.02, 0.4]), 16)],
        {
            "take the mean over items last: a curve at the mean chance is not the mean curve": (
                lambda p, k: float(1 - (1 - np.mean(p)) ** k)
            ),
            "that is the chance that no answer is right: one step is missing": (
                lambda p, k: float(np.mean((1 - p) ** k))
            ),
            "that is the chance that all answers are right": lambda p, k: float(np.mean(p**k)),
            "one number is asked for: take the mean over items": lambda p, k: 1 - (1 - p) ** k,
            "chances of several tries do not add up": lambda p, k: float(np.mean(p) * k),
        },
    )


def upper_bound(answer: Callable) -> None:
    """Check upper_bound(n), the largest chance that n wrong answers leave open."""
    compare.function(
        answer,
        lambda n: 1 - MISSED ** (1 / n),
        [(1,), (16,), (2048,)],
        {
            "that is the chance of one right answer in n: ask when n wrong ones become unlikely": (
                lambda n: 1 / n
            ),
            "three in n is close for a large n; solve for p": lambda n: 3 / n,
            "that is the chance of a wrong answer: one step is missing": (
                lambda n: MISSED ** (1 / n)
            ),
            "the root is the n-th: the exponent is one over n": lambda n: 1 - MISSED**n,
            "no right answer was seen, but that does not make the chance zero": lambda n: 0.0,
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
