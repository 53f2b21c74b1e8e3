"""The two tables of modalities: each has a reading convention, and dials on its support.

`RULES_WORLD` covers five decades of support through three binary rules, and the three causes of
missing support; `BOOKS_WORLD` has rules with many values: the report's word for a kind is looked up
in a code book, and a fact is one entry of it. Two bases of one table differ only in their seed.

    >>> RULES_WORLD["chest film"].follows
    (0.25, 1, 1)
    >>> BOOKS_WORLD["lung CT"].n_facts
    6

Run its test: `pytest tests/data/test_world.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from medrl_core.data.drawn.world import CODES, KIND, LEVEL, SIZES, Convention
from medrl_core.errors import UserError

# Share of captions without tags and reasoning, so that the format is not always right either.
BARE = 0.1


@dataclass(frozen=True)
class Modality:
    """One modality: what it is called, how its reports are read, and its dials.

    Arguments:
        name: what the question calls it; `scenes.py` paints it by this name.
        convention: the three rules of its reports.
        follows: q of each rule: the chance that a caption of the base follows it.
        specialist: the report names kinds as specialists do.
        said: chance that a caption uses the specialist name, or the right code word.
        noise: chance that an attribute of the picture is drawn anew at random (sight).
        loose: chance that a word of the reasoning is drawn anew at random; the report then follows
            the picture or the reasoning with equal chance.
        n_facts: what is to be learnt apart: 1 with rules; 6 (kinds) or 24 (kinds at each level)
            where the report names kinds by a code book.
        rival: wrong code words come from one other book, not from all of them.
        book: seed of the code book.
    """

    name: str
    convention: Convention = Convention()
    follows: tuple[float, float, float] = (1.0, 1.0, 1.0)
    specialist: bool = False
    said: float = 1.0
    noise: float = 0.0
    loose: float = 0.0
    n_facts: int = 1
    rival: bool = False
    book: int = 0

    @property
    def names(self) -> str:
        """The report's words for kinds: "common", "specialist" or "codes"."""
        return "codes" if self.n_facts > 1 else "specialist" if self.specialist else "common"

    @property
    def causes(self) -> tuple[str, ...]:
        """Why its support is missing, out of "sight", "words", "loose", "habit"; () if known."""
        habit = min(self.follows) < 1 or (self.names == "codes" and self.said < 1)
        present = {
            "sight": self.noise > 0,
            "words": self.specialist and self.said < 1,
            "loose": self.loose > 0,
            "habit": habit,
        }
        return tuple(cause for cause, found in present.items() if found)

    @property
    def cause(self) -> str:
        """The cause that decides which remedy works: the first of `causes`, or "known"."""
        return next(iter(self.causes), "known")


