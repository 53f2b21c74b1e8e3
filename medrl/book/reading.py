"""What the book says of the reader of answers: how often it errs on completions judged by hand.

The numbers are in data/reader-errors.json; `medrl_core.score.reader_errors` counts them.
Run its test: `pytest tests/book/test_reading_page.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from medrl.book import measurements
from medrl.book.measurements import Measured
from medrl_core.report import myst, tables

FILE = "reader-errors.json"
KINDS = {"options": "with options", "closed": "with known answers", "open": "open"}


def functions(data: Path) -> dict[str, Callable[[], str]]:
    """Return what a chapter's template can name; the counts lie in the folder `data`."""
    return {"reader_errors": lambda: reader_errors(measurements.read(data / FILE))}


def reader_errors(found: Measured) -> str:
    """Return a table of the reader's two kinds of errors on the half that it was not fixed on."""
    lines = [
        "| question | answers there | read as another | not read | no answer there | read all the "
        "same |",
        "|:---|---:|---:|---:|---:|---:|",
    ]
    rows = {row["kind"]: row for row in found.rows if row["half"] == "held out"}
    for kind, name in KINDS.items():
        row = rows[kind]
        lines.append(
            f"| {name} | {row['answers']} | {_share(row, 'wrong')} | {_share(row, 'missed')} | "
            f"{row['no_answer']} | {_share(row, 'read')} |"
        )
    return "\n" + "\n".join(lines) + f"\n\n{found.origin()}\n"


def _share(row: dict[str, Any], name: str) -> str:
    ends = (row[f"{name}_share"], row[f"{name}_low"], row[f"{name}_high"])
    return f"{row[name]} ({myst.escape(tables.interval(*ends))})"
