"""`medrl score` on free answers and on an ordered scale: measures beside Acc@1, never mixed in."""

from __future__ import annotations

import json

import pytest

from running import medrl

FREE = """item,gold,text,correct
1,liver cyst,a large liver cyst,0
2,"liver, spleen",spleen and liver,1
3,fracture,no fracture,0
"""
GRADED = """item,gold,text,correct
1,0,0,1
2,1,2,0
3,2,2,1
4,2,cannot say,0
"""


def scored(tmp_path, text, *options):
    log = tmp_path / "log.csv"
    log.write_text(text)
    out = tmp_path / "out.json"
    done = medrl("score", log, "--json", out, *options)
    assert done.exit_code == 0, done.output
    return json.loads(out.read_text())["logs"][0], done.output


def test_free_answers_have_token_recall_and_f1_beside_exact_match(tmp_path):
    found, text = scored(tmp_path, FREE)
    by = {row["metric"]: row for row in found["open_answers"]}
    assert by["exact match"]["value"] == pytest.approx(1 / 3)
    assert by["token recall"]["value"] == 1  # "no fracture" says the word too
    # Words: "large liver cyst" against "liver cyst", "spleen and liver" against "liver spleen",
    # "no fracture" against "fracture".
    assert by["token F1"]["value"] == pytest.approx((4 / 5 + 4 / 5 + 2 / 3) / 3)
    assert by["token F1"]["definition"] == "llava-med" and by["exact match"]["n_items"] == 3
    assert all(row["low"] < row["value"] or row["value"] == 1 for row in by.values())
    assert "token F1 (llava-med): 75" in text and found["ordinal"] == []


def test_a_scale_is_scored_by_distance_and_unread_answers_are_counted_apart(tmp_path):
    found, text = scored(tmp_path, GRADED, "--grades", "0,1,2")
    by = {row["metric"]: row for row in found["ordinal"]}
    assert by["mean absolute error"]["value"] == pytest.approx(1 / 3)
    # Three read: (0,0), (1,2), (2,2); seen 1/3 of a squared grade, by chance 5/3.
    assert by["quadratic-weighted kappa"]["value"] == pytest.approx(1 - (1 / 3) / (5 / 3))
    assert "(3 read, 1 without a grade)" in text
    assert scored(tmp_path, GRADED)[0]["ordinal"] == []


def test_a_gold_answer_off_the_scale_is_one_line(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text(GRADED)
    done = medrl("score", log, "--grades", "0,1")
    assert done.exit_code == 2
    assert "the gold answer '2' is none of the grades ['0', '1']" in done.output
