"""The record of faults is of the tests that are marked so; its table counts, and escapes texts."""

from __future__ import annotations

import importlib

from test_measured import HEAD

from conftest import ROOT
from medrl.book import faults, measurements
from medrl.book.measurements import Measured


def marked() -> set[tuple[str, ...]]:
    """Return group, fault and promise of each test that is marked."""
    return {
        mark.args
        for path in (ROOT / "tests").rglob("test_*.py")
        if "mark.fault(" in path.read_text()
        for test in vars(importlib.import_module(path.stem)).values()
        for mark in getattr(test, "pytestmark", [])
        if mark.name == "fault"
    }


def test_the_record_is_of_these_tests_no_more_and_no_less():
    rows = measurements.read(ROOT / "data/faults.json").rows
    recorded = {(row["group"], row["what"], row["promise"]) for row in rows}
    assert recorded == marked(), "pytest -m fault --faults data/faults.json --book _build/html"


def test_the_table_counts_by_group_and_escapes():
    row = {"group": "Disk", "what": "a <b> | c of `$(x)`", "promise": "stays"}
    row |= {"tried": 1200, "lost": 0}
    found = Measured(**HEAD, rows=[row, row | {"what": "d", "tried": 1, "lost": 1}])
    text = faults.table(found)
    assert "2 faults, tried 1,201 times in all; 1 of these lost anything" in text
    assert found.origin() in text
    assert text.count("## Disk") == 1 and "| d | stays | [1]{.count} | 1 |" in text
    assert "<b>" not in text and "of `$(x)` | stays | [1,200]{.count} | 0 |" in text
