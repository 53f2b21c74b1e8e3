"""What others found, beside our numbers: the blocks of the page book/others.md.

Theirs are in data/literature.yaml, each with its source; ours come from the runs. Whether the
two agree follows from our interval alone.
Run its test: `pytest tests/book/test_literature.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from medrl.studies import clone
from medrl_core import refusal
from medrl_core.errors import UserError
from medrl_core.report import myst

if TYPE_CHECKING:
    from medrl.book.chapter import Chapter


class Ours(BaseModel):
    """The number of ours that answers a question.

    Arguments: `run` a notebook; `number` of its results; `means` what it is; `agrees` the side of 0
    on which its interval lies if it agrees with what others found, None where it cannot say so;
    `study` that made it, "" for the book's own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: str
    number: str
    means: str
    agrees: Literal["above", "below"] | None
    study: str = ""


class Question(BaseModel):
    """One question of the field, what a paper found, and our number beside it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    question: str
    source: str
    found: str
    ours: Ours
    differs: str


def blocks(path: Path, chapter: Chapter) -> str:
    """Return a block a question as MyST.

    Raises: UserError, one line, for a file that does not fit or a number that a run lacks.
    """
    try:
        asked = TypeAdapter(list[Question]).validate_python(clone.read_yaml(path))
    except ValidationError as error:
        raise UserError(f"{path}: {refusal.first(error)}; get it again from git") from None
    return "\n\n".join(_block(one, chapter) for one in asked) + "\n"


def _block(one: Question, chapter: Chapter) -> str:
    ours = one.ours
    number = chapter.number(ours.run, ours.number, ours.study)
    said = agreement(chapter.entry(ours.run, ours.number, ours.study), ours.agrees)
    return (
        f"### {myst.escape(one.question)}\n\n"
        f"**They found.** {myst.escape(one.found)} {{cite}}`{one.source}`\n\n"
        f"**We find.** {myst.escape(ours.means)}: {number}. **{said}**\n\n"
        f"**What differs.** {myst.escape(one.differs)}"
    )


def agreement(entry: dict[str, Any] | None, side: Literal["above", "below"] | None) -> str:
    """Say whether a number agrees with a finding that puts it above or below 0.

    Arguments: `entry` of results.json, None where it was not measured; `side` None where the two
    can only be shown beside each other.
    """
    if entry is None:
        return "Not measured here."
    if side is None:
        return "To be compared by eye."
    low, high = entry["low"], entry["high"]
    if low is None or high is None or low <= 0 <= high:
        return "Ours cannot say: the interval holds 0."
    return "Agrees." if (low > 0) == (side == "above") else "Disagrees."
