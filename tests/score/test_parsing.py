"""The parser: the table of hand-checked cases, and properties that must hold for any text."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from medrl_core.score.parsing import format_ok, is_correct, normalise, parse

TABLE = yaml.safe_load((Path(__file__).parent / "parsing_cases.yaml").read_text(encoding="utf-8"))
OPTIONS = ("pneumonia", "effusion", "normal chest", "hepatitis B")
LABELS = ("neutrophil", "monocyte", "platelet")

# Pieces that meet in real completions, glued at random: far likelier to break a rule than noise.
PIECES = st.sampled_from([
    "<answer>", "</answer>", "<think>", "</think>", "\\boxed{", "}", "$", "**", "\n", " ", ".", "(",
    ")", "A", "a", "B", "c", "D", "E", "I", "Z", "not ", "no ", "or ", "because ", "answer is ",
    "Answer: ", "option ", "is correct", "I think ", "X-ray", "pneumonia", "effusion", "yes",
    "normal chest", "hepatitis B", "neutrophil", "monocyte", "ﬆ", "ı", "Ｃ", "İ", "'",
    "\u0301", "|", "<|", "|>",
])
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=25).map("".join))


def test_the_table_is_large_enough():
    assert len(TABLE["cases"]) >= 120
    assert len({(item, text) for item, text, *_ in TABLE["cases"]}) == len(TABLE["cases"])


@pytest.mark.parametrize("item, text, want, rule", TABLE["cases"])
def test_case(item, text, want, rule):
    assert tuple(parse(text, **TABLE["items"][item])) == (want, rule)


@given(TEXTS, st.integers(1, 26))
def test_mcq_gives_an_option_or_nothing(text, m):
    options = tuple(f"finding {i}" for i in range(m))
    answer, rule = parse(text, answer_format="mcq", options=options)
    assert answer is None or (len(answer) == 1 and answer in string.ascii_uppercase[:m])
    assert rule


@given(TEXTS)
def test_mcq_is_idempotent(text):
    answer, _ = parse(text, answer_format="mcq", options=OPTIONS)
    if answer is not None:
        assert parse(answer, answer_format="mcq", options=OPTIONS).answer == answer
        tagged = f"<answer>{answer}</answer>"
        assert parse(tagged, answer_format="mcq", options=OPTIONS) == (answer, "tag")


@given(TEXTS, st.sampled_from([(), LABELS, ("yes", "no")]))
def test_open_is_idempotent(text, labels):
    answer, _ = parse(text, answer_format="open", label_set=labels)
    if answer is not None:
        assert answer != ""
        again = parse(f"<answer>{answer}</answer>", answer_format="open", label_set=labels)
        assert again.answer == answer


@given(TEXTS)
def test_normalise_is_idempotent(text):
    assert normalise(normalise(text)) == normalise(text)


@given(st.text(st.characters(exclude_characters="<>\\")), st.sampled_from("ABCD"))
def test_reasoning_never_changes_the_tag(thought, letter):
    text = f"<think>{thought}</think><answer>{letter}</answer>"
    assert parse(text, answer_format="mcq", options=OPTIONS) == (letter, "tag")


@pytest.mark.parametrize("piece", [
    "<answer>", "</think>", "<think>", "\\boxed{", "answer is ", "not ", "no a ", "( ", "< ", "A ",
    "a", "I think ", "the ", "_", "_ ", "\n", " ", "option A ", "is the ", "pneumonia ", "...",
    "<|", "a. ",
])
def test_long_texts_end(piece):
    """Many thousand characters of one piece; a quadratic rule would never come back."""
    text = piece * (60_000 // len(piece))
    for kwargs in ({"answer_format": "mcq", "options": OPTIONS},
                   {"answer_format": "open", "label_set": LABELS}, {"answer_format": "open"}):
        parse(text, **kwargs)
        parse(f"<answer>{text}</answer>", **kwargs)


@pytest.mark.parametrize("kwargs", [
    {"answer_format": "letters"},
    {"answer_format": "mcq"},
    {"answer_format": "mcq", "options": ()},
    {"answer_format": "mcq", "options": ["x"] * 27},
])
def test_wrong_items_are_refused(kwargs):
    with pytest.raises(ValueError, match="answer_format|options"):
        parse("C", **kwargs)


@pytest.mark.parametrize("text, ok", [
    ("<think>a</think><answer>b</answer>", True),
    ("<think>a\nb</think>\n\n<answer>b</answer>\n", True),
    ("<think>a</think><answer>b", False),
    ("<think></think><answer>b</answer>", False),
    ("<think>a</think><answer> </answer>", False),
    ("<think>a</think> so <answer>b</answer>", False),
    ("Well <think>a</think><answer>b</answer>", False),
    ("<think>a</think><answer>b</answer> done", False),
    ("<think>a</think><answer>b</answer><answer>c</answer>", False),
    ("<think><answer>b</answer></think>", False),
    ("<answer>b</answer><think>a</think>", False),
    ("<answer>b</answer>", False),
    ("", False),
])
def test_format_ok(text, ok):
    assert format_ok(text) is ok


@pytest.mark.parametrize("answer, gold, right", [
    ("C", "C", True), ("C", "c", True), ("B", "C", False), (None, "C", False), (None, "", False),
    ("left lung", "The left lung.", True), ("effusion", "pleural effusion", False),
])
def test_is_correct(answer, gold, right):
    assert is_correct(answer, gold) is right
