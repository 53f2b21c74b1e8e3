"""How to cite: CITATION.cff and the commit at hand, as a sentence and as BibTeX."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from medrl.studies import clone, manifest
from medrl_core.errors import UserError
from medrl_core.report import myst

CFF = Path("CITATION.cff")
PAPER = "jeddi2026"


def box(bibliography: Path) -> str:
    """Return the cite-this box of the book: title, version, commit, date and BibTeX.

    Arguments: `bibliography` holds the paper's entry. Raises: UserError if a file lacks its part.
    """
    about = read()
    commit, dirty = manifest.git_state()
    state = f"commit {commit[:12]}" if commit else "not under git"
    state += " with uncommitted changes" * bool(dirty)
    date = manifest.commit_date() or "no date"
    found = re.search(rf"@\w+\{{{PAPER},.*?\n\}}", bibliography.read_text(), re.S)
    if not found:
        raise UserError(f"{bibliography} has no entry {PAPER}")
    return "\n".join(
        [
            ":::{admonition} Cite this companion",
            f"{myst.escape(about['title'])}. Version {about['version']}, {state}, {date}.",
            "",
            "```bibtex",
            bibtex(about, f"{state}, {date}", date[:4]),
            "```",
            ":::",
            "",
            ":::{admonition} Cite the paper",
            f"This book repeats what the paper asked {{cite}}`{PAPER}`.",
            "",
            "```bibtex",
            found[0],
            "```",
            ":::",
        ]
    )


def bibtex(about: dict[str, Any], note: str, year: str) -> str:
    """Return the BibTeX entry of this software."""
    authors = " and ".join(f"{{{one['name']}}}" for one in about["authors"])
    rows = {
        "title": f"{{{about['title']}}}",
        "author": authors,
        "version": about["version"],
        "note": note,
        "year": year if year.isdigit() else "",
    }
    lines = [f"  {key} = {{{value}}}," for key, value in rows.items() if value]
    return "\n".join(["@software{medrl,", *lines, "}"])


def read() -> dict[str, Any]:
    """Read CITATION.cff of the clone."""
    return clone.read_yaml(CFF)
