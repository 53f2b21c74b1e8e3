"""Gold answers as logs write them (letter, text, index, list) to the letters or texts that count.

>>> accepted_answers("Right lung", ("Left lung", "Right lung"))
(True, ('B',))
>>> accepted_answers(0, ("Left lung", "Right lung"), "index")
(True, ('A',))
"""

from __future__ import annotations

import ast
import math
import re
import string
from collections.abc import Sequence
from typing import Any

from medrl_core.score.parsing import normalise

LETTERS = string.ascii_uppercase
_LETTER_TEXT = re.compile(r"[(\[]?([A-Za-z])[)\].:]{1,2}\s*(.*)", re.DOTALL)


def missing(value: Any) -> bool:
    """Say whether a log's value stands for nothing: None, nan, an empty text or list."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return isinstance(value, (str, list, tuple, dict)) and not (
        value.strip() if isinstance(value, str) else value
    )


def as_list(value: Any) -> list:
    """Give a value that may be one or several as a list; nothing is an empty list."""
    if missing(value):
        return []
    if hasattr(value, "tolist"):
        value = value.tolist()
    several = value if isinstance(value, (list, tuple)) else [value]
    return [one for one in several if not missing(one)]


def unquoted(value: Any) -> Any:
    """Read a list that was written as its text, "['cat', 'feline']"; other values stay.

    lm-eval and lmms-eval write every target with str().
    """
    if isinstance(value, str) and value[:1] in "[(" and value[-1:] in "])":
        try:
            found = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return value
        if isinstance(found, (list, tuple)) and all(
            isinstance(one, (str, int, float)) for one in found
        ):
            return list(found)
    return value


def letter_of(value: Any, options: Sequence[str], gold_is: str = "either") -> str | None:
    """Give the letter of the option that a value names, or None.

    Arguments: `value` a text, a letter or an index; `options` texts in order; `gold_is` "index" (0
    for the first option), "letter" or "text" where the log says which, else "either": the text of
    one option before its letter, "B. text" last.
    """
    letters = LETTERS[: len(options)]
    if gold_is == "index" or (isinstance(value, int) and not isinstance(value, bool)):
        try:
            index = int(value)
        except (TypeError, ValueError):
            return None
        if gold_is == "index" or str(value) not in options:
            return letters[index] if 0 <= index < len(letters) else None
    text = str(value).strip()
    if gold_is != "letter":
        for same in (str, normalise):
            wanted = same(text)
            found = [at for at, option in enumerate(options) if wanted and same(option) == wanted]
            if len(found) == 1:
                return letters[found[0]]
    if gold_is == "text":
        return None
    bare = text.strip(" ()[].:").upper()
    if len(bare) == 1 and bare in letters:
        return bare
    pair = _LETTER_TEXT.fullmatch(text)
    if pair and pair[1].upper() in letters:
        letter = pair[1].upper()
        option = options[letters.index(letter)]
        if normalise(pair[2]) in ("", normalise(option)):
            return letter
    return None


def accepted_answers(
    gold: Any, options: Sequence[str] | None, gold_is: str = "either"
) -> tuple[bool, tuple[str, ...]]:
    """Give the answers that count as right.

    Arguments: `gold` as the log has it, one or a list; `options` None for an item without;
    `gold_is` as in `letter_of`.
    Returns: False where a gold answer is there but is none of the options; and the answers,
    letters where there are options, () where the log has none or it is unusable.
    """
    golds = as_list(gold)
    if not options:
        return True, tuple(_text(one) for one in golds)
    letters = [letter_of(one, options, gold_is) for one in golds]
    if any(letter is None for letter in letters):
        return False, ()
    return True, tuple(dict.fromkeys(letter for letter in letters if letter))


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
