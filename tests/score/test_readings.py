"""The other readings of completions, case by case, and the counts of rules by hand."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

import tiny
from medrl_core.score.readings import by_parser, official_order, rule_counts, strict

MCQ = tiny.plain_item()  # A) cat B) dog
OPEN = replace(MCQ, options=None, label_set=("cat", "dog"), gold="dog", answer_format="open")
CASES = [
    # text, strict tag, ours, official order
    ("<think>x</think><answer>B</answer>", "B", "B", "B"),
    ("<answer>Dog.</answer>", "B", "B", "B"),
    ("<answer>b</answer>", "B", "B", "B"),
    ("<answer>I think B</answer>", None, "B", None),
    ("<answer>C</answer>", None, None, None),
    ("A chest X-ray shows a dog, so the option is B", None, "B", "A"),
    ("The answer is B", None, "B", "B"),
    ("<answer>B", None, "B", None),
    ("nothing", None, None, None),
]


@pytest.mark.parametrize(("text", "tag", "ours", "official"), CASES)
def test_case(text, tag, ours, official):
    assert strict(text, MCQ) == tag
    assert official_order(text, MCQ) == official
    frame = pd.DataFrame({"item_id": ["plain"], "text": [text], "gold": ["B"]})
    read = {name: table.parsed.iloc[0] for name, table in by_parser(frame, [MCQ]).items()}
    assert read == {"strict tag": tag, "ours": ours, "official order": official}


def test_open_answers_are_read_from_the_tag():
    for read in (strict, official_order):
        assert read("<answer>The dog.</answer>", OPEN) == "dog"
        assert read("A dog", OPEN) is None and read("<answer> </answer>", OPEN) is None


def test_each_parser_marks_its_own_answers():
    texts = ["<answer>I think B</answer>", "A dog is seen: B", "<answer>B</answer>"]
    frame = pd.DataFrame({"item_id": "plain", "text": texts, "gold": "B", "n": [1, 2, 3]})
    right = {name: table.correct.tolist() for name, table in by_parser(frame, [MCQ]).items()}
    assert right["strict tag"] == [False, False, True]
    assert right["official order"] == [False, False, True]
    assert right["ours"][0] and right["ours"][2]


def test_rules_are_counted():
    frame = pd.DataFrame(
        {"parse_rule": ["tag", "cue", "tag", "tag", "none"], "sample_index": [-1, -1, 0, 1, 0]}
    )
    table = rule_counts(frame)
    assert table.to_dict("list") == {
        "rule": ["tag", "tag", "cue", "none"],
        "answers": ["greedy", "sampled", "greedy", "sampled"],
        "value": [1, 2, 1, 1],
        "share": [0.5, pytest.approx(2 / 3), 0.5, pytest.approx(1 / 3)],
    }
