"""Whether an answer is the gold answer.

    is_correct("spleen and liver", "liver, spleen")    # True
    is_correct("two", 2), is_correct("-3", "3")        # (True, False)

The same letter or the same text is right; so are plurals ("kidneys"), number words ("two"), spelt
units, and lists in another order. A part of a list is wrong, more words are wrong: partial credit
is in `open_answers.token_scores`. `pytest tests/score/test_matching.py` runs the tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from medrl_core.score.folding import fold
from medrl_core.score.words import key, normalise

Gold = str | bool | int | float | None

_SEPARATOR = re.compile(r"\s?(?:[,;/+](?!\d)|\band\b|&)(?:\s?\band\b)?\s?")
_DENIAL = re.compile(r"\b(?:no|not|without|non|neither|nor|or|than|vs|versus|between|from|to)\b")


@lru_cache(maxsize=65536)
def listed(text: str) -> frozenset[str]:
    """Give the parts of a list, "liver, spleen" or "spleen and liver", each as its key.

    A text with a denial or a direction ("no effusion and pneumonia", "left to right") is one part.
    """
    folded = fold(text)
    if _DENIAL.search(folded):
        return frozenset({key(text)})
    parts = (key(part) for part in _SEPARATOR.split(folded))
    return frozenset(part for part in parts if part)


_TAG = re.compile(r"</?[a-zA-Z]{1,10}\s?/?>")


def same_answer(one: str, other: str) -> bool:
    """Say whether two texts are the same answer.

    Arguments: two texts; neither needs to be normalised, and HTML tags and entities are nothing.
    """
    if "<" in one or "<" in other:
        one, other = _TAG.sub(" ", one), _TAG.sub(" ", other)
    if normalise(one) == normalise(other):
        return bool(normalise(one)) or bool(one.strip()) and one.strip() == other.strip()
    if key(one) == key(other):
        return bool(key(one))
    parts = listed(one)
    return len(parts) > 1 and parts == listed(other)


def as_texts(gold: Gold | Iterable[Gold]) -> list[str]:
    """Give the accepted answers as texts: one, several, numbers; True is "yes" and "true"."""
    if gold is None:
        return []
    if isinstance(gold, bool):
        return ["yes", "true"] if gold else ["no", "false"]
    if isinstance(gold, float) and gold.is_integer():
        return [str(int(gold))]
    if isinstance(gold, str | int | float):
        return [str(gold)]
    return [text for one in gold for text in as_texts(one)]


def is_correct(answer: str | None, gold: Gold | Iterable[Gold]) -> bool:
    """Say whether a parsed answer is the gold answer.

    Arguments: `answer` as `parse` gives it; `gold` the item's letter or text, a number, a boolean
    (True is "yes" or "true"), or a list of accepted answers.
    """
    return answer is not None and any(same_answer(answer, text) for text in as_texts(gold))
