from __future__ import annotations

from itertools import combinations, product
from math import comb

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medrl_core.errors import UserError
from medrl_core.score.passk import pass_at_k
from medrl_core.train.care import group_advantages
from medrl_core.train.passk import passk_rewards


@st.composite
def groups(draw):
    """Accuracy rewards of one to three groups of one size, and a k that the size allows."""
    size = draw(st.integers(1, 12))
    n = draw(st.integers(1, 3)) * size
    accuracy = draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=n, max_size=n))
    return torch.tensor(accuracy), size, draw(st.integers(1, size))


@pytest.mark.parametrize(
    ("accuracy", "k", "expected"),
    [
        # One of four right, k = 2: a wrong one meets it in one of its three pairs.
        ([1, 0, 0, 0], 2, [1, 1 / 3, 1 / 3, 1 / 3]),
        # Two of four right, k = 3: any two of the three others hold a right one.
        ([1, 0, 1, 0], 3, [1, 1, 1, 1]),
        ([1, 0, 1, 0], 2, [1, 2 / 3, 1, 2 / 3]),
        ([1, 1, 1, 1], 2, [1, 1, 1, 1]),
        ([0, 0, 0, 0], 2, [0, 0, 0, 0]),
        ([1, 0, 0, 0], 1, [1, 0, 0, 0]),
        ([1, 0, 0, 0], 4, [1, 1, 1, 1]),
        ([0], 1, [0]),
    ],
)
def test_rewards_by_hand(accuracy, k, expected):
    found = passk_rewards(torch.tensor(accuracy, dtype=torch.float32), len(accuracy), k)
    assert found.tolist() == pytest.approx(expected, abs=1e-6)


def test_each_group_is_by_itself():
    found = passk_rewards(torch.tensor([1.0, 0, 0, 0, 0, 0]), 3, 2)
    assert found.tolist() == pytest.approx([1, 1 / 2, 1 / 2, 0, 0, 0])


@given(groups())
def test_the_mean_of_a_group_is_its_unbiased_pass_at_k(case):
    accuracy, size, k = case
    found = passk_rewards(accuracy, size, k).view(-1, size).mean(1)
    right = accuracy.view(-1, size).sum(1).int().numpy()
    assert found.tolist() == pytest.approx(pass_at_k(size, right, k).tolist(), abs=1e-6)


@given(groups())
def test_a_reward_is_the_share_of_right_draws_that_include_the_completion(case):
    accuracy, size, k = case
    found = passk_rewards(accuracy, size, k)
    for group, rewards in zip(accuracy.view(-1, size), found.view(-1, size), strict=True):
        for i in range(size):
            draws = [d for d in combinations(range(size), k) if i in d]
            right = sum(max(group[j].item() for j in draw) for draw in draws)
            assert rewards[i].item() == pytest.approx(right / len(draws), abs=1e-6)


@given(
    st.integers(2, 6).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))),
    st.floats(0.05, 0.95),
)
def test_less_the_mean_it_climbs_pass_at_k_by_what_the_docstring_says(sizes, p):
    """Summed over all groups that a policy with chance p of a right answer can draw."""
    n, k = sizes
    climbed = 0.0
    for outcome in product([0.0, 1.0], repeat=n):
        chance = p ** sum(outcome) * (1 - p) ** (n - sum(outcome))
        rewards = passk_rewards(torch.tensor(outcome, dtype=torch.float64), n, k)
        score = torch.tensor([1 / p if right else -1 / (1 - p) for right in outcome])
        climbed += chance * float(((rewards - rewards.mean()) * score).sum())
    slope = k * (1 - p) ** (k - 1)  # of 1 - (1 - p)^k
    assert climbed == pytest.approx((n / k - 1) * slope, abs=1e-5)


def test_a_division_by_the_deviation_would_hide_k():
    accuracy = torch.tensor([1.0, 0, 0, 0, 1, 1, 0, 0])
    plain, shaped = passk_rewards(accuracy, 8, 1), passk_rewards(accuracy, 8, 3)
    assert not torch.allclose(plain - plain.mean(), shaped - shaped.mean())
    assert torch.allclose(group_advantages(plain, 8), group_advantages(shaped, 8), atol=2e-3)


def test_large_groups_keep_their_precision():
    accuracy = torch.zeros(1024)
    accuracy[0] = 1
    wrong = passk_rewards(accuracy, 1024, 512)[1].item()
    assert wrong == pytest.approx(1 - comb(1022, 511) / comb(1023, 511), abs=1e-6)


@pytest.mark.parametrize("k", [0, 5])
def test_a_k_that_the_group_cannot_hold_is_refused(k):
    with pytest.raises(UserError, match=f"Pass@{k} cannot be read from a group of 4"):
        passk_rewards(torch.zeros(8), 4, k)
