"""Pass@K and its kin against hand-worked values, brute force and closed forms."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from medrl_core.errors import UserError
from medrl_core.score.passk import (
    exact_pass_at_k,
    excess_support,
    guess_floor,
    pass_at_k,
)


def test_by_hand():
    # 4 samples, 1 right, 2 drawn: 3 of the 6 pairs hold the right one.
    assert pass_at_k(4, 1, 2) == pytest.approx(0.5)
    assert pass_at_k(5, 2, 2) == pytest.approx(1 - 3 / 10)
    assert pass_at_k(16, 3, 1) == pytest.approx(3 / 16)
    assert pass_at_k(4, 0, 4) == 0.0
    assert pass_at_k(4, 1, 4) == 1.0


@given(st.integers(1, 8), st.data())
def test_against_brute_force(n, data):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    draws = list(combinations(range(n), k))
    share = sum(min(draw) < c for draw in draws) / len(draws)
    assert pass_at_k(n, c, k) == pytest.approx(share, abs=1e-12)


@given(st.integers(1, 300), st.data())
def test_against_exact_integers(n, data):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    assert pass_at_k(n, c, k) == pytest.approx(1 - comb(n - c, k) / comb(n, k), abs=1e-10)


def test_large_n_is_finite_and_right():
    n, c, k = 100_000, 3, 1000
    exact = 1 - comb(n - c, k) / comb(n, k)
    assert pass_at_k(n, c, k) == pytest.approx(exact, rel=1e-6)
    assert pass_at_k(n, 0, k) == 0.0


def test_ragged_and_broadcast():
    n, c = np.array([4, 8]), np.array([1, 2])
    values = pass_at_k(n, c, np.array([[1], [2], [4]]))
    assert values.shape == (3, 2)
    assert values[:, 0] == pytest.approx([0.25, 0.5, 1.0])
    assert values[:, 1] == pytest.approx([0.25, 1 - 15 / 28, 1 - 15 / 70])


@pytest.mark.parametrize("p", [0.0, 0.02, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("k", [1, 2, 7])
def test_unbiased_for_known_p(p, k):
    """Summed over every outcome of 12 samples, the estimator gives exactly 1 - (1-p)^k."""
    c = np.arange(13)
    mean = np.sum(binom.pmf(c, 12, p) * pass_at_k(12, c, k))
    assert mean == pytest.approx(float(exact_pass_at_k(p, k)), abs=1e-12)
    assert exact_pass_at_k(p, k) == pytest.approx(1 - (1 - p) ** k)


def test_exact_keeps_tiny_p():
    assert exact_pass_at_k(1e-18, 10) == pytest.approx(1e-17)


@pytest.mark.parametrize("n, c, k, message", [
    (4, 1, 5, "Pass@5.*only 4"),
    ([8, 4], [1, 1], 5, "only 4"),
    (4, 1, 0, "at least 1"),
    (4, 5, 1, "counts are wrong"),
    (4, -1, 1, "counts are wrong"),
    (0, 0, 1, "counts are wrong"),
])
def test_bad_counts(n, c, k, message):
    with pytest.raises(UserError, match=message):
        pass_at_k(n, c, k)


@given(st.integers(2, 60), st.data())
def test_grows_with_c_and_k(n, data):
    c, k = data.draw(st.integers(0, n - 1)), data.draw(st.integers(1, n - 1))
    value = pass_at_k(n, c, k)
    assert 0 <= value <= 1
    assert pass_at_k(n, c + 1, k) >= value - 1e-12
    assert pass_at_k(n, c, k + 1) >= value - 1e-12


def test_guess_floor():
    assert guess_floor(4, 16) == pytest.approx(0.98998, abs=1e-5)
    assert guess_floor([2, 5, 1], 2) == pytest.approx([0.75, 0.36, 1.0])
    with pytest.raises(UserError, match="at least one option"):
        guess_floor(0, 2)


def test_excess_support():
    # (0.8 - 0.6) / 0.4; below the floor negative; no room left: nan
    assert excess_support([0.8, 0.5, 1.0, 0.6], [0.6, 0.6, 0.6, 0.6]) == pytest.approx(
        [0.5, -0.25, 1.0, 0.0])
    assert np.isnan(excess_support(1.0, 1.0))
