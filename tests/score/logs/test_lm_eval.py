"""Logs of lm-eval: filters are no samples, "True" is no verdict, indices are written as texts."""

from __future__ import annotations

import json

import pytest

from made_logs import COUNTS, QUESTIONS, counts, lines, lm_eval_likelihoods, lm_eval_rows
from medrl_core.errors import UserError
from medrl_core.score.logs import recognise

NAME = "samples_bones_2026-01-01T00-00-00.123456.jsonl"


def test_all_samples_of_a_row_are_read_again(tmp_path):
    path = lines(tmp_path / "made__up" / NAME, lm_eval_rows())
    assert counts(path) == COUNTS
    [log] = recognise.read(path)
    assert (log.dataset, log.model) == ("bones", "made/up")
    assert "verdicts" in log.lacks and set(log.completions.temperature) == {0.7}
    assert any("is of the filtered answer" in note for note in log.notes)


def test_filters_are_no_samples(tmp_path):
    path = lines(tmp_path / NAME, lm_eval_rows(("first", "maj@3")))
    assert counts(path) == COUNTS
    assert "2 filters of the same samples: first, maj@3" in recognise.read(path)[0].notes
    old = [{k: v for k, v in row.items() if k not in ("filter", "metrics")}
           for row in lm_eval_rows(("first", "maj@3"))]  # fmt: skip
    assert counts(lines(tmp_path / "old.jsonl", old)) == COUNTS
    old[-1]["resps"] = [["other"]]
    with pytest.raises(UserError, match="doc_id 3 is there twice"):
        recognise.read(lines(tmp_path / "mixed.jsonl", old))


def test_a_greedy_run_has_verdicts_and_no_samples(tmp_path):
    rows = lm_eval_rows()
    for row, one in zip(rows, QUESTIONS, strict=True):
        row["resps"] = [[one.samples[0]]]
        row["arguments"]["gen_args_0"]["arg_1"] = {"do_sample": False}
    path = lines(tmp_path / NAME, rows)
    [log] = recognise.read(path)
    assert log.completions.greedy.all() and "samples" in log.lacks
    assert counts(path) == {"q1": (1, 1), "q2": (1, 1), "q3": (1, 0), "q4": (1, 1)}
    assert counts(path, "stored") == counts(path)


@pytest.mark.parametrize("texts", [True, False])
@pytest.mark.parametrize("target", ["index", "letter", "text"])
def test_log_likelihoods_choose_the_most_likely_option(tmp_path, texts, target):
    path = lines(tmp_path / NAME, lm_eval_likelihoods(texts, target))
    right = {"0": (1, 1), "1": (1, 0), "2": (1, 0), "3": (1, 1)}
    assert counts(path) == right
    [log] = recognise.read(path)
    assert "texts" in log.lacks and "samples" in log.lacks
    assert any("no Pass@K" in note for note in log.notes)


def test_numbers_as_options_are_read_as_the_verdicts_say(tmp_path):
    """Options 1, 2, 3 and the target "1": an index, or the text of the first?"""
    for meant, best in (("index", 1), ("text", 0)):
        row = {
            "doc_id": 0, "doc": {"q": "How many?"}, "target": "1", "filter": "none",
            "metrics": ["acc"], "acc": 1.0,
            "arguments": {f"gen_args_{i}": {"arg_0": "How many?", "arg_1": f" {i + 1}"}
                          for i in range(3)},
            "resps": [[["-0.1" if i == best else "-9", "False"]] for i in range(3)],
            "filtered_resps": [],
        }  # fmt: skip
        path = lines(tmp_path / f"{meant}.jsonl", [row])
        assert recognise.read(path)[0].items.gold[0] == (("B",) if meant == "index" else ("A",))


def test_arguments_and_golds_of_older_versions(tmp_path):
    rows = lm_eval_rows(target="['Femur', 'thigh']")[:1]
    rows[0]["arguments"] = [["How is it called?", {"do_sample": True, "temperature": 1.0}]]
    rows[0]["doc"] = {"doc": "q"}
    rows[0]["resps"] = [["<answer>thigh</answer>", "<answer>knee</answer>"]]
    path = lines(tmp_path / NAME, rows)
    assert counts(path) == {"0": (2, 1)}
    assert recognise.read(path)[0].items.gold[0] == ("Femur", "thigh")
    solved = lm_eval_rows(target="Half of 8 is 4.\n#### 4")[:1]
    solved[0] |= {"doc": {}, "resps": [["The answer is 4.", "The answer is 5."]],
                  "arguments": [["What is half of 8?", {}]]}  # fmt: skip
    assert counts(lines(tmp_path / "b.jsonl", solved)) == {"0": (2, 1)}


def test_options_in_the_prompt_or_in_columns(tmp_path):
    rows = lm_eval_rows()
    for row in rows:
        row["doc"] = {"id": row["doc"]["id"]}
    assert counts(lines(tmp_path / "prompt.jsonl", rows)) == COUNTS
    for row, one in zip(rows, QUESTIONS, strict=True):
        row["doc"] |= dict(zip("ABC", one.options, strict=False))
        row["arguments"]["gen_args_0"]["arg_0"] = "?"
    assert counts(lines(tmp_path / "columns.jsonl", rows)) == COUNTS


def test_repeats_that_the_file_lacks_are_said(tmp_path):
    results = {"model_name": "org/m", "configs": {"bones": {"repeats": 8}}}
    (tmp_path / "results_2026-01-01T00-00-00.123456.json").write_text(json.dumps(results))
    [log] = recognise.read(lines(tmp_path / NAME, lm_eval_rows()))
    assert log.model == "org/m"
    assert "the task drew 8 samples an item, the file keeps fewer" in log.notes


def test_a_folder_of_tasks_is_a_log_each_and_copies_are_refused(tmp_path):
    lines(tmp_path / "samples_a_2026-01-01T00-00-00.jsonl", lm_eval_rows())
    lines(tmp_path / "samples_b_2026-01-01T00-00-00.jsonl", lm_eval_likelihoods())
    assert [log.dataset for log in recognise.read(tmp_path)] == ["a", "b"]
    lines(tmp_path / "samples_a_2026-01-02T00-00-00.jsonl", lm_eval_rows())
    with pytest.raises(UserError, match="is a copy of"):
        recognise.read(tmp_path)


def test_perplexities_are_no_answers(tmp_path):
    rows = lm_eval_rows()
    rows[0]["resps"] = [[-123.4]]
    with pytest.raises(UserError, match="row 1 has answers that are neither texts nor"):
        recognise.read(lines(tmp_path / NAME, rows))


@pytest.mark.parametrize("missing", ["target", "resps"])
def test_a_missing_field_is_named(tmp_path, missing):
    rows = lm_eval_rows()
    del rows[2][missing]
    with pytest.raises(UserError, match=f"row 3 lacks the field '{missing}'"):
        recognise.read(lines(tmp_path / NAME, rows))
