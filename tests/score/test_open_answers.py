"""Token recall and F1 of open answers, worked out by hand, and the table."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medrl_core.errors import UserError
from medrl_core.score.open_answers import best_scores, open_table, said, token_scores


@pytest.mark.parametrize("text, gold, definition, recall, precision, f1", [
    ("liver cyst", "liver cyst", "llava-med", 1, 1, 1),
    ("a large liver cyst", "liver cyst", "llava-med", 1, 2 / 3, 0.8),  # the article goes
    ("a large liver cyst", "liver cyst", "medevalkit", 1, 1 / 2, 2 / 3),  # the article stays
    ("Liver, spleen.", "liver spleen", "llava-med", 1, 1, 1),
    ("Liver, spleen.", "liver spleen", "medevalkit", 0, 0, 0),  # "liver," is no "liver"
    ("two", "2", "llava-med", 1, 1, 1),
    ("two", "2", "medevalkit", 0, 0, 0),
    ("lung", "right lung", "llava-med", 0.5, 1, 2 / 3),
    # a word said three times hits three times: recall 3 / (3 + 1), precision 1
    ("lung lung lung", "right lung", "llava-med", 0.75, 1, 6 / 7),
    ("lung lung lung", "right lung", "medevalkit", 0.5, 1, 2 / 3),
    ("heart", "lung", "llava-med", 0, 0, 0), ("", "lung", "llava-med", 0, 0, 0),
    ("lung", "", "medevalkit", 0, 0, 0),
])  # fmt: skip
def test_token_scores(text, gold, definition, recall, precision, f1):
    assert token_scores(text, gold, definition) == pytest.approx((recall, precision, f1))


def test_an_unknown_definition_is_refused():
    with pytest.raises(UserError, match="unknown"):
        token_scores("a", "b", "bleu")


@given(st.text(max_size=20), st.text(max_size=20), st.sampled_from(["llava-med", "medevalkit"]))
def test_scores_are_shares_and_f1_lies_between(text, gold, definition):
    recall, precision, f1 = token_scores(text, gold, definition)
    low, high = sorted((recall, precision))
    assert 0 <= low <= f1 + 1e-9 and f1 <= high + 1e-9 and high <= 1


def test_the_best_accepted_answer_counts():
    assert best_scores("hepar", ["liver", "hepar"]).f1 == 1
    assert best_scores("hepar", []).f1 == 0


@pytest.mark.parametrize("text, what", [
    ("<think>the liver</think><answer>Spleen</answer>", "spleen"),
    ("So \\boxed{Spleen}.", "spleen"),
    ("<think>the liver</think> It is the spleen.", "it is the spleen."), ("Spleen", "spleen"),
])  # fmt: skip
def test_what_is_said_comes_after_the_reasoning(text, what):
    assert said(text) == what


def test_table_by_hand():
    """Item a: 1 and 0 right, recalls 1 and 0; item b: wrong, recall .5."""
    rollouts = pd.DataFrame({
        "item_id": ["a", "a", "b"], "image_id": ["x", "x", "y"],
        "text": ["<answer>liver</answer>", "<answer>heart</answer>", "<answer>right</answer>"],
        "gold": ["liver", "liver", "right lung"], "correct": [True, False, False],
    })  # fmt: skip
    table = open_table(rollouts).set_index("metric")
    assert table.value.to_dict() == pytest.approx(
        {"exact match": 0.25, "token recall": 0.5, "token F1": (0.5 + 2 / 3) / 2}
    )
    assert (table.low < table.value).all() and (table.value < table.high).all()
    assert table.definition.to_list() == ["is_correct", "llava-med", "llava-med"]
    assert set(table.n_items) == {2} == set(table.n_images)
    golds = ["liver", ["liver", "heart"], "right"]
    more = open_table(rollouts, golds, definition="medevalkit")
    assert more.set_index("metric").value["token recall"] == 1


def test_no_rows_are_refused():
    with pytest.raises(UserError, match="no completions"):
        open_table(pd.DataFrame({"item_id": []}))
