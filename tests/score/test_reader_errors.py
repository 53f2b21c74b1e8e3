"""The reader on judged completions of a real model, and the table of its errors by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medrl_core.score.reader_errors import error_table, outcome

JUDGED = [
    json.loads(line)
    for line in (Path(__file__).parent / "judged_completions.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]
RECORD = Path(__file__).parents[2] / "data/reader-errors.json"
TEXT = {"half": "x", "kind": "options", "options": ["cat", "dog"], "labels": []}


def test_each_half_has_fifty_of_each_kind():
    assert len({one["id"] for one in JUDGED}) == len(JUDGED) == 300
    for half in ("seen", "held out"):
        for kind in ("options", "closed", "open"):
            assert sum(one["half"] == half and one["kind"] == kind for one in JUDGED) == 50


def test_errors_do_not_grow():
    """As measured when the half "held out" was judged; a wrong reading is worse than none."""
    found = error_table(JUDGED).groupby("kind")[["wrong", "missed", "read"]].sum()
    assert found.loc["known answers", "wrong"] == 0
    assert found.loc["known answers", "read"] <= 3
    assert found.loc["known answers", "missed"] <= 15
    assert found.loc["open", "wrong"] <= 5
    assert found.loc["open", "read"] <= 1
    assert found.loc["open", "missed"] <= 30


def test_the_record_is_of_this_reader():
    recorded = json.loads(RECORD.read_text())["rows"]
    assert recorded == json.loads(json.dumps(error_table(JUDGED).to_dict("records")))


@pytest.mark.parametrize("text, want, is_so", [
    ("The answer is B.", "B", "right"), ("The answer is B.", "A", "wrong"),
    ("The answer is B.", None, "read"), ("Who knows?", None, "none"), ("Who knows?", "A", "missed"),
    ("The answer is B.", ["A", "B"], "right"),
])  # fmt: skip
def test_outcome(text, want, is_so):
    assert outcome({**TEXT, "text": text, "want": want}) == is_so


def test_table_by_hand():
    """3 answers: 1 right, 1 wrong, 1 missed; 2 without: 1 read. Wilson, z = 1.96, by hand."""
    judged = [
        {**TEXT, "text": text, "want": want}
        for text, want in [
            ("The answer is B.", "B"), ("The answer is B.", "A"), ("Who knows?", "A"),
            ("The answer is B.", None), ("Who knows?", None),
        ]
    ]  # fmt: skip
    table = error_table(judged).set_index("kind")
    assert list(table.index) == ["known answers", "options"]
    row = table.loc["options"]
    assert [row[name] for name in ("n", "answers", "right", "wrong", "missed")] == [5, 3, 1, 1, 1]
    assert (row.no_answer, row.read, row.read_share) == (2, 1, 0.5)
    # (1/3 + z²/6 ± z sqrt(2/27 + z²/36)) / (1 + z²/3)
    assert row.wrong_low == pytest.approx(0.0615, abs=2e-4)
    assert row.wrong_high == pytest.approx(0.7923, abs=2e-4)
