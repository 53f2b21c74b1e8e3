"""Facts of the embedded world: six attributes, the words for them, three reading rules, the splits.

A picture shows one object with six facts. The reasoning names them in picture terms, the report in
the reading convention of the modality:

    >>> think_words((0, 0, 3, 1, 0, 2))
    ['nodule', 'left', 'fourth', 'medium', 'bright', 'trio']
    >>> report_words((0, 0, 3, 1, 0, 2), Convention(patient_side=True))
    ['nodule', 'right', 'fourth', 'medium', 'dense', 'trio']

The causes of missing support, with their dials, are in `modalities.py`; the captions that a base
reads are in `captions.py`. Run its test: `pytest tests/data/test_world.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medrl_core.errors import UserError

Ids = NDArray[np.int64]

ATTRIBUTES = ("kind", "side", "level", "size", "density", "count")
KIND, SIDE, LEVEL, SIZE, DENSITY, COUNT = range(6)

# Picture terms, one tuple an attribute. Levels are counted from the top of the picture. There are
# four of them, an even number, so that no level is its own mirror image.
SEEN = (
    ("nodule", "block", "wedge", "star", "ring", "band"),
    ("left", "right"),
    ("first", "second", "third", "fourth"),
    ("small", "medium", "large"),
    ("bright", "dark"),
    ("lone", "pair", "trio", "quartet"),
)
# Report terms that differ from picture terms: what a density means, how specialists name the six
# kinds, and the words of a code book.
MEANT = ("dense", "lucent")
SPECIALIST = ("papule", "plaque", "fan", "spider", "annulus", "streak")
CODES = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")

SIZES = np.array([len(words) for words in SEEN])
WORDS = tuple(itertools.chain(*SEEN, MEANT, SPECIALIST, CODES))
# The number of the first word of each attribute in `WORDS`, in the reasoning and in the report.
THINK_START = np.concatenate([[0], np.cumsum(SIZES)[:-1]])
REPORT_START = THINK_START.copy()
REPORT_START[DENSITY] = SIZES.sum()
SPECIALIST_START = int(SIZES.sum()) + len(MEANT)
CODE_START = SPECIALIST_START + len(SPECIALIST)

FACTS = np.array(list(itertools.product(*(range(n) for n in SIZES))))  # (1152, 6)

# 960 combinations to train on, 64 to choose on, 128 to test on. RandomState is frozen in NumPy, so
# the split is the same in every version.
_ORDER = np.random.RandomState(20260301).permutation(len(FACTS))
TEST, VALIDATION, TRAIN = np.split(FACTS[_ORDER], [128, 192])
SPLITS = {"train": TRAIN, "validation": VALIDATION, "test": TEST}


class Convention(NamedTuple):
    """How a modality's reports are to be read: three independent rules, each real in radiology.

    Arguments:
        patient_side: sides are those of the patient, so left in the picture is right in the report.
        dark_is_dense: the grey scale is inverted, so what is dark in the picture is dense.
        from_below: levels are counted from the bottom.
    """

    patient_side: bool = False
    dark_is_dense: bool = False
    from_below: bool = False


RULES = Convention._fields
RULED_SLOTS = (SIDE, DENSITY, LEVEL)  # the attribute that each rule turns, in the rules' order


def report_values(facts: ArrayLike, convention: ArrayLike) -> Ids:
    """Turn facts as the picture shows them into facts as the report counts them.

    Arguments: `facts` (..., 6); `convention` (..., 3) booleans in the order of `RULES`.
    Returns: (..., 6) values; the same convention applied twice gives the facts back.
    """
    facts, rules = np.asarray(facts), np.asarray(convention, dtype=bool)
    values = np.broadcast_to(facts, np.broadcast_shapes(facts.shape, (*rules.shape[:-1], 6))).copy()
    for rule, slot in enumerate(RULED_SLOTS):
        mirrored = SIZES[slot] - 1 - values[..., slot]
        values[..., slot] = np.where(rules[..., rule], mirrored, values[..., slot])
    return values


def think_ids(facts: ArrayLike) -> Ids:
    """Give the numbers in `WORDS` of the six words of reasoning: facts (..., 6) to (..., 6)."""
    return THINK_START + np.asarray(facts)


def words(ids: ArrayLike) -> list[str]:
    """Give the words of a row of numbers in `WORDS`."""
    return [WORDS[i] for i in np.asarray(ids).tolist()]


def think_words(facts: Sequence[int]) -> list[str]:
    """Give the six words of reasoning, in picture terms."""
    return words(think_ids(checked(facts)))


def report_words(facts: Sequence[int], convention: Convention) -> list[str]:
    """Give the six words of a report in a convention, kinds by their common names.

    `captions.gold_words` gives the report of a modality, with its own names for the kinds.
    """
    return words(REPORT_START + report_values(checked(facts), convention))


def text(think: Sequence[str] | None, report: Sequence[str]) -> str:
    """Write a completion; without reasoning it is a bare report, with no tags at all."""
    if think is None:
        return " ".join(report)
    return f"<think> {' '.join(think)}</think><answer> {' '.join(report)}</answer>"


def checked(facts: Sequence[int]) -> Ids:
    """Return facts as an array.

    Raises: UserError if there are not six, or one lies outside its attribute's values.
    """
    given = np.asarray(facts)
    if given.shape != (6,) or not np.issubdtype(given.dtype, np.integer):
        raise UserError(f"facts are six whole numbers ({', '.join(ATTRIBUTES)}), not {facts!r}")
    if np.any((given < 0) | (given >= SIZES)):
        raise UserError(
            f"facts {given.tolist()} leave their ranges: each must be at least 0 and below its "
            f"number of values, {SIZES.tolist()}"
        )
    return given
