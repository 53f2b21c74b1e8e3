"""The finished cells of a recorded grid: a line of JSON each, in files of one folder.

    with kept(Path("runs/twin/law.jsonl")) as keep:
        keep({"key": cell.key, **run_cell(cell)})
    [one["key"] for one in finished(Path("runs/twin"))]

A run that was killed goes on behind its last whole line.
Run its test: `pytest tests/train/test_twin_grid.py`.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np


def finished(work: Path) -> list[dict]:
    """Read finished cells; a line that a kill cut short is left out, and its cell runs again."""
    rows = []
    for path in sorted(work.glob("*.jsonl")):
        for line in filter(None, path.read_text().splitlines()):
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                continue
    return rows


@contextmanager
def kept(path: Path) -> Iterator[Callable[[dict], None]]:
    """Give a function that appends a finished cell to a file at once; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cut = path.exists() and not path.read_bytes().endswith(b"\n")
    with path.open("a") as file:
        file.write("\n" if cut else "")

        def keep(found: dict) -> None:
            file.write(json.dumps(found) + "\n")
            file.flush()

        yield keep


@lru_cache(maxsize=1)
def commit() -> str:
    """Say which commit of the clone ran first, and whether files differed from it."""
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
        capture_output=True, text=True, cwd=Path(__file__).parent, check=False,
    )  # fmt: skip
    return said.stdout.strip() or "unknown"


def short(p: np.ndarray) -> list[float]:
    """Chances with four digits."""
    return [float(f"{one:.4g}") for one in p]
