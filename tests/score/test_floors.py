"""The floor of label frequencies against hand-worked values, brute force and the uniform one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medrl_core.errors import UserError
from medrl_core.score.floors import best_guesses, label_floor, label_floors
from medrl_core.score.passk import guess_floor

SHARES = st.lists(st.integers(1, 60), min_size=1, max_size=8).map(lambda n: np.array(n) / sum(n))


def test_by_hand():
    # One guess goes to the commonest label. With two the best chances of two labels are their
    # shares: 1 - x = s / q with 2 - s (1 / .9 + 1 / .1) = 1, so s = .09 and x = .9.
    assert best_guesses([0.9, 0.1], 1).tolist() == [1, 0]
    assert best_guesses([0.1, 0.9], 2) == pytest.approx([0.1, 0.9])
    labels = ["yes"] * 9 + ["no"]
    assert label_floor(labels, 1).mean() == pytest.approx(0.9)
    assert label_floor(labels, 2).mean() == pytest.approx(0.9 * (1 - 0.1**2) + 0.1 * (1 - 0.9**2))
    # A rare label is given up while guesses are few: 2 - 2 s / .499 = 1 leaves it s / .002 > 1.
    assert best_guesses([0.499, 0.499, 0.002], 2) == pytest.approx([0.5, 0.5, 0])


def test_one_label_needs_no_picture_and_no_label_is_refused():
    assert label_floor(["A"] * 5, 3).tolist() == [1] * 5
    with pytest.raises(UserError, match="at least 1"):
        best_guesses([1.0], 0)


@given(SHARES, st.integers(2, 16), st.randoms(use_true_random=False))
def test_no_other_chances_do_better(shares, k, random):
    def reached(chances):
        return float(np.sum(shares * (1 - (1 - chances) ** k)))

    best = best_guesses(shares, k)
    assert best.sum() == pytest.approx(1) and (best >= -1e-12).all()
    for _ in range(20):
        other = np.array([random.random() ** 3 + 1e-9 for _ in shares])
        assert reached(best) >= reached(other / other.sum()) - 1e-9
    assert reached(best) >= reached(shares) - 1e-9  # naming labels as often as they are right


@given(st.lists(st.sampled_from("ABCD"), min_size=1, max_size=40))
def test_it_lies_above_the_uniform_floor_and_rises_with_k(labels):
    ks = [1, 2, 4, 16]
    means = label_floors(labels, ks).mean(axis=0)
    assert (np.diff(means) >= -1e-12).all()
    assert (means >= guess_floor(4, ks) - 1e-12).all()


def test_even_labels_have_the_uniform_floor():
    for k in (2, 5):
        assert label_floor(list("ABCD") * 3, k).mean() == pytest.approx(guess_floor(4, k))


def test_answers_that_are_all_different_can_hardly_be_guessed():
    labels = [f"answer {i}" for i in range(1000)]
    assert label_floor(labels, 4).mean() == pytest.approx(0.004, rel=0.01)
