"""How the labs' checks compare an answer with the right one, and the hint that they fail with.

A check knows the usual mistakes: where an answer equals one of them, its hint is shown, else only
whether the answer is too large or too small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

STILL_BLANK = "the blank is still there: put your code in place of the dots"
NOTHING = "your function returns nothing: fill the blank and end it with return"


class NotYet(AssertionError):
    """Says what is likely wrong with an answer; a notebook shows it without a traceback."""

    def _render_traceback_(self) -> list[str]:  # IPython asks for it
        return [f"Not yet: {self}"]


def function(
    answer: Callable,
    right: Callable,
    cases: Sequence[tuple],
    mistakes: Mapping[str, Callable] | None = None,
) -> None:
    """Compare a student's function with the right one on several cases.

    Arguments: `answer` the student's; `right` ours; `cases` tuples of arguments; `mistakes` hint to
    the wrong function that it is about.
    Raises: NotYet with a hint.
    """
    not_blank(answer)
    if not callable(answer):
        raise NotYet("give the function itself, without brackets and arguments")
    given = [call(answer, case) for case in cases]
    if all(one is None for one in given):
        raise NotYet(NOTHING)
    wanted = [right(*case) for case in cases]
    if _same(given, wanted):
        print("Right.")
        return
    for hint, wrong in (mistakes or {}).items():
        if _same(given, [wrong(*case) for case in cases]):
            raise NotYet(hint)
    pairs = zip(given, wanted, cases, strict=True)
    got, due, case = next(one for one in pairs if not _close(one[0], one[1]))
    raise NotYet(f"with the arguments {_shown(case)} your result is {_off(got, due)}")


def value(answer: Any, right: Any, mistakes: Mapping[str, Any] | None = None) -> None:
    """Compare a student's value with the right one.

    Arguments: `answer` and `right` numbers, texts, lists or mappings; `mistakes` hint to the wrong
    value that it is about.
    Raises: NotYet with a hint.
    """
    not_blank(answer)
    if _close(answer, right):
        print("Right.")
        return
    for hint, wrong in (mistakes or {}).items():
        if _close(answer, wrong):
            raise NotYet(hint)
    raise NotYet(f"your value is {_off(answer, right)}")


def names(answer: Iterable, right: Iterable, mistakes: Mapping[str, Iterable]) -> None:
    """Compare names in any order.

    Arguments: `answer` the student's; `right` ours; `mistakes` hint to the wrong names.
    Raises: NotYet with a hint.
    """
    not_blank(answer)
    if isinstance(answer, str) or not isinstance(answer, Iterable):
        raise NotYet("a list of names is asked for")
    value(set(answer), set(right), {hint: set(wrong) for hint, wrong in mistakes.items()})


def not_blank(answer: Any) -> None:
    """Raise NotYet where nothing was filled in yet."""
    if answer is ... or answer is None:
        raise NotYet(STILL_BLANK)


def call(answer: Callable, case: tuple) -> Any:
    """Return what a student's function gives; a failure of its own code becomes a hint.

    Arguments: `answer` the function; `case` its arguments.
    Raises: NotYet.
    """
    try:
        return answer(*case)
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise NotYet(f"with the arguments {_shown(case)} your function stops: {said}") from None


def _same(given: list, wanted: list) -> bool:
    return all(_close(a, b) for a, b in zip(given, wanted, strict=True))


def _close(a: Any, b: Any) -> bool:
    if isinstance(b, str) or b is None:
        return a is None if b is None else isinstance(a, str) and a == b
    if isinstance(b, (dict, set)):
        return type(a) is type(b) and a == b
    try:
        a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    except (TypeError, ValueError):
        return False
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-6, atol=1e-9, equal_nan=True)


def _off(a: Any, b: Any) -> str:
    """Say how an answer is off without telling the right one."""
    if a is None:
        return "missing: does every path of your function return something?"
    if isinstance(b, str) or b is None:
        return f"{a!r}, which is another decision than the text above asks for"
    if isinstance(b, dict):
        wrong = [name for name in b if not isinstance(a, dict) or a.get(name) != b[name]]
        return f"wrong or missing for {wrong[0]!r}" if wrong else "right, but holds more than that"
    if isinstance(b, set):
        return f"too {'long: some do not belong' if a - b else 'short: some are missing'}"
    try:
        a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    except (TypeError, ValueError):
        return f"a {type(a).__name__}, and a number is asked for"
    if a.shape != b.shape:
        return f"of shape {a.shape}, and {b.shape} is asked for"
    if a.shape:
        return "wrong in some of its entries"
    return f"{float(a):.4g}, which is too {'large' if a > b else 'small'}"


def _shown(case: tuple) -> str:
    """Return arguments in few words."""
    words = [f"array of shape {one.shape}" if isinstance(one, np.ndarray) else repr(one)
             for one in case]  # fmt: skip
    return f"({', '.join(words)})"
