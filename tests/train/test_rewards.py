from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny
from medrl_core.data.prompts import target_text, to_dataset
from medrl_core.errors import UserError
from medrl_core.score.evaluate import parse_item
from medrl_core.score.parsing import is_correct
from medrl_core.train.rewards import accuracy_reward, format_reward, token_f1_reward
from medrl_core.train.rl import RL

ITEMS = [
    *tiny.items("open", 4),
    *tiny.items("mcq", 4),
    replace(tiny.plain_item(n_images=1), synonyms={"feline": "cat", "hound": "dog"}),
    replace(
        tiny.items("open", 1)[0], item_id="synonym", gold="neutrophil", label_set=("neutrophil",),
        synonyms={"granulocyte": "neutrophil"},
    ),
]
ROWS = list(to_dataset(ITEMS).remove_columns(["images", "prompt"]))


def rewards(texts, rows):
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return accuracy_reward(texts, **columns, trainer_state=None)


@st.composite
def answers(draw):
    """An item's number, and a text near the answers that models give."""
    number = draw(st.integers(0, len(ITEMS) - 1))
    item = ITEMS[number]
    words = [*"ABCD", *item.label_set, *(item.options or ()), *item.synonyms, "none"]
    parts = st.sampled_from(
        [*words, "<think>", "</think>", "<answer>", "</answer>", "the answer is", ".", "\n", " "]
    )
    return number, "".join(draw(st.lists(parts | st.text(max_size=3), max_size=12)))


@given(st.lists(answers(), min_size=1, max_size=6))
def test_reward_and_evaluation_never_disagree(drawn):
    texts = [text for _, text in drawn]
    found = rewards(texts, [ROWS[number] for number, _ in drawn])
    expected = [
        float(is_correct(parse_item(text, ITEMS[number]).answer, ITEMS[number].gold))
        for number, text in drawn
    ]
    assert found == expected


def test_gold_answers_earn_both_rewards():
    texts = [target_text(item) for item in ITEMS]
    assert rewards(texts, ROWS) == [1.0] * len(ITEMS)
    assert format_reward(texts, gold=None) == [1.0] * len(ITEMS)


def test_a_synonym_earns_the_reward():
    texts = ["<answer>hound</answer>", "<answer>granulocyte</answer>", "<answer>feline</answer>"]
    assert rewards(texts, [ROWS[8], ROWS[9], ROWS[8]]) == [1.0, 1.0, 0.0]


def test_chat_turns_are_read_like_texts():
    text = target_text(ITEMS[0])
    turns = [[{"role": "assistant", "content": text}]]
    assert rewards(turns, ROWS[:1]) == [1.0]
    assert format_reward(turns) == [1.0]


@pytest.mark.parametrize(
    "text", ["", "C", "<answer>C</answer>", "<think>x</think><answer>C", "<think>x</think>C"]
)
def test_anything_but_both_tags_is_no_format(text):
    assert format_reward([text]) == [0.0]


def test_a_free_answer_can_be_paid_for_its_share_of_words():
    texts = ["<think>x</think><answer>liver cyst</answer>", "a large liver cyst", "spleen"]
    paid = token_f1_reward(texts, gold=["liver cyst"] * 3, trainer_state=None)
    assert paid == pytest.approx([1, 0.8, 0])  # two of three words, all of the gold answer's


def test_pass_at_k_counts_right_answers_alone():
    with pytest.raises(UserError, match="its reward is accuracy"):
        RL(completions=64, objective="passk", rewards=("token_f1",))
