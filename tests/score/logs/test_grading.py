"""Whose verdict counts, where the two differ, and which items each rule is for."""

from __future__ import annotations

import pytest

from medrl_core.errors import UserError
from medrl_core.score.logs.grading import grade, per_item_counts
from medrl_core.score.logs.log import Answers
from medrl_core.score.statistics import per_item


def log_of(*completions, **items):
    """A log of items by keyword (options and gold) with (item, text, stored) completions."""
    found = Answers()
    for item_id, about in items.items():
        found.item(item_id, f"What is {item_id}?", **about)
    for item_id, text, stored in completions:
        found.completion(item_id, text, stored=stored, temperature=0.7)
    return found.log("made", "made.jsonl")


MCQ = {"options": ("Liver", "Spleen"), "gold": "A"}


def test_our_reading_counts_where_options_say_what_an_answer_is():
    log = log_of(
        ("q", "Answer: A", False), ("q", "Answer: B", True), ("q", "Answer: A", True), q=MCQ
    )
    graded = grade(log)
    assert graded.rollouts.correct.tolist() == [True, False, True]
    assert (graded.trusted, graded.compared, len(graded.differing)) == ("read", 3, 2)
    stored = grade(log, "stored")
    assert stored.rollouts.correct.tolist() == [False, True, True] and stored.trusted == "stored"
    with pytest.raises(UserError, match="--trust x is unknown"):
        grade(log, "x")


def test_the_logs_verdict_counts_for_free_answers():
    log = log_of(("q", "a femoral bone", True), ("q", "ulna", None), q={"gold": "femur"})
    graded = grade(log)
    assert graded.rollouts.correct.tolist() == [True, False] and graded.trusted == "read and stored"
    assert grade(log, "read").rollouts.correct.tolist() == [False, False]


def test_yes_or_no_and_lost_options():
    log = log_of(("q", "Yes, it is.", None), ("q", "no", None), q={"gold": "Yes"})
    assert grade(log).rollouts.correct.tolist() == [True, False]
    assert grade(log).rollouts.n_options.tolist() == [2, 2]
    log = log_of(("q", "Answer: C", None), ("q", "C. spleen", None), ("q", "B", None),
                 ("r", "Answer: E", None), q={"gold": "C"}, r={"gold": "E"})  # fmt: skip
    graded = grade(log)
    assert graded.rollouts.correct.tolist() == [True, True, False, True]
    assert set(graded.rollouts.answer_format) == {"letter"} and "options" in log.lacks
    assert set(graded.rollouts.n_options) == {-1}


def test_a_sample_with_its_own_order_of_options():
    found = Answers()
    found.item("q", "?", options=("red", "blue", "green"), gold="A")
    found.completion("q", "Answer: A")
    found.completion("q", "Answer: C", order=(1, 2, 0))
    found.completion("q", "Answer: blue", order=(1, 2, 0))
    graded = grade(found.log("made", "x"))
    assert graded.rollouts.parsed.tolist() == ["A", "A", "B"]
    assert graded.rollouts.correct.tolist() == [True, True, False]


def test_golds_follow_from_what_the_log_calls_right_where_that_is_one_answer():
    bare = {"options": ("Liver", "Spleen", "Skin")}
    log = log_of(
        ("q", "Answer: A", True), ("q", "Liver", False), ("q", "Answer: B", False),
        ("r", "Answer: A", True), ("r", "Answer: B", True), ("s", "Answer: A", False),
        q=bare, r=bare, s=bare,
    )  # fmt: skip
    graded = grade(log)
    assert graded.rollouts.correct.tolist() == [True, True, False, True, True, False]
    assert graded.notes[0].startswith("gold answers of 1 items")
    assert len(graded.differing) == 1


def test_what_neither_verdict_is_found_for_is_counted_and_left_out():
    log = log_of(("q", "A", None), ("r", "A", None), q=MCQ, r={"options": ("x", "y")})
    graded = grade(log)
    assert (len(graded.rollouts), graded.ungraded) == (1, 1)
    with pytest.raises(UserError, match="no verdict of a single sample"):
        grade(log, "stored")
    with pytest.raises(UserError, match="no gold answers to read by"):
        grade(log_of(("q", "A", False), q={"options": ("x", "y")}), "read")


def test_errors_are_missing_and_repeats_of_a_greedy_answer_one():
    found = Answers()
    found.item("q", "?", **MCQ)
    found.item("r", "?", **MCQ)
    for _ in range(3):
        found.completion("q", "Answer: A", temperature=0)
    found.completion("r", None, temperature=0, error="timeout")
    log = found.log("made", "x")
    assert log.notes == ["the log repeats each greedy answer; repeats are no samples"]
    graded = grade(log)
    counts = per_item_counts(graded).set_index("item_id")
    assert counts.n.to_dict() == {"q": 1, "r": 0} and counts.missing.to_dict() == {"q": 0, "r": 1}
    assert per_item(graded.rollouts).greedy.tolist() == [1.0]


def test_labels_are_texts_where_all_items_share_their_options():
    same = {
        "q": {"options": ("yes", "no"), "gold": "A"},
        "r": {"options": ("no", "yes"), "gold": "B"},
    }
    rows = grade(log_of(("q", "A", None), ("r", "A", None), **same)).rollouts
    assert rows.label.tolist() == ["yes", "yes"]
    other = same | {"r": {"options": ("red", "blue"), "gold": "B"}}
    rows = grade(log_of(("q", "A", None), ("r", "A", None), **other)).rollouts
    assert rows.label.tolist() == ["A", "B"]


def test_a_log_without_answers_is_refused():
    with pytest.raises(UserError, match="has no answers in it"):
        log_of(q=MCQ)
