"""The table of faults counts by group, and shows nothing unescaped."""

from __future__ import annotations

from medrl_core.report import faults
from medrl_core.report.measured import Measured
from test_measured import HEAD


def test_the_table_counts_by_group_and_escapes():
    row = {"group": "Disk", "what": "a <b> | c", "promise": "stays", "tried": 1200, "lost": 0}
    found = Measured(**HEAD, rows=[row, row | {"what": "d", "tried": 1, "lost": 1}])
    text = faults.table(found)
    assert "2 faults, tried 1,201 times in all; 1 of these lost anything" in text
    assert found.origin() in text
    assert text.count("## Disk") == 1 and "| d | stays | 1 | 1 |" in text
    assert "<b>" not in text and "1,200 | 0 |" in text
