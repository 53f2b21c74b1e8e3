from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medrl_core.train.care import (
    Care,
    answer_likelihood,
    answer_mask,
    consistency_bonus,
    group_advantages,
)


def masked(*pieces: str) -> list[str]:
    return [p for p, flag in zip(pieces, answer_mask(pieces), strict=True) if flag]


def test_only_the_answer_is_masked():
    assert masked("<think>", "a", "</think>", "<answer>", "C", "</answer>", "<end>") == ["C"]


def test_an_answer_of_several_tokens():
    assert masked("<answer>", "red", " blood", " cell", "</answer>") == ["red", " blood", " cell"]


def test_tags_split_over_tokens():
    assert masked("<", "answer", ">", "C", "</", "answer", ">") == ["C"]


def test_a_token_that_joins_tag_and_answer_counts():
    # Qwen's own pre-tokeniser may join a bracket and the letter after it.
    assert masked("<", "answer", ">C", "</", "answer", ">") == [">C"]
    assert masked("<answer", ">lung", " node</", "answer>") == [">lung", " node</"]


def test_space_around_the_answer_does_not_count():
    assert masked("<answer>", "\n", " C", "\n", "</answer>") == [" C"]
    assert masked("<answer", ">\n", "C", "</answer>") == ["C"]


def test_of_two_answer_tags_the_last_counts():
    pieces = ("<answer>", "A", "</answer>", "<answer>", "B", "</answer>")
    assert answer_mask(pieces) == [False, False, False, False, True, False]


def test_an_unclosed_second_tag_leaves_the_first():
    assert masked("<answer>", "A", "</answer>", "<answer>", "B") == ["A"]


@pytest.mark.parametrize(
    "pieces",
    [(), ("C",), ("<answer>", "C"), ("C", "</answer>"), ("<answer>", "</answer>"),
     ("<answer>", " ", "</answer>"), ("</answer>", "C", "<answer>")],
)
def test_without_a_closed_tag_with_content_nothing_is_masked(pieces):
    assert answer_mask(pieces) == [False] * len(pieces)


@given(
    st.text("ab <>/", max_size=8), st.text("abC", min_size=1, max_size=5),
    st.text("ab ", max_size=6), st.data(),
)
def test_however_a_text_is_cut_the_masked_tokens_cover_the_answer(before, answer, after, data):
    text = f"{before}<answer>{answer}</answer>{after}"
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text) - 1))))
    ends = [0, *cuts, len(text)]
    pieces = [text[a:b] for a, b in zip(ends, ends[1:], strict=False)]
    start = len(before) + len("<answer>")
    expected = [a < start + len(answer) and b > start for a, b in zip(ends, ends[1:], strict=False)]
    assert answer_mask(pieces) == expected


def test_likelihood_is_the_clamped_geometric_mean():
    logps = torch.log(torch.tensor([[0.5, 0.2, 0.8], [0.1, 0.99, 0.99], [0.9, 0.9, 0.9]]))
    mask = torch.tensor([[False, True, True], [False, True, True], [False, False, False]])
    found = answer_likelihood(logps, mask)
    assert found.tolist() == pytest.approx([math.sqrt(0.2 * 0.8), 0.95, 0.0])


def test_likelihood_of_one_token_is_its_probability():
    found = answer_likelihood(torch.tensor([[-0.7, -9.0]]), torch.tensor([[True, False]]))
    assert found.item() == pytest.approx(math.exp(-0.7))


def test_likelihood_ignores_what_is_not_masked():
    logps = torch.tensor([[-math.inf, -0.5]])
    assert answer_likelihood(logps, torch.tensor([[False, True]])).item() == pytest.approx(
        math.exp(-0.5)
    )


def bonus(accuracy, likelihood, group=4, **care):
    return consistency_bonus(
        torch.tensor(accuracy), torch.tensor(likelihood), group, Care(**care)
    ).tolist()


def test_bonus_by_hand():
    # Selected: 0, 1, 3; their mean is 0.6; 0.595 is within the margin of 0.01, 0.305 is not.
    assert bonus([1.0, 1.0, 0.0, 1.0], [0.9, 0.595, 0.95, 0.305]) == [0.5, 0.5, 0.0, 0.0]


def test_bonus_counts_each_group_by_itself():
    accuracy = [1.0, 1.0, 1.0, 1.0]
    assert bonus(accuracy, [0.9, 0.8, 0.3, 0.2], group=2) == [0.5, 0.0, 0.5, 0.0]
    assert bonus(accuracy, [0.9, 0.8, 0.3, 0.2], group=4) == [0.5, 0.5, 0.0, 0.0]


def test_no_right_completion_gets_no_bonus():
    assert bonus([0.0] * 4, [0.9] * 4) == [0.0] * 4


def test_all_right_and_equally_likely_get_the_bonus():
    assert bonus([1.0] * 4, [0.4] * 4) == [0.5] * 4


def test_a_right_completion_without_a_readable_answer_gets_none():
    assert bonus([1.0, 0.0, 0.0, 0.0], [0.0, 0.9, 0.9, 0.9]) == [0.0] * 4


def test_a_reward_of_a_tenth_or_under_the_mean_is_not_selected():
    # Mean 0.525: 0.5 is not selected, so it does not lower the mean likelihood of the others.
    assert bonus([0.1, 0.5, 0.5, 1.0], [0.9, 0.1, 0.1, 0.5]) == [0.0, 0.0, 0.0, 0.5]
    assert bonus([0.1, 0.1, 0.1, 0.1], [0.9] * 4) == [0.0] * 4


def test_bonus_and_margin_are_as_configured():
    assert bonus([1.0, 1.0], [0.5, 0.3], group=2, bonus=2.0, margin=0.1) == [2.0, 2.0]
    assert bonus([1.0, 1.0], [0.5, 0.3], group=2, bonus=2.0, margin=0.09) == [2.0, 0.0]


def test_the_papers_numbers_are_the_defaults():
    assert Care() == Care(bonus=0.5, clamp=0.95, margin=0.01, ema_decay=0.995, ema_every=10)


def test_advantages_by_hand():
    # Group 1: mean 1, unbiased deviation sqrt(((-1)^2 + 0 + 1) / 2) = 1. Group 2: no spread.
    found = group_advantages(torch.tensor([0.0, 1.0, 2.0, 3.0, 3.0, 3.0]), 3)
    one = 1 / (1 + 1e-4)
    assert found.tolist() == pytest.approx([-one, 0.0, one, 0.0, 0.0, 0.0])
