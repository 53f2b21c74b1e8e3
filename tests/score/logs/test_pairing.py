"""Greedy answers beside samples, and items that two logs share."""

from __future__ import annotations

import pytest

from medrl_core.errors import UserError
from medrl_core.score.logs.grading import grade
from medrl_core.score.logs.log import Answers
from medrl_core.score.logs.pairing import same_ids, with_greedy
from medrl_core.score.statistics import per_item


def log(ids="ab", name="one", *, temperature=0.7, texts=("Answer: A", "Answer: B"), gold="A",
        model="m", questions=None):  # fmt: skip
    found = Answers()
    for at, item_id in enumerate(ids):
        question = questions[at] if questions else f"What is {item_id}?"
        found.item(item_id, question, options=("Liver", "Spleen"), gold=gold)
        for text in texts:
            found.completion(item_id, text, temperature=temperature)
    return grade(found.log("made", name, model=model))


def greedy(*args, **more):
    return log(*args, temperature=0, texts=("Answer: A",), **more)


def test_greedy_answers_by_id():
    rows, notes = with_greedy(log("abc"), greedy("ab", "two", model="n"))
    items = per_item(rows)
    assert items.n.tolist() == [2, 2, 2] and items.greedy.tolist()[:2] == [1.0, 1.0]
    assert notes == ["1 of 3 items have no greedy answer in two",
                     "the greedy answers are of n, the samples of m"]  # fmt: skip


def test_items_without_common_ids_are_told_by_what_they_ask():
    same = ["Where?", "Which?"]
    rows = same_ids(log("ab", questions=same), log("xy", questions=same[::-1]))
    assert set(rows.item_id) == {"a", "b"}
    with pytest.raises(UserError, match="share no item, neither by id .like a and x."):
        same_ids(
            log("ab", questions=["Where?", "Where?"]), log("xy", questions=["Where?", "Where?"])
        )


def test_logs_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="is sampled at temperature 0.7: it has no greedy"):
        with_greedy(log(), log(name="two"))
    with pytest.raises(UserError, match="has greedy answers of its own"):
        with_greedy(greedy(), greedy(name="two"))
    with pytest.raises(UserError, match="item a has two gold answers, A and B"):
        with_greedy(log(), greedy(name="two", gold="B"))


def test_one_answer_an_item_of_unknown_temperature_may_be_greedy():
    other = log(name="two", temperature=None, texts=("Answer: A",))
    rows, notes = with_greedy(log(), other)
    assert notes == ["two does not say that its answers are greedy"]
    assert per_item(rows).greedy.tolist() == [1.0, 1.0]
    with pytest.raises(UserError, match="is sampled several times an item"):
        with_greedy(log(), log(name="two", temperature=None))
