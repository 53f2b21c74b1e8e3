"""Recorded measurements of a machine: rows of numbers, when and where they were taken.

Faults, throughput and the overhead of sweeps are kept so under data/.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from medrl.studies import manifest
from medrl_core.errors import UserError
from medrl_core.files import write_text


class Measured(BaseModel):
    """Rows of numbers with day, commit and hardware of their measurement."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    made: str
    commit: str | None
    dirty: bool | None
    hardware: dict[str, Any]
    rows: list[dict[str, Any]]

    def origin(self) -> str:
        """Return when and where this was measured, as a sentence for the book."""
        commit = f"`{self.commit[:12]}`" if self.commit else "no commit"
        changed = " with uncommitted changes" if self.dirty else ""
        one = self.hardware
        return (
            f"Measured on {self.made} at {commit}{changed} on {one['system']}, {one['cores']} "
            f"cores, {one['memory_gb']} GB, {', '.join(one['gpus']) or 'no GPU'}."
        )


def record(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows with the day, the commit and the hardware of now; whole or not at all."""
    commit, dirty = manifest.git_state()
    content = {
        "made": datetime.now(UTC).date().isoformat(),
        "commit": commit,
        "dirty": dirty,
        "hardware": manifest.hardware(),
        "rows": rows,
    }
    write_text(path, json.dumps(content, indent=1) + "\n")


def read(path: Path) -> Measured:
    """Read what `record` wrote.

    Raises: UserError if the file is not there, or damaged.
    """
    try:
        return Measured.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        why = "is not there" if isinstance(error, OSError) else "is damaged"
        raise UserError(f"{path} {why}: take it from git again") from None
