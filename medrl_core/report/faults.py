"""The table of faults: what the tests marked `fault` broke, how often, and what was lost.

Make its numbers again: pytest -m fault --book _build/html --faults data/faults.json. Test: pytest
tests/test_faults.py
"""

from __future__ import annotations

from medrl_core.report import myst
from medrl_core.report.measured import Measured


def table(found: Measured) -> str:
    """Return a sentence on all faults, and one table a group with a line a fault.

    Arguments: `found` has rows of group, what was broken, the promise that has to hold, and how
    often it was tried and lost.
    """
    tried, lost = (sum(row[name] for row in found.rows) for name in ("tried", "lost"))
    lines = [
        f"{len(found.rows)} faults, tried {tried:,} times in all; {lost or 'none'} of these lost "
        f"anything. {found.origin()}",
    ]
    for group in dict.fromkeys(row["group"] for row in found.rows):
        lines += ["", f"## {group}", "", "| fault | what has to hold | tried | lost |"]
        lines += ["|:---|:---|---:|---:|"]
        lines += [
            f"| {myst.escape(row['what'])} | {myst.escape(row['promise'])} | {row['tried']:,} "
            f"| {row['lost']} |"
            for row in found.rows
            if row["group"] == group
        ]
    return "\n" + "\n".join(lines) + "\n"
