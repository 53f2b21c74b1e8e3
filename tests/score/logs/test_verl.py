"""Dumps of verl: steps are policies, a reward is no verdict, items have no id."""

from __future__ import annotations

import pytest

from made_logs import SORTED, counts, lines, verl_rows
from medrl_core.errors import UserError
from medrl_core.score.logs import recognise
from medrl_core.score.logs.grading import grade


def test_rows_of_one_prompt_are_samples_of_an_item(tmp_path):
    path = lines(tmp_path / "3.jsonl", verl_rows(3))
    assert sorted(counts(path).values()) == SORTED == sorted(counts(path, "stored").values())
    [log] = recognise.read(path)
    assert log.steps == [3] and log.scorer == "score"
    assert log.completions.greedy.isna().all()


def test_steps_of_a_folder_are_a_series_and_never_pooled(tmp_path):
    for step in (0, 10):
        lines(tmp_path / "val" / f"{step}.jsonl", verl_rows(step))
    lines(tmp_path / "train/1.jsonl", verl_rows(1, extra=1))
    train, val = recognise.read(tmp_path)
    assert (train.steps, val.steps) == ([1], [0, 10])
    assert all(n == 3 for n, _ in counts(tmp_path / "val").values())
    lines(tmp_path / "val/11.jsonl", verl_rows(10))
    with pytest.raises(UserError, match="both hold step 10"):
        recognise.read(tmp_path / "val")


def test_a_reward_is_no_verdict_but_acc_is(tmp_path):
    rows = [row | {"score": row["score"] + 0.1, "acc": bool(row["score"])} for row in verl_rows(1)]
    path = lines(tmp_path / "1.jsonl", rows)
    assert sorted(counts(path, "stored").values()) == SORTED
    for row in rows:
        del row["acc"]
    path = lines(tmp_path / "1.jsonl", rows)
    [log] = recognise.read(path)
    assert "verdicts" in log.lacks and any("is a reward with other" in note for note in log.notes)
    assert sorted(counts(path).values()) == SORTED
    assert sorted(counts(path, "stored", scorer="format").values()) == [(3, 3)] * 4 if (
        lines(path, [row | {"format": 1} for row in rows])) else None  # fmt: skip


def test_old_rows_have_no_gold_answer_and_dicts_hold_one(tmp_path):
    rows = verl_rows(2)
    old = [{k: v for k, v in row.items() if k not in ("gts", "step")} for row in rows]
    path = lines(tmp_path / "2.jsonl", old)
    [log] = recognise.read(path)
    assert log.steps == [2] and "gold" in log.lacks
    assert sorted(counts(path).values()) == SORTED
    assert any("follow from the answers" in note for note in grade(log).notes)
    held = [row | {"gts": {"ground_truth": row["gts"], "style": "rule"}} for row in rows]
    assert sorted(counts(lines(path, held)).values()) == SORTED
    with pytest.raises(UserError, match="not named by its step"):
        recognise.read(lines(tmp_path / "rollouts.jsonl", old))


def test_one_prompt_with_two_gold_answers_is_two_items(tmp_path):
    rows = verl_rows(1) + [row | {"gts": "C"} for row in verl_rows(1)]
    assert len(counts(lines(tmp_path / "1.jsonl", rows))) == 7  # q3 has C already: 6 samples


@pytest.mark.parametrize("missing", ["input", "output"])
def test_a_missing_field_is_named(tmp_path, missing):
    rows = verl_rows(1)
    del rows[4][missing]
    with pytest.raises(UserError, match=f"row 5 lacks the field '{missing}'"):
        recognise.read(lines(tmp_path / "1.jsonl", rows))