@lru_cache
def code_book(seed: int, by_level: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw a code book and its rival, which differs from it in every entry.

    Arguments: `seed`; `by_level`: another book for each level, instead of one for all.
    Returns: two arrays (4, 6): the code of each kind at each level.
    """
    draws = np.random.RandomState(seed)
    right, rival = (np.zeros((SIZES[LEVEL], SIZES[KIND]), dtype=np.int64) for _ in range(2))
    for level in range(SIZES[LEVEL] if by_level else 1):
        right[level] = draws.permutation(len(CODES))
        rival[level] = draws.permutation(len(CODES))
        while np.any(rival[level] == right[level]):
            rival[level] = draws.permutation(len(CODES))
    if not by_level:
        right[1:], rival[1:] = right[0], rival[0]
    return right, rival


@dataclass(frozen=True)
class World:
    """A table of modalities that one base reads.

    Arguments: `name` of the table; `modalities` in their order, which numbers them.
    """

    name: str
    modalities: tuple[Modality, ...]

    def __len__(self) -> int:
        return len(self.modalities)

    def __getitem__(self, name: str) -> Modality:
        return self.modalities[self.number(name)]

    def number(self, name: str) -> int:
        """Give the number of a modality.

        Raises: UserError if the table has none of that name.
        """
        if name not in self._numbers:
            known = ", ".join(self._numbers)
            raise UserError(f"world {self.name!r} has no modality {name!r}; it has: {known}")
        return self._numbers[name]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {one.name: number for number, one in enumerate(self.modalities)}

    def column(self, field: str) -> NDArray:
        """Give one field of all modalities as an array, one row a modality."""
        return np.array([getattr(one, field) for one in self.modalities])


AS_SHOWN = Convention()
MIRRORED = Convention(patient_side=True)
MIRRORED_INVERTED = Convention(patient_side=True, dark_is_dense=True)
MIRRORED_FROM_BELOW = Convention(patient_side=True, from_below=True)
INVERTED_FROM_BELOW = Convention(dark_is_dense=True, from_below=True)
ALL_TURNED = Convention(patient_side=True, dark_is_dense=True, from_below=True)

RULES_WORLD = World(
    "rules",
    (
        # Known, and what transfer is measured between: same rule, opposite rule.
        Modality("skin photo"),
        Modality("knee film", MIRRORED, (0.5, 1, 1)),
        Modality("chest film", MIRRORED, (0.25, 1, 1)),
        Modality("head CT", MIRRORED, (0.25, 1, 1)),
        Modality("fundus photo", AS_SHOWN, (0.25, 1, 1)),
        # Habit: five decades of p through one, two and three rules.
        Modality("brain MRI", MIRRORED, (0.05, 1, 1)),
        Modality("angiogram", MIRRORED_INVERTED, (0.25, 0.25, 1)),
        Modality("thyroid scan", MIRRORED_FROM_BELOW, (0.05, 1, 0.25)),
        Modality("cardiac echo", MIRRORED_INVERTED, (0.05, 0.05, 1)),
        Modality("dental film", ALL_TURNED, (0.05, 0.05, 0.25)),
        Modality("liver ultrasound", ALL_TURNED, (0.05, 0.05, 0.05)),
        Modality("mammogram", ALL_TURNED, (0.01, 0.05, 0.05)),
        Modality("PET scan", ALL_TURNED, (0.01, 0.01, 0.01)),
        Modality("OCT scan", INVERTED_FROM_BELOW, (1, 0.05, 0.05)),
        Modality("hand film", MIRRORED, (0.01, 1, 1)),
        # Words: specialist names for the kinds, never said here, but known elsewhere.
        Modality("tissue slide", specialist=True, said=0.0),
        # Sight: noise on the picture, without and with a habit.
        Modality("blood smear", noise=0.1),
        Modality("breast ultrasound", MIRRORED, (0.25, 1, 1), noise=0.1),
        # Reasoning that does not always say what the picture shows.
        Modality("lung CT", MIRRORED, (0.25, 1, 1), loose=0.1),
        # Words said in one caption of twenty, and always (the same rule as the chest film).
        Modality("endoscopy", specialist=True, said=0.05),
        Modality("cytology smear", MIRRORED, specialist=True),
    ),
)

BOOKS_WORLD = World(
    "books",
    (
        Modality("skin photo"),
        Modality("chest film", n_facts=6, book=1),
        # Six facts; a wrong code word is any other.
        Modality("head CT", n_facts=6, said=0.1, book=2),
        Modality("lung CT", n_facts=6, said=0.03, book=3),
        Modality("brain MRI", n_facts=6, said=0.01, book=4),
        Modality("mammogram", n_facts=6, said=0.003, book=5),
        # Six facts; a wrong code word comes from one rival book.
        Modality("liver ultrasound", n_facts=6, said=0.25, rival=True, book=6),
        Modality("breast ultrasound", n_facts=6, said=0.05, rival=True, book=7),
        Modality("cardiac echo", n_facts=6, said=0.01, rival=True, book=8),
        Modality("thyroid scan", n_facts=6, said=0.003, rival=True, book=9),
        # Twenty-four facts: another book for each level. Without a rival book none was learnt.
        Modality("tissue slide", n_facts=24, said=0.25, rival=True, book=10),
        Modality("blood smear", n_facts=24, said=0.05, rival=True, book=11),
        Modality("cytology smear", n_facts=24, said=0.01, rival=True, book=12),
        # One bit, for comparison in the same base.
        Modality("knee film", MIRRORED, (0.03, 1, 1)),
        Modality("hand film", MIRRORED, (0.01, 1, 1)),
    ),
)
WORLDS = {world.name: world for world in (RULES_WORLD, BOOKS_WORLD)}
