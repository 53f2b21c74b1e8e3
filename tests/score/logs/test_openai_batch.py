"""Output of the Batch API: n choices or numbered requests, failures, golds from beside."""

from __future__ import annotations

import pytest

from made_logs import COUNTS, batch_rows, counts, gold_rows, lines
from medrl_core.errors import UserError
from medrl_core.score.logs import recognise
from medrl_core.score.logs.grading import grade


@pytest.mark.parametrize("numbered", [False, True])
def test_choices_and_numbered_requests(tmp_path, numbered):
    asked, answered = batch_rows(numbered)
    out = lines(tmp_path / "out.jsonl", answered)
    lines(tmp_path / "in.jsonl", asked)
    lines(tmp_path / "gold.jsonl", gold_rows())
    assert counts(out) == COUNTS == counts(tmp_path)
    [log] = recognise.read(out)
    assert log.model == "made-1" and set(log.completions.temperature) == {0.8}
    assert set(log.items["asked"]) == {3}


def test_requests_of_one_prompt_are_samples_without_golds_beside(tmp_path):
    asked, answered = batch_rows(numbered=True)
    out = lines(tmp_path / "out.jsonl", answered)
    lines(tmp_path / "in.jsonl", asked)
    with pytest.raises(UserError, match="neither gold answers nor verdicts: give --gold FILE"):
        grade(recognise.read(out)[0])
    gold = recognise.read_golds(lines(tmp_path / "elsewhere" / "g.jsonl", gold_rows()))
    assert counts(out, gold=gold) == COUNTS
    (tmp_path / "in.jsonl").unlink()
    assert len(recognise.read(out)[0].items) == 4  # ids that differ in a last number


def test_failures_are_missing_and_a_request_sent_again_counts_once(tmp_path):
    asked, answered = batch_rows(numbered=True)
    failed = {"status_code": 429, "body": {"error": {"message": "slow down"}}}
    lines(tmp_path / "in.jsonl", asked)
    lines(tmp_path / "gold.jsonl", gold_rows())
    lost = [row for row in answered if row["custom_id"] in ("q1-1", "q2-0")]
    out = lines(tmp_path / "out.jsonl", [row for row in answered if row not in lost])
    lines(tmp_path / "err.jsonl", [row | {"response": failed} for row in lost])
    assert counts(out) == COUNTS | {"q1": (2, 2), "q2": (2, 1)}
    assert grade(recognise.read(out)[0]).missing == 2
    (tmp_path / "err.jsonl").unlink()  # what is in no file is missing as well
    assert counts(out) == COUNTS | {"q1": (2, 2), "q2": (2, 1)}
    lines(out, [*answered, lost[0] | {"response": failed}])
    assert counts(out) == COUNTS
    with pytest.raises(UserError, match="custom_id q4-2 is there twice"):
        recognise.read(lines(out, [*answered, answered[0]]))


def test_cut_off_refused_and_reasoned_answers(tmp_path):
    _, answered = batch_rows()
    lines(tmp_path / "gold.jsonl", gold_rows())
    choices = answered[-1]["response"]["body"]["choices"]  # of q1
    choices[0] |= {"message": {"content": None}, "finish_reason": "length"}
    choices[1]["message"] = {"content": None, "refusal": "I cannot help"}
    choices[2]["message"]["reasoning_content"] = "<answer>A</answer>"
    out = lines(tmp_path / "out.jsonl", answered)
    assert counts(out) == COUNTS | {"q1": (3, 1)}
    log = recognise.read(out)[0].completions.set_index(["item_id", "sample_index"])
    assert log.text["q1", 0] == "" and log.finish_reason["q1", 0] == "length"
    assert log.text["q1", 1] == "I cannot help"
    assert log.text["q1", 2].startswith("<think><answer>A</answer></think>")


def test_the_responses_api(tmp_path):
    lines(tmp_path / "gold.jsonl", gold_rows())
    body = {"model": "m", "status": "completed", "output": [
        {"type": "reasoning", "summary": []},
        {"type": "message", "content": [{"type": "output_text", "text": "<answer>B</answer>"}]},
    ], "usage": {"output_tokens": 7}}  # fmt: skip
    row = {"custom_id": "q1", "response": {"status_code": 200, "body": body}, "error": None}
    out = lines(tmp_path / "out.jsonl", [row])
    assert counts(out) == {"q1": (1, 1)}
    assert recognise.read(out)[0].completions.n_tokens[0] == 7


def test_two_models_are_not_pooled(tmp_path):
    _, answered = batch_rows()
    for row in answered[:2]:
        row["response"]["body"]["model"] = "other"
    with pytest.raises(UserError, match="mixes answers of made-1, other"):
        recognise.read(lines(tmp_path / "out.jsonl", answered))
