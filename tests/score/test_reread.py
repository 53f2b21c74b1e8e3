"""Stored texts read again and compared with the stored verdicts."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

import tiny
from medrl_core.errors import UserError
from medrl_core.score.reread import reread

ITEM = tiny.plain_item()  # A) cat B) dog; gold B


def rows(texts, parsed, correct, item="plain"):
    return pd.DataFrame({
        "item_id": item, "sample_index": range(len(texts)), "text": texts, "parsed": parsed,
        "correct": correct,
    })  # fmt: skip


def test_differences_are_counted_and_shown():
    frame = rows(
        ["<answer>B</answer>", "<answer>not B</answer>", "The answer is B.", "<answer>A</answer>"],
        ["B", "B", None, "A"], [True, True, False, False],
    )  # fmt: skip
    found = reread(frame, [ITEM])
    assert found.differing == 2 and found.without_item == 0
    assert found.counts.to_dict("list") == {
        "stored": ["right", "wrong", "right", "wrong"], "now": ["wrong", "right", "right", "wrong"],
        "completions": [1, 1, 1, 1], "items": [1, 1, 1, 1], "share": [0.25] * 4,
    }  # fmt: skip
    shown = found.examples.set_index("sample_index")
    assert shown.text[1] == "<answer>not B</answer>" and shown.parsed_now[1] is None
    assert shown.parsed_now[2] == "B" and shown.rule[2] == "cue"


def test_a_corrected_gold_answer_changes_every_verdict():
    frame = rows(["<answer>B</answer>"] * 9, ["B"] * 9, [True] * 9)
    found = reread(frame, [replace(ITEM, gold="A")], examples=2)
    assert found.differing == 9 and len(found.examples) == 2
    assert found.counts.completions.to_list() == [9]


def test_rows_of_other_items_are_counted_and_left():
    frame = pd.concat([rows(["B"], ["B"], [True]), rows(["B"], ["B"], [True], "other")])
    found = reread(frame, [ITEM])
    assert (found.without_item, found.differing) == (1, 0)
    with pytest.raises(UserError, match="none of the 1 completions"):
        reread(rows(["B"], ["B"], [True], "other"), [ITEM])
