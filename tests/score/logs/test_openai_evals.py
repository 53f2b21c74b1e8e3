"""Records of openai/evals: events joined by sample."""

from __future__ import annotations

import pytest

from made_logs import counts, lines, openai_events
from medrl_core.errors import UserError
from medrl_core.score.logs import recognise

FIRST = {"q1": (1, 1), "q2": (1, 1), "q3": (1, 0), "q4": (1, 1)}


def test_a_match_judges_the_text_before_it(tmp_path):
    path = lines(tmp_path / "r.jsonl", openai_events())
    assert counts(path) == FIRST == counts(path, "stored")
    [log] = recognise.read(path)
    assert (log.model, log.dataset) == ("made", "bones")


def test_events_in_any_order_and_a_thought_before_the_answer(tmp_path):
    rows = openai_events()
    thought = rows[2] | {"event_id": -1, "data": {"prompt": "Think", "sampled": "Hm."}}
    path = lines(tmp_path / "r.jsonl", [rows[0], *rows[:1:-1], thought])
    assert counts(path) == FIRST


def test_repeats_lists_and_missing_matches(tmp_path):
    rows = openai_events()
    again = [row | {"event_id": 100 + at} for at, row in enumerate(rows[2:])]
    path = lines(tmp_path / "r.jsonl", rows + again)
    assert counts(path) == {name: (2, 2 * right) for name, (_, right) in FIRST.items()}
    only = [row for row in rows if row.get("type") != "match"]
    [log] = recognise.read(lines(path, only))
    assert "gold" in log.lacks and any("no event of type match" in note for note in log.notes)
    with pytest.raises(UserError, match="only metrics"):
        recognise.read(lines(path, [rows[0], rows[2] | {"type": "metrics", "data": {}}]))
    del rows[3]["sample_id"]
    with pytest.raises(UserError, match="row 4 lacks the field 'sample_id'"):
        recognise.read(lines(path, rows))
