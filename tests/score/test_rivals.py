"""Rivals without training, on samples that are made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medrl_core.data.items import Item
from medrl_core.errors import UserError
from medrl_core.score import rivals
from medrl_core.score.measure import Measured


def item(name: str) -> Item:
    return Item(
        item_id=name, image_id=name, images=(Image.new("RGB", (4, 4)),), dataset="toy",
        modality="toy", question="?", options=None, label_set=("a", "b"), gold="a",
        answer_format="open", split="test",
    )  # fmt: skip


def measured(said: dict[str, list[str | None]], logprob: dict[str, list[float]]) -> Measured:
    rows = [
        {"item_id": name, "sample_index": k, "parsed": answer, "correct": answer == "a",
         "text": str(answer), "logprob": logprob[name][k]}
        for name, answers in said.items()
        for k, answer in enumerate(answers)
    ]  # fmt: skip
    rows += [{**rows[0], "item_id": name, "sample_index": -1} for name in said]
    items = tuple(item(name) for name in said)
    n = len(items)
    return Measured(items, np.zeros(n, bool), np.zeros(n), False, 4, pd.DataFrame(rows), None)


@pytest.fixture
def found() -> Measured:
    logs = [np.log(0.4), np.log(0.4), np.log(0.2), np.log(0.2)]
    return measured(
        {"one": ["a", "a", "b", "b"], "two": [None, None, None, "a"]},
        {"one": logs, "two": logs},
    )


def test_samples_keep_the_order_of_items_and_leave_the_greedy_answer_out(found):
    assert rivals.right_samples(found).tolist() == [[True, True, False, False]] + [
        [False, False, False, True]
    ]


def test_a_tied_vote_is_half_right_and_unread_answers_vote_together(found):
    assert rivals.vote(found, 4).tolist() == [0.5, 0.0]
    assert rivals.vote(found, 3).tolist() == [1.0, 0.0]


def test_sharpening_weighs_each_different_completion_once(found):
    # .4^4 against .2^4: 16 to 1. Of the second item the right text has .2, the unread one .4.
    assert rivals.sharpened(found) == pytest.approx([16 / 17, 1 / 17])


def test_too_few_samples_are_refused(found):
    with pytest.raises(UserError, match="5 samples an item are needed, 4 are there"):
        rivals.vote(found, 5)
