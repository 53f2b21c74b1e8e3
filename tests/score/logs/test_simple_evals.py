"""Results of simple-evals: own orders of options, golds and scores out of HTML."""

from __future__ import annotations

import json

import pytest

from made_logs import SORTED, counts, simple_evals
from medrl_core.errors import UserError
from medrl_core.score.logs import recognise

NAME = "gpqa_made-up_20260101_000000_allresults.json"


def write(folder, content, name=NAME):
    (folder / name).write_text(json.dumps(content))
    return folder / name


def test_each_sample_is_read_in_its_own_order(tmp_path):
    path = write(tmp_path, simple_evals())
    write(tmp_path, {"chars": 3.0, "chars:std": 0.0, "score": 0.5, "score:std": 0.1}, "short.json")
    assert sorted(counts(path).values()) == SORTED == sorted(counts(path, "stored").values())
    assert sorted(counts(tmp_path).values()) == SORTED
    [log] = recognise.read(path)
    assert (log.dataset, log.model) == ("gpqa", "made-up")
    assert log.notes == ["7 samples saw their options in an order of their own"]


def test_open_answers_and_escaped_html(tmp_path):
    content = {"score": 1, "metrics": {}, "metadata": None}
    content["convos"] = [[{"role": "user", "content": "2 < ?"}, {"role": "assistant", "content": a}]
                         for a in ("<answer>3 & 4</answer>", "5")]  # fmt: skip
    content["htmls"] = [f"<h3>Results</h3><pre>Correct Answer: 3 &amp; 4 </pre><p>Score: {s}</p>"
                        for s in ("True", "False")]  # fmt: skip
    path = write(tmp_path, content)
    assert list(counts(path).values()) == [(2, 1)] == list(counts(path, "read").values())


def test_files_without_answers_and_golds_that_change_are_refused(tmp_path):
    path = write(tmp_path, {"chars": 3.0, "chars:std": 0.0, "score": 0.5})
    with pytest.raises(UserError, match="holds averages only"):
        recognise.read(path)
    content = simple_evals()
    content["htmls"][5] = content["htmls"][5].replace("Correct Answer: ", "Correct Answer: Z")
    with pytest.raises(UserError, match="1 samples have another gold answer"):
        recognise.read(write(tmp_path, content))
    content = simple_evals()
    content["convos"].pop()
    with pytest.raises(UserError, match="11 chats but 12 pages"):
        recognise.read(write(tmp_path, content))
