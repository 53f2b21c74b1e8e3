"""The page on the reader of answers shows the counts that are recorded, and of the right half."""

from __future__ import annotations

import json

import pytest

from conftest import ROOT
from medrl.book import reading


def test_the_page_shows_the_half_that_the_reader_was_not_fixed_on():
    rows = json.loads((ROOT / "data" / reading.FILE).read_text())["rows"]
    shown = reading.functions(ROOT / "data")["reader_errors"]()
    for kind in reading.KINDS:
        (row,) = [one for one in rows if (one["half"], one["kind"]) == ("held out", kind)]
        line = next(line for line in shown.splitlines() if reading.KINDS[kind] in line)
        assert f"| {row['answers']} |" in line and f"| {row['no_answer']} |" in line
        assert f"{row['wrong']} ({100 * row['wrong_share']:.1f}%" in line


@pytest.mark.parametrize("kind", reading.KINDS)
def test_the_interval_of_a_share_is_not_of_zero_width(kind):
    rows = json.loads((ROOT / "data" / reading.FILE).read_text())["rows"]
    for row in rows:
        if row["kind"] == kind and row["answers"]:
            assert row["wrong_high"] > row["wrong_low"]
