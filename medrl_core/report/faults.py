"""The table of faults: what the tests marked `fault` broke, how often, and what was lost.

Make its numbers again: pytest -m fault --faults data/faults.json. Test: pytest tests/test_faults.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medrl_core import refusal
from medrl_core.clone import read_text
from medrl_core.errors import UserError
from medrl_core.report import myst


class Row(BaseModel):
    """One fault: its group, what was done, what has to hold, how often it was tried and lost."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    group: str
    what: str
    promise: str
    tried: int = Field(ge=1)
    lost: int = Field(ge=0)


class Faults(BaseModel):
    """What one run of all fault tests counted, and where it ran."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    made: str
    commit: str | None
    dirty: bool | None
    hardware: dict[str, Any]
    rows: list[Row]


def read(path: Path) -> Faults:
    """Return the recorded counts of a file that `pytest -m fault --faults FILE` wrote."""
    try:
        return Faults.model_validate_json(read_text(path))
    except ValidationError as error:
        raise UserError(f"{path}: {refusal.first(error)}; get it again from git") from None


def table(found: Faults) -> str:
    """Return one table a group with a line a fault, and a sentence on all of them."""
    tried, lost = (sum(getattr(row, name) for row in found.rows) for name in ("tried", "lost"))
    commit = f"`{found.commit[:12]}`" if found.commit else "no commit"
    machine = f"{found.hardware['system']}, {found.hardware['cores']} cores"
    lines = [
        f"{len(found.rows)} faults, tried {tried:,} times in all; {lost or 'none'} of these lost "
        f"anything. Counted on {found.made} at {commit} on {machine}.",
    ]
    for group in dict.fromkeys(row.group for row in found.rows):
        lines += ["", f"## {group}", "", "| fault | what has to hold | tried | lost |"]
        lines += ["|:---|:---|---:|---:|"]
        lines += [
            f"| {myst.escape(row.what)} | {myst.escape(row.promise)} | {row.tried:,} | {row.lost} |"
            for row in found.rows
            if row.group == group
        ]
    return "\n" + "\n".join(lines) + "\n"
