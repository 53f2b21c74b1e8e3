"""Intervals and tests against hand-worked values, closed forms and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from medrl_core.errors import UserError
from medrl_core.score import intervals
from medrl_core.score.intervals import (
    Estimate,
    bootstrap_draws,
    bootstrap_mean,
    holm,
    interval,
    paired_difference,
    permutation_test,
)


def test_the_mean_is_over_rows_not_clusters():
    e = bootstrap_mean([1, 1, 1, 0], ["a", "a", "a", "b"])
    assert (e.value, e.n) == (0.75, 4)
    # Draws hold images a, a (mean 1), a, b (0.75) or b, b (0).
    assert (e.low, e.high) == (0.0, 1.0)
    assert set(np.unique(bootstrap_draws([[1], [1], [1], [0]], list("aaab")))) == {0, 0.75, 1}


def test_interval_agrees_with_the_normal_one_for_independent_rows():
    values = np.random.default_rng(0).random(400) < 0.3
    e = bootstrap_mean(values, seed=1)
    half = 1.96 * values.std() / np.sqrt(400)
    assert e.low == pytest.approx(e.value - half, abs=0.006)
    assert e.high == pytest.approx(e.value + half, abs=0.006)


def test_repeated_rows_of_an_image_do_not_narrow_the_interval():
    values = np.random.default_rng(0).random(50)
    one = bootstrap_mean(values, np.arange(50))
    ten = bootstrap_mean(np.repeat(values, 10), np.repeat(np.arange(50), 10))
    assert (ten.low, ten.high) == pytest.approx((one.low, one.high))
    rows = bootstrap_mean(np.repeat(values, 10))
    assert rows.high - rows.low < 0.5 * (one.high - one.low)


def test_coverage_is_near_the_level():
    rng = np.random.default_rng(3)
    hits = 0
    for trial in range(200):
        share = rng.normal(0.5, 0.1, size=60)
        e = bootstrap_mean(rng.normal(np.repeat(share, 3), 0.1), np.repeat(np.arange(60), 3),
                           draws=400, seed=trial)
        hits += e.low <= 0.5 <= e.high
    assert 0.89 <= hits / 200 <= 0.99


def test_seed_decides_and_blocks_do_not(monkeypatch):
    values = np.random.default_rng(0).random((30, 2))
    whole = bootstrap_draws(values, seed=5)
    assert np.array_equal(whole, bootstrap_draws(values, seed=5))
    assert not np.array_equal(whole, bootstrap_draws(values, seed=6))
    monkeypatch.setattr(intervals, "_BLOCK", 100)
    assert np.allclose(whole, bootstrap_draws(values, seed=5), atol=1e-12)


def test_one_cluster_tells_no_spread():
    e = bootstrap_mean([0.2, 0.4], ["a", "a"])
    assert e.value == pytest.approx(0.3)
    assert np.isnan(e.low) and np.isnan(e.high)


@pytest.mark.parametrize("values, clusters, message", [
    ([], None, "no observations"),
    ([1.0, np.nan], None, "missing"),
    ([1.0, np.inf], None, "infinite"),
    ([1.0, 2.0], ["a"], "1 clusters"),
])
def test_bad_input(values, clusters, message):
    with pytest.raises(UserError, match=message):
        bootstrap_mean(values, clusters)


def test_interval_leaves_out_nan():
    assert interval(np.array([np.nan, 1.0, 1.0])) == (1.0, 1.0)
    assert np.isnan(interval(np.array([np.nan]))).all()


def test_paired_difference_is_a_minus_b():
    e = paired_difference([1, 1, 1, 0], [0, 0, 1, 0], list("abcd"))
    assert e.value == 0.5
    assert 0.0 <= e.low <= 0.5 <= e.high <= 1.0
    same = paired_difference([1, 0], [1, 0])
    assert same == Estimate(0.0, 0.0, 0.0, 2)
    with pytest.raises(UserError, match="equal lengths"):
        paired_difference([1], [1, 0])


def test_permutation_by_hand():
    # three differences of +1: of the 8 swaps only +++ and --- are as far from zero
    assert permutation_test([1, 1, 1], [0, 0, 0]) == pytest.approx(2 / 8)
    # the rows are one image's: swapping it changes nothing
    assert permutation_test([1, 1, 1], [0, 0, 0], ["a"] * 3) == 1.0
    assert permutation_test([1, 0], [1, 0]) == 1.0
    assert permutation_test([1, 0], [0, 1]) == 1.0


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=7))
def test_exact_permutation_against_scipy(difference):
    ours = permutation_test(difference, np.zeros(len(difference)))
    theirs = scipy_stats.permutation_test(
        (difference,), np.sum, permutation_type="samples", n_resamples=np.inf).pvalue
    assert ours == pytest.approx(theirs)


def test_random_permutation_against_the_exact_one(monkeypatch):
    difference = np.array([1, 1, 1, 1, -1, 1, 1, 1, -1, 1, 1])
    zeros = np.zeros(len(difference))
    exact = permutation_test(difference, zeros)
    monkeypatch.setattr(intervals, "_BLOCK", 1000)
    drawn = permutation_test(difference, zeros, resamples=2047)  # one less than all 2048
    assert exact == pytest.approx(2 * (1 + 11 + 55) / 2048)
    assert drawn == pytest.approx(exact, abs=0.02)
    assert drawn != exact


def test_p_is_never_zero():
    p = permutation_test(np.ones(200), np.zeros(200))
    assert p == pytest.approx(1 / 5001)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
