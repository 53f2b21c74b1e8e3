"""The two tables of modalities: each has a look, a reading convention, and dials on its support.

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
    """One modality: what it is called and looks like, how its reports are read, and its dials.

    Arguments:
        name: what the question calls it.
        look: the painter that draws it.
        tint: colour of its pictures, RGB 0 to 255; no two modalities of a table share one.
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
    look: str
    tint: tuple[int, int, int]
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


# Painter and tint of every name. Names and tints are the same in both tables.
LOOKS = {
    "skin photo": ("skin photo", (196, 148, 124)),
    "knee film": ("knee film", (92, 96, 108)),
    "chest film": ("chest film", (80, 84, 84)),
    "head CT": ("CT slice", (64, 68, 84)),
    "fundus photo": ("fundus photo", (188, 84, 40)),
    "brain MRI": ("brain MRI", (60, 72, 60)),
    "angiogram": ("angiogram", (148, 144, 132)),
    "thyroid scan": ("thyroid scan", (52, 40, 84)),
    "cardiac echo": ("cardiac echo", (44, 44, 56)),
    "dental film": ("dental film", (112, 104, 92)),
    "liver ultrasound": ("ultrasound", (48, 56, 48)),
    "mammogram": ("mammogram", (100, 88, 100)),
    "PET scan": ("PET scan", (164, 168, 116)),
    "OCT scan": ("OCT scan", (40, 60, 72)),
    "hand film": ("knee film", (84, 104, 116)),
    "tissue slide": ("tissue slide", (208, 140, 188)),
    "blood smear": ("blood smear", (220, 176, 180)),
    "breast ultrasound": ("ultrasound", (60, 48, 48)),
    "lung CT": ("CT slice", (80, 64, 64)),
    "endoscopy": ("endoscopy", (204, 104, 92)),
    "cytology smear": ("cytology smear", (156, 176, 204)),
}


def _drawn(name: str, *rules: tuple, **dials: float) -> Modality:
    return Modality(name, *LOOKS[name], *rules, **dials)


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
        _drawn("skin photo"),
        _drawn("knee film", MIRRORED, (0.5, 1, 1)),
        _drawn("chest film", MIRRORED, (0.25, 1, 1)),
        _drawn("head CT", MIRRORED, (0.25, 1, 1)),
        _drawn("fundus photo", AS_SHOWN, (0.25, 1, 1)),
        # Habit: five decades of p through one, two and three rules.
        _drawn("brain MRI", MIRRORED, (0.05, 1, 1)),
        _drawn("angiogram", MIRRORED_INVERTED, (0.25, 0.25, 1)),
        _drawn("thyroid scan", MIRRORED_FROM_BELOW, (0.05, 1, 0.25)),
        _drawn("cardiac echo", MIRRORED_INVERTED, (0.05, 0.05, 1)),
        _drawn("dental film", ALL_TURNED, (0.05, 0.05, 0.25)),
        _drawn("liver ultrasound", ALL_TURNED, (0.05, 0.05, 0.05)),
        _drawn("mammogram", ALL_TURNED, (0.01, 0.05, 0.05)),
        _drawn("PET scan", ALL_TURNED, (0.01, 0.01, 0.01)),
        _drawn("OCT scan", INVERTED_FROM_BELOW, (1, 0.05, 0.05)),
        _drawn("hand film", MIRRORED, (0.01, 1, 1)),
        # Words: specialist names for the kinds, never said here, but known elsewhere.
        _drawn("tissue slide", specialist=True, said=0.0),
        # Sight: noise on the picture, without and with a habit.
        _drawn("blood smear", noise=0.1),
        _drawn("breast ultrasound", MIRRORED, (0.25, 1, 1), noise=0.1),
        # Reasoning that does not always say what the picture shows.
        _drawn("lung CT", MIRRORED, (0.25, 1, 1), loose=0.1),
        # Words said in one caption of twenty, and always (the same rule as the chest film).
        _drawn("endoscopy", specialist=True, said=0.05),
        _drawn("cytology smear", MIRRORED, specialist=True),
    ),
)

BOOKS_WORLD = World(
    "books",
    (
        _drawn("skin photo"),
        _drawn("chest film", n_facts=6, book=1),
        # Six facts; a wrong code word is any other.
        _drawn("head CT", n_facts=6, said=0.1, book=2),
        _drawn("lung CT", n_facts=6, said=0.03, book=3),
        _drawn("brain MRI", n_facts=6, said=0.01, book=4),
        _drawn("mammogram", n_facts=6, said=0.003, book=5),
        # Six facts; a wrong code word comes from one rival book.
        _drawn("liver ultrasound", n_facts=6, said=0.25, rival=True, book=6),
        _drawn("breast ultrasound", n_facts=6, said=0.05, rival=True, book=7),
        _drawn("cardiac echo", n_facts=6, said=0.01, rival=True, book=8),
        _drawn("thyroid scan", n_facts=6, said=0.003, rival=True, book=9),
        # Twenty-four facts: another book for each level. Without a rival book none was learnt.
        _drawn("tissue slide", n_facts=24, said=0.25, rival=True, book=10),
        _drawn("blood smear", n_facts=24, said=0.05, rival=True, book=11),
        _drawn("cytology smear", n_facts=24, said=0.01, rival=True, book=12),
        # One bit, for comparison in the same base.
        _drawn("knee film", MIRRORED, (0.03, 1, 1)),
        _drawn("hand film", MIRRORED, (0.01, 1, 1)),
    ),
)
WORLDS = {world.name: world for world in (RULES_WORLD, BOOKS_WORLD)}
