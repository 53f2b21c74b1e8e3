"""Records of Every Eval Ever: rows that are samples, filters or metrics; scores of an item."""

from __future__ import annotations

import json

import pytest

from made_logs import COUNTS, QUESTIONS, counts, eee_rows, lines
from medrl_core.errors import UserError
from medrl_core.score.logs import recognise
from medrl_core.score.logs.grading import grade


def test_the_score_of_an_item_is_no_verdict_on_its_samples(tmp_path):
    path = lines(tmp_path / "u_samples.jsonl", eee_rows())
    assert counts(path) == COUNTS
    [log] = recognise.read(path)
    assert (log.dataset, log.model) == ("bones", "made/up")
    assert any("of an item over its samples" in note for note in log.notes)
    told = log.completions.groupby("item_id").stored.count()
    assert told.to_dict() == {"q1": 3, "q2": 0, "q3": 3, "q4": 0}  # a mean of 1 or 0 tells all


def test_scores_of_samples_are_verdicts(tmp_path):
    path = lines(tmp_path / "u_samples.jsonl", eee_rows(score="sample"))
    assert counts(path) == COUNTS == counts(path, "stored")


def test_filters_and_metrics_are_no_samples_and_other_tasks_are_other_logs(tmp_path):
    rows = eee_rows(score="sample")
    second = [row | {"evaluation_result_id": "choice:pass_at_2"} for row in rows]
    path = lines(tmp_path / "u_samples.jsonl", rows + second)
    assert counts(path) == COUNTS
    assert recognise.read(path)[0].notes[0].startswith("2 results (filters or metrics)")
    assert counts(path, "stored", scorer="choice:accuracy") == COUNTS
    with pytest.raises(UserError, match="no result 'x'"):
        recognise.read(path, scorer="x")
    other = [
        row | {"evaluation_name": "other", "evaluation_id": "e2",
               "input": row["input"] | {"raw": "Another " + row["input"]["raw"]}} for row in rows
    ]  # fmt: skip
    assert [log.dataset for log in recognise.read(lines(path, rows + other))] == ["bones", "other"]


def test_references_that_are_indices(tmp_path):
    rows = [
        row | {"input": row["input"] | {"reference": [str(one.index)]},
               "output": {"raw": [one.options[one.index if one.truth[0] else -1]]},
               "evaluation": {"score": float(one.truth[0]), "is_correct": one.truth[0]}}
        for row, one in zip(eee_rows()[:4], QUESTIONS, strict=True)
    ]  # fmt: skip
    path = lines(tmp_path / "u_samples.jsonl", rows)
    assert recognise.read(path)[0].items.gold.tolist() == [(one.gold,) for one in QUESTIONS]
    assert grade(recognise.read(path)[0]).differing.shape[0] == 1  # q3 says its last option, C


def test_several_answers_in_a_row_errors_and_the_aggregate(tmp_path):
    rows = eee_rows(score="sample")[:4]
    for row, one in zip(rows, QUESTIONS, strict=True):
        row["output"] = {"raw": list(one.samples)}
        row["metadata"] = None
    rows.append(rows[0] | {"sample_id": "q9", "output": None, "error": "timeout"})
    path = lines(tmp_path / "u_samples.jsonl", rows)
    about = {"evaluation_results": [{"generation_config": {"generation_args": {"temperature": 1}}}]}
    (tmp_path / "u.json").write_text(json.dumps(about))
    assert counts(path) == COUNTS | {"q9": (0, 0)}
    [log] = recognise.read(path)
    assert set(log.completions.temperature) == {1.0} and grade(log).missing == 1


def test_a_picture_that_was_written_as_pythons_text(tmp_path):
    raw = "What is it? internal=None type='image' image='attachment://ab12' detail='auto'"
    rows = [row | {"input": row["input"] | {"raw": raw}} for row in eee_rows()[:1]]
    items = recognise.read(lines(tmp_path / "u_samples.jsonl", rows))[0].items
    assert items.question[0] == "What is it?" and items.images[0] == ("attachment://ab12",)


def test_epochs_that_are_there_twice_and_missing_fields(tmp_path):
    rows = eee_rows()
    with pytest.raises(UserError, match="sample 0 of item q1 is there twice"):
        recognise.read(lines(tmp_path / "u_samples.jsonl", rows + rows[:1]))
    del rows[1]["input"]["reference"]
    with pytest.raises(UserError, match="row 2 lacks the field 'input.reference'"):
        recognise.read(lines(tmp_path / "u_samples.jsonl", rows))
