"""The table of faults counts by group, and shows nothing unescaped."""

from __future__ import annotations

from medrl_core.report import faults


def test_the_table_counts_by_group_and_escapes():
    row = {"group": "Disk", "what": "a <b> | c", "promise": "stays", "tried": 1200, "lost": 0}
    found = faults.Faults(
        made="2026-11-25",
        commit="0123456789abcdef",
        dirty=False,
        hardware={"system": "Linux", "cores": 2},
        rows=[faults.Row(**row), faults.Row(**row | {"what": "d", "tried": 1, "lost": 1})],
    )
    text = faults.table(found)
    assert "2 faults, tried 1,201 times in all; 1 of these lost anything" in text
    assert "on 2026-11-25 at `0123456789ab` on Linux, 2 cores" in text
    assert text.count("## Disk") == 1 and "| d | stays | 1 | 1 |" in text
    assert "<b>" not in text and "1,200 | 0 |" in text
