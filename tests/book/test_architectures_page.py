"""The book's table of architectures says what was recorded, and the record is of all of them."""

from __future__ import annotations

from test_measured import HEAD

from architectures import ARCHITECTURES
from conftest import ROOT
from medrl.book import architectures, measurements
from medrl.book.measurements import Measured


def test_the_record_is_of_these_architectures_no_more_and_no_less():
    rows = measurements.read(ROOT / "data/architectures.json").rows
    assert {row["architecture"] for row in rows} == set(ARCHITECTURES), (
        "pytest tests/models/test_architectures.py --architectures data/architectures.json"
    )


def test_the_table_counts_what_works_and_numbers_reasons():
    row = {"architecture": "one", "about": "a <b>.", "versions": "v 1", "decoding": "shared"}
    row |= {"evaluate": True, "probe": True, "sft": True, "rl": True}
    other = {"architecture": "two", "decoding": "generate", "sft": "too wide", "rl": "too wide"}
    text = architectures.table(Measured(**HEAD, rows=[row, row | other]))
    assert "1 of 2 architectures do all of it. With v 1. Measured on 2026-11-25" in text
    assert "<b>" not in text
    assert "| yes | yes | yes | yes | own, prompt shared |" in text
    assert "| yes | yes | refused (1) | refused (1) | `generate` |" in text
    assert "Refused: (1) too wide." in text
