"""A book of five pages in the current folder, for tests that build it many times.

`pytest tests/studies/test_killed.py tests/commands/test_disk.py` use it.
"""

from __future__ import annotations

from pathlib import Path

from conftest import ROOT

TOC = """
format: jb-book
root: index
chapters: [{file: faults}, {file: labs/01_support}, {file: runs/02_support}, {file: references}]
"""
LINKED = (
    "_config.yml", "CITATION.cff", "book/_ext", "book/_static", "book/extra", "book/faults.md",
    "book/labs/01_support.ipynb", "book/references.bib", "book/references.md",
)  # fmt: skip


def write() -> None:
    """Write its sources: a first page, the table of contents, and links to those of the book."""
    data = [f"data/{path.name}" for path in (ROOT / "data").iterdir() if path.is_file()]
    for name in (*LINKED, *data):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).symlink_to(ROOT / name)
    Path("book/index.md").write_text("# Toy\n\n{{ about() }} {cite}`yang2023`\n")
    Path("book/_toc.yml").write_text(TOC)
