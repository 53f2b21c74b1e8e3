"""Results of MedVLThinker's kit: merged file and shards, resumed runs."""

from __future__ import annotations

import json

import pytest

from made_logs import COUNTS, QUESTIONS, counts, lines, medvlthinker_rows
from medrl_core.errors import UserError
from medrl_core.score.logs import recognise

BY_INDEX = {f"bones/{at}": COUNTS[one.id] for at, one in enumerate(QUESTIONS)}


@pytest.fixture
def run(tmp_path):
    rows = medvlthinker_rows()
    lines(tmp_path / "shards/dp_0.jsonl", rows[:2])
    lines(tmp_path / "shards/dp_1.jsonl", rows[2:])
    (tmp_path / "args.json").write_text(json.dumps({"model": "m", "temperature": 1.0, "n": 3}))
    (tmp_path / "acc-eval_results.json").write_text(json.dumps({"num_samples": 4}))
    return tmp_path


def test_shards_beside_their_merged_file_count_once(run):
    assert counts(run) == BY_INDEX == counts(run / "shards")
    path = lines(run / "eval_results.jsonl", medvlthinker_rows())
    assert counts(run) == BY_INDEX == counts(path)
    [log] = recognise.read(run)
    assert log.notes == ["2 shards beside eval_results.jsonl hold the same rows: not read"]
    assert log.model == "m" and set(log.completions.temperature) == {1.0}
    assert set(log.items["asked"]) == {3} and log.items.question[0] == QUESTIONS[0].text
    assert counts(run, "stored") == counts(run)
    assert recognise.read(run / "shards/dp_0.jsonl")[0].notes == ["one shard is a part of a run"]


def test_prompts_that_are_messages_and_a_resumed_run(run):
    rows = medvlthinker_rows()
    for row in rows:
        parts = [{"type": "text", "text": row["prompts"]}, {"type": "image_url", "image_url": None}]
        row["prompts"] = [{"role": "user", "content": parts}]
    path = lines(run / "eval_results.jsonl", [*rows, rows[1]])
    assert counts(path) == BY_INDEX
    assert recognise.read(path)[0].notes[-1].startswith("1 rows are there twice")
    other = json.loads(json.dumps(rows[1]))
    other["parsed_outputs"][0]["output_text"] = "another"
    lines(path, [*rows, other])
    with pytest.raises(UserError, match="bones/1 is there twice with other answers"):
        recognise.read(path)


@pytest.mark.parametrize("missing", ["dataset_name", "prompts", "answer_label"])
def test_a_missing_field_is_named(tmp_path, missing):
    rows = medvlthinker_rows()
    del rows[1][missing]
    with pytest.raises(UserError, match=f"row 2 lacks the field '{missing}'"):
        recognise.read(lines(tmp_path / "eval_results.jsonl", rows))
