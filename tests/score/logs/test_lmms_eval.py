"""Logs of lmms-eval: texts that are flattened or left out, samples that were not kept."""

from __future__ import annotations

import json

import pytest

from made_logs import COUNTS, QUESTIONS, counts, lines, lmms_rows
from medrl_core.errors import UserError
from medrl_core.score.logs import recognise

NAME = "20260101_000000_samples_bones.jsonl"
BY_INDEX = {str(at): COUNTS[one.id] for at, one in enumerate(QUESTIONS)}


def results(folder, repeats=3, **kwargs):
    config = {"repeats": repeats, "generation_kwargs": kwargs}
    content = {"model_name": "org/vl", "configs": {"bones": config}}
    (folder / "20260101_000000_results.json").write_text(json.dumps(content))


def test_all_samples_of_a_row(tmp_path):
    results(tmp_path, temperature=0.7, do_sample=True)
    path = lines(tmp_path / NAME, lmms_rows())
    assert counts(path) == BY_INDEX
    [log] = recognise.read(path)
    assert (log.format, log.dataset, log.model) == ("lmms-eval", "bones", "org/vl")
    assert set(log.completions.temperature) == {0.7} and "verdicts" in log.lacks


def test_one_text_is_a_text_and_left_out_where_it_equals_the_filtered_one(tmp_path):
    results(tmp_path, repeats=1, temperature=0)
    rows = [row | {"resps": row["resps"][0]} for row in lmms_rows()]
    first = {str(at): (1, int(one.truth[0])) for at, one in enumerate(QUESTIONS)}
    assert counts(lines(tmp_path / NAME, rows)) == first
    for row in rows:
        row["filtered_resps"] = row.pop("resps")
    path = lines(tmp_path / NAME, rows)
    assert counts(path) == first == counts(path, "stored")
    assert recognise.read(path)[0].completions.greedy.all()


def test_samples_that_were_drawn_and_not_kept_are_said(tmp_path):
    results(tmp_path, repeats=3, temperature=0.7)
    path = lines(tmp_path / NAME, [row | {"resps": row["resps"][0]} for row in lmms_rows()])
    assert all(n == 1 for n, _ in counts(path).values())
    [log] = recognise.read(path)
    assert log.notes[0].startswith("3 samples an item were drawn, but the file keeps 1")
    assert "verdicts" in log.lacks  # the metric may be of a majority


def test_a_verdict_inside_a_metric_and_a_gold_answer_inside_another(tmp_path):
    rows = [
        {k: v for k, v in row.items() if k != "acc"} | {
            "resps": row["resps"][0], "target": "",
            "vqa": {"id": one.id, "answer": one.gold, "score": float(one.truth[0])}}
        for row, one in zip(lmms_rows(), QUESTIONS, strict=True)
    ]  # fmt: skip
    path = lines(tmp_path / NAME, rows)
    assert counts(path) == counts(path, "stored")
    assert recognise.read(path)[0].scorer == "vqa"


def test_older_rows_with_doc_and_arguments(tmp_path):
    rows = [
        {"doc_id": at, "target": one.gold, "doc": {"options": one.options},
         "arguments": [[one.prompt, {"temperature": 0}]], "resps": [[text for text in one.samples]],
         "filtered_resps": one.samples[:1]}
        for at, one in enumerate(QUESTIONS)
    ]  # fmt: skip
    assert counts(lines(tmp_path / NAME, rows)) == BY_INDEX
    assert recognise.read(tmp_path)[0].format == "lmms-eval"


def test_faults_are_named(tmp_path):
    rows = lmms_rows()
    with pytest.raises(UserError, match="doc_id 0 is there twice"):
        recognise.read(lines(tmp_path / NAME, rows + rows[:1]))
    rows[1]["resps"] = [1.5]
    with pytest.raises(UserError, match="row 2 has answers that are no texts"):
        recognise.read(lines(tmp_path / NAME, rows))
    del rows[1]["resps"], rows[1]["filtered_resps"]
    with pytest.raises(UserError, match="row 2 lacks the field 'filtered_resps'"):
        recognise.read(lines(tmp_path / NAME, rows))
