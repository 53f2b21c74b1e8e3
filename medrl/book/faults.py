"""The table of faults: what the tests marked `fault` broke, how often, and what was lost."""

from __future__ import annotations

import html
import re

from medrl.book.measurements import Measured
from medrl_core.report import myst


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
            f"| {_words(row['what'])} | {_words(row['promise'])} | [{row['tried']:,}]{{.count}} "
            f"| {row['lost']} |"
            for row in found.rows
            if row["group"] == group
        ]
    return "\n" + "\n".join(lines) + "\n"


def _words(text: str) -> str:
    """Return a text of the table, with what stands between backticks as code."""
    return re.sub("&#96;(.+?)&#96;", lambda code: f"`{html.unescape(code[1])}`", myst.escape(text))
