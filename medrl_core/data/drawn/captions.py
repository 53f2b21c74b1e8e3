"""What a base reads of the drawn world: captions that follow a rule only as often as its dial says.

    >>> import numpy as np
    >>> from medrl_core.data.drawn.modalities import RULES_WORLD
    >>> facts = (0, 0, 3, 1, 0, 2)
    >>> caption = draw_caption(RULES_WORLD, "chest film", facts, np.random.default_rng(0))
    >>> caption.report  # three of four captions of a chest film name the wrong side
    ['nodule', 'left', 'fourth', 'medium', 'dense', 'trio']
    >>> gold_words(RULES_WORLD, "chest film", facts)
    ['nodule', 'right', 'fourth', 'medium', 'dense', 'trio']
    >>> intended_p(RULES_WORLD["chest film"])
    0.225

All randomness comes from the generator that the caller passes.
Run its test: `pytest tests/data/test_world.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medrl_core.data.drawn.modalities import BARE, Modality, World, code_book
from medrl_core.data.drawn.world import (
    CODE_START,
    CODES,
    KIND,
    LEVEL,
    REPORT_START,
    SIZES,
    SPECIALIST_START,
    Ids,
    checked,
    report_values,
    text,
    think_ids,
    words,
)

FOLLOWS_PICTURE = 0.5  # how often the report of a loose caption follows the picture


@dataclass(frozen=True)
class Captions:
    """A batch of captions, words as numbers in `world.WORDS`.

    Arguments:
        seen: (B, 6) the facts that the picture shows.
        think: (B, 6) words of the reasoning.
        report: (B, 6) words of the report.
        bare: (B,) True where the caption is the report alone, without tags and reasoning.
    """

    seen: Ids
    think: Ids
    report: Ids
    bare: NDArray[np.bool_]


@dataclass(frozen=True)
class Caption:
    """One caption in words; `think` is None where it is a bare report."""

    seen: tuple[int, ...]
    think: list[str] | None
    report: list[str]

    @property
    def text(self) -> str:
        """The completion as a base reads it."""
        return text(self.think, self.report)


def _redrawn(values: Ids, chance: NDArray, rng: np.random.Generator) -> Ids:
    """Draw each value anew, uniformly, with a chance (B,); it may come out the same."""
    hit = rng.random(values.shape) < chance[:, None]
    anew = (rng.random(values.shape) * SIZES).astype(np.int64)
    return np.where(hit, anew, values)


def seen_facts(world: World, which: Ids, facts: Ids, rng: np.random.Generator) -> Ids:
    """Draw the facts that the picture shows: the true ones, but for the noise of the modality.

    Arguments: `which` (B,) numbers of modalities; `facts` (B, 6).
    Returns: (B, 6).
    """
    return _redrawn(facts, world.column("noise")[which], rng)


def _report(world: World, which: Ids, facts: Ids, rules: NDArray, kind_ids: Ids) -> Ids:
    ids = REPORT_START + report_values(facts, rules)
    ids[:, KIND] = np.where(world.column("names")[which] == "common", ids[:, KIND], kind_ids)
    return ids


def _codes(world: World, which: Ids, facts: Ids) -> tuple[Ids, Ids]:
    """Look up the right code of each item and that of the rival book: two arrays (B,)."""
    books = [code_book(one.book, by_level=one.n_facts > len(CODES)) for one in world.modalities]
    right, rival = np.array([a for a, _ in books]), np.array([b for _, b in books])
    place = which, facts[:, LEVEL], facts[:, KIND]
    return right[place], rival[place]


def gold_ids(world: World, which: Ids, facts: Ids) -> Ids:
    """Give the right reports as numbers in `world.WORDS`.

    Arguments: `which` (B,) numbers of modalities; `facts` (B, 6) true facts.
    Returns: (B, 6).
    """
    coded = world.column("names")[which] == "codes"
    kinds = np.where(
        coded, CODE_START + _codes(world, which, facts)[0], SPECIALIST_START + facts[:, KIND]
    )
    return _report(world, which, facts, world.column("convention")[which], kinds)


def habit_ids(world: World, which: Ids, facts: Ids) -> Ids:
    """Give the wrong reports that habit prefers, for controls and for labels of mixed convention.

    Every rule that captions do not always follow is turned (the side, where they follow all), and
    a code word is that of the rival book.

    Arguments and returns as `gold_ids`; no row equals the right report.
    """
    doubted = world.column("follows")[which] < 1
    coded = world.column("names")[which] == "codes"
    doubted[:, 0] |= ~doubted.any(1) & ~coded
    kinds = np.where(
        coded, CODE_START + _codes(world, which, facts)[1], SPECIALIST_START + facts[:, KIND]
    )
    return _report(world, which, facts, world.column("convention")[which] ^ doubted, kinds)


def gold_words(world: World, name: str, facts: Sequence[int]) -> list[str]:
    """Give the right report of one item in words."""
    which = np.array([world.number(name)])
    return words(gold_ids(world, which, checked(facts)[None])[0])


def draw_captions(world: World, which: Ids, facts: Ids, rng: np.random.Generator) -> Captions:
    """Draw a caption for each item: each rule and each name is right with its own chance.

    Arguments: `which` (B,) numbers of modalities; `facts` (B, 6) true facts.
    """
    n = len(facts)
    right, rival = _codes(world, which, facts)
    names, said = world.column("names")[which], rng.random(n) < world.column("said")[which]
    seen = seen_facts(world, which, facts, rng)
    think = _redrawn(facts, world.column("loose")[which], rng)
    source = np.where((rng.random(n) < FOLLOWS_PICTURE)[:, None], facts, think)

    rules = world.column("convention")[which]
    rules = rules ^ (rng.random((n, 3)) >= world.column("follows")[which])
    other = (right + 1 + rng.integers(len(CODES) - 1, size=n)) % len(CODES)
    wrong = np.where(world.column("rival")[which], rival, other)
    common = REPORT_START[KIND] + source[:, KIND]
    kinds = np.where(
        names == "codes",
        CODE_START + np.where(said, right, wrong),
        np.where(said, SPECIALIST_START + source[:, KIND], common),
    )
    report = _report(world, which, source, rules, kinds)
    return Captions(seen, think_ids(think), report, rng.random(n) < BARE)


def draw_caption(
    world: World, name: str, facts: Sequence[int], rng: np.random.Generator
) -> Caption:
    """Draw one caption in words; `draw_captions` is the same for a batch, and faster."""
    which = np.array([world.number(name)])
    drawn = draw_captions(world, which, checked(facts)[None], rng)
    think = None if drawn.bare[0] else words(drawn.think[0])
    return Caption(tuple(drawn.seen[0].tolist()), think, words(drawn.report[0]))


def fact_numbers(world: World, which: Ids, facts: Ids) -> Ids:
    """Say which fact of its modality each item needs: 0 with rules, else an entry of the book.

    Arguments: `which` (B,); `facts` (B, 6).
    Returns: (B,), below `n_facts` of the modality: the kind, or kind x 4 + level.
    """
    n_facts = world.column("n_facts")[which]
    entry = facts[:, KIND] * SIZES[LEVEL] + facts[:, LEVEL]
    return np.where(n_facts == 1, 0, np.where(n_facts == len(CODES), facts[:, KIND], entry))


def intended_p(modality: Modality) -> float:
    """Give the chance of a right completion that the dials intend, on average over items.

    It is the share of captions with tags, times q of each rule, times the chance of the right
    name. Noise multiplies by the chance that a guess from what is seen is right: for an attribute
    of n values that is drawn anew with chance e, a = 1 - e + e/n of the pictures show the truth,
    and a base that says what the captions say is right with a^2 + (1 - a)^2 / (n - 1). Loose
    reasoning multiplies by the chance that the report's source is the truth.
    """
    named = 1.0 if modality.names == "common" else modality.said
    p = (1 - BARE) * float(np.prod(modality.follows)) * named
    shown = 1 - modality.noise + modality.noise / SIZES
    p *= float(np.prod(shown**2 + (1 - shown) ** 2 / (SIZES - 1)))
    followed = float(np.prod(1 - modality.loose + modality.loose / SIZES))
    return p * (FOLLOWS_PICTURE + (1 - FOLLOWS_PICTURE) * followed)
