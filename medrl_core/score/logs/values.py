"""Values as logs write them: verdicts ("C", 1.0, "True", ...), ids (7, 7.0, "7") and numbers."""

from __future__ import annotations

import math
from typing import Any

_RIGHT = frozenset({"c", "correct", "right", "true", "yes", "1", "1.0", "pass", "passed"})
_WRONG = frozenset({"i", "n", "incorrect", "wrong", "false", "no", "0", "0.0", "fail", "failed"})


def verdict(value: Any) -> bool | None:
    """Read a verdict on one sample; None where the value is neither right nor wrong.

    True, 1, 1.0, "1", "True", "C", "correct" are right; the opposites, and inspect's "N" for no
    answer, are wrong. A share between 0 and 1, "P" (partly) and anything else is neither.
    """
    if isinstance(value, str):
        word = value.strip().lower()
        return True if word in _RIGHT else False if word in _WRONG else None
    if isinstance(value, (list, tuple)) and len(value) == 1:
        return verdict(value[0])
    if isinstance(value, (bool, int, float)) or hasattr(value, "item"):
        return True if value == 1 else False if value == 0 else None
    return None


def text_id(value: Any) -> str | None:
    """Give an id as text, so that 7, 7.0 and "7" are one item; None where there is none."""
    if value is None or isinstance(value, bool):
        return None
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, (int, str)):
        return str(value).strip() or None
    return None


def number(value: Any) -> float | None:
    """Give a number, also one written as text; None for anything else."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return None if math.isnan(found) else found


def flag(value: Any) -> bool | None:
    """Give a yes or no, also one written as text; None for anything else."""
    if isinstance(value, str):
        return {"true": True, "false": False, "1": True, "0": False}.get(value.strip().lower())
    return bool(value) if isinstance(value, (bool, int)) else None
