"""The table of architectures: what tiny models of each did in the tests, and how they decode."""

from __future__ import annotations

from medrl.book.measurements import Measured
from medrl_core.report import myst

TRIED = {"evaluate": "evaluate", "probe": "probe the tower", "sft": "SFT", "rl": "RL"}
DECODING = {
    "shared": "own, prompt shared",
    "copied": "own, prompt copied",
    "generate": "`generate`",
}


def table(found: Measured) -> str:
    """Return a sentence on all architectures, and a table with a line for each.

    Arguments: `found` has rows of architecture, what it is, versions, whether each of `TRIED`
    worked (or the reason why it is refused), and the way of decoding.
    """
    whole = sum(all(row[name] is True for name in TRIED) for row in found.rows)
    versions = " and ".join(sorted({row["versions"] for row in found.rows}))
    reasons: list[str] = []
    lines = []
    for row in found.rows:
        cells = [f"`{row['architecture']}`", myst.escape(row["about"].rstrip("."))]
        for name in TRIED:
            if row[name] is True:
                cells.append("yes")
                continue
            if row[name] not in reasons:
                reasons.append(row[name])
            cells.append(f"refused ({reasons.index(row[name]) + 1})")
        lines.append(" | ".join(["", *cells, DECODING[row["decoding"]], ""]).strip())
    numbered = "; ".join(f"({i}) {myst.escape(why)}" for i, why in enumerate(reasons, start=1))
    head = ["architecture", "", *TRIED.values(), "decoding"]
    return "\n".join(
        [
            "",
            f"{whole} of {len(found.rows)} architectures do all of it. With "
            f"{myst.escape(versions)}. {found.origin()}",
            "",
            f"| {' | '.join(head)} |",
            "|:---" * len(head) + "|",
            *lines,
            "",
            *([f"Refused: {numbered}.", ""] if reasons else []),
        ]
    )
