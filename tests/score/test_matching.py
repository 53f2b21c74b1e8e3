"""When an answer is the gold answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medrl_core.score.matching import is_correct, listed, same_answer

CASES = [
    # letters and plain texts
    ("C", "C", True), ("C", "c", True), ("B", "C", False), (None, "C", False), (None, "", False),
    ("", "", False), ("left lung", "The left lung.", True), ("effusion", "pleural effusion", False),
    ("yes", "Yes.", True), ("kidney.", "Kidney", True), (" Liver\n", "liver", True),
    # JSON values
    ("yes", True, True), ("true", True, True), ("no", True, False), ("no", False, True),
    ("1", True, False), ("2", 2, True), ("two", 2, True), ("2", 2.0, True), ("3", 2, False),
    ("0.5", 0.5, True), ("-3", -3, True), ("3", -3, False), ("liver", None, False),
    # several accepted answers
    ("liver", ["liver", "hepar"], True), ("hepar", ["liver", "hepar"], True),
    ("spleen", ["liver", "hepar"], False), ("2", ["one", 2], True), ("liver", [], False),
    # numbers
    (".5", "0.5", True), ("50%", "50 %", True), ("50%", "50", False), ("1,500", "1500", True),
    ("1.5", "1,5", True), ("15", "1,5", False), (">5", "<5", False), ("5", ".5", False),
    ("greater than 5", ">5", True), ("5cm", "5 cm", True), ("5 centimeters", "5 cm", True),
    ("5 mm", "5 cm", False), ("5/10", "10/5", False), ("3 to 5", "3-5", True), ("5+", "5", False),
    # entities and markup
    ("X&Y", "X&amp;Y", True), ("x and y", "X &amp; Y", True), ("liver", "<b>liver</b>", True),
    ("crohn's disease", "Crohn&#39;s disease", True),
    # lists in another order
    ("spleen and liver", "liver, spleen", True),
    ("kidney, liver, spleen", "liver; spleen; kidney", True),
    ("liver", "liver, spleen", False), ("liver, spleen, kidney", "liver, spleen", False),
    ("right kidney, left lung", "left lung and right kidney", True),
    ("left kidney and right lung", "right kidney, left lung", False),
    ("pneumonia and no effusion", "no effusion and pneumonia", False),
    ("spleen to liver and back", "back and spleen to liver", False),
    # plurals, number words, ordinals
    ("kidneys", "kidney", True), ("metastasis", "metastases", True),
    ("two kidneys", "2 kidneys", True),
    ("twenty one", "21", True), ("third ventricle", "3rd ventricle", True),
    # negation and signs are part of the answer
    ("no fracture", "fracture", False), ("not fracture", "fracture", False), ("a+", "a", False),
    ("rh-", "rh+", False), ("nonmalignant", "malignant", False),
    ("non malignant", "nonmalignant", True),
    # no guesses about meaning
    ("none", "0", False), ("both", "bilateral", False), ("left", "right", False),
    ("t1", "t2", False),
]  # fmt: skip


@pytest.mark.parametrize("answer, gold, right", CASES)
def test_is_correct(answer, gold, right):
    assert is_correct(answer, gold) is right


def test_parts_of_a_list():
    assert listed("liver, spleen and both kidneys") == {"liver", "spleen", "both kidney"}
    assert listed("no liver and no spleen") == {"no liver and no spleen"}


@given(st.text(max_size=15), st.text(max_size=15))
def test_the_same_both_ways_and_itself(one, other):
    assert same_answer(one, other) == same_answer(other, one)
    assert same_answer(one, one) or not one.strip()
