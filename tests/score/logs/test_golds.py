"""Gold answers: letters, texts, indices, lists, and what names no option."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medrl_core.score.logs.golds import LETTERS, accepted_answers, letter_of, unquoted

LUNGS = ("Left lung", "Right lung", "Both")


@pytest.mark.parametrize(("gold", "gold_is", "letters"), [
    ("B", "either", ("B",)), ("b", "either", ("B",)), ("(B)", "either", ("B",)),
    ("B.", "either", ("B",)), ("B. Right lung", "either", ("B",)), ("right  LUNG", "either", ("B",)),  # noqa: E501
    (1, "either", ("B",)), ("1", "index", ("B",)), (0.0, "index", ("A",)),
    (["A", "Both"], "either", ("A", "C")), ("B", "text", None), ("D", "either", None),
    ("B. Left lung", "either", None), (3, "index", None), ("x", "index", None), (None, "either", ()),  # noqa: E501
    ("", "either", ()), (math.nan, "either", ()), ([], "either", ()),
])  # fmt: skip
def test_golds_of_items_with_options(gold, gold_is, letters):
    usable, found = accepted_answers(gold, LUNGS, gold_is)
    assert (usable, found) == ((True, letters) if letters is not None else (False, ()))


def test_a_text_goes_before_a_letter_unless_the_log_says_letter():
    turned = ("B", "A", "C")
    assert letter_of("A", turned) == "B" and letter_of("A", turned, "letter") == "A"
    assert letter_of("2", ("1", "2", "3")) == "B" and letter_of(2, ("1", "2", "3")) == "B"
    assert letter_of(2, ("10", "20", "30")) == "C"
    assert letter_of("same", ("same", "same")) is None  # two options of one text


def test_golds_of_open_items():
    assert accepted_answers(["MRI", "scan"], None) == (True, ("MRI", "scan"))
    assert accepted_answers(4.0, None) == (True, ("4",))


def test_lists_that_were_written_as_text():
    assert unquoted("['cat', 'feline']") == ["cat", "feline"] and unquoted("(1, 2)") == [1, 2]
    for text in ("[invalid]", "[x", "(A)", "B", "[{'a': 1}]", "[__import__('os')]"):
        assert unquoted(text) == text


@given(st.lists(st.text(st.characters(categories=["Ll"]), min_size=2, max_size=8), min_size=2,
                max_size=6, unique_by=str.casefold))  # fmt: skip
def test_every_option_is_found_by_letter_index_and_text(options):
    for at, text in enumerate(options):
        letter = LETTERS[at]
        assert letter_of(letter, options, "letter") == letter
        assert letter_of(at, options, "index") == letter
        assert letter_of(text, options, "text") in (letter, None)  # None: equal but for accents
