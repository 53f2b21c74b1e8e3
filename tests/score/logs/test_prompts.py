"""Options out of prompts, texts and pictures out of messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medrl_core.score.logs.prompts import answered, asked, question_and_options, text_and_images

WORD = st.text(st.characters(categories=["Ll"]), min_size=3, max_size=9)


@pytest.mark.parametrize(("prompt", "options"), [
    ("Which?\nA. x\nB. y\nC. z\nAnswer:", ("x", "y", "z")),
    ("Which?\n(A) x\n\n(B) y", ("x", "y")), ("Which?\nA: x\nB: y", ("x", "y")),
    ("Which?\n- A) x\n- B) y", ("x", "y")), ("Which? (A) yes (B) no", ("yes", "no")),
    ("Q1\nA. a\nB. b\nAnswer: A\n\nQ2\nA. c\nB. d\nAnswer:", ("c", "d")),
    ("Q\nA. a long\nwrapped text\nB. b", ("a long wrapped text", "b")),
    ("Lack of vitamin\nA. is rare", None), ("No options", None), ("", None),
    ("Q\nA. one\nC. three", None), ("Q\nB. one\nC. two", None),
])  # fmt: skip
def test_the_last_block_of_letters(prompt, options):
    assert question_and_options(prompt)[1] == options


def test_the_question_is_what_stands_before():
    assert (
        question_and_options("Think.\n\nQuestion: Which?\n\nOptions:\n\nA. x\nB. y")[0] == "Which?"
    )
    assert question_and_options("Is it? (A) yes (B) no")[0] == "Is it?"
    assert question_and_options(" no options ") == ("no options", None)


@given(st.lists(WORD, min_size=2, max_size=8), st.sampled_from(["{}. {}", "({}) {}", "{}) {}"]))
def test_any_options_come_back(options, form):
    lines = [form.format(letter, text) for letter, text in zip("ABCDEFGH", options, strict=False)]
    prompt = "\n".join(["What is it?", *lines, "Reply with a letter."])
    assert question_and_options(prompt) == ("What is it?", tuple(options))


def test_messages_of_every_shape():
    parts = [{"type": "text", "text": "a"}, {"type": "image", "image": "x.png"},
             {"type": "image_url", "image_url": {"url": "data:1"}}, {"type": "input_text", "text": "b"},  # noqa: E501
             {"type": "input_image", "image_url": "http://y"}, {"type": "image_url", "image_url": None},  # noqa: E501
             {"type": "reasoning", "text": "no"}, "c", 5]  # fmt: skip
    assert text_and_images(parts) == ("a\nb\nc", ["x.png", "data:1", "http://y"])
    assert text_and_images(None) == ("", [])
    chat = [{"role": "system", "content": "s"}, {"role": "user", "content": "u1"},
            {"role": "assistant", "content": "a1"}, {"role": "user", "content": "u2"}]  # fmt: skip
    assert asked(chat) == ("u2", []) and answered(chat) == "a1"
    assert asked("text") == ("text", []) and answered("text") == "text"
    assert asked(None) == ("", []) and answered([]) == ""
