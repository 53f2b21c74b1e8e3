"""Linear CKA against values worked out by hand and what it must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ortho_group

from medrl_core.vision.cka import linear_cka

RNG = np.random.default_rng(0)
MANY, FEW = RNG.normal(size=(40, 6)), RNG.normal(size=(5, 12))


@pytest.mark.parametrize("x", [MANY, FEW], ids=["more images", "more features"])
def test_rotation_shift_and_scale_change_nothing(x):
    turned = 3 * x @ ortho_group.rvs(x.shape[1], random_state=1) + 7
    assert linear_cka(x, x) == pytest.approx(1)
    assert linear_cka(x, turned) == pytest.approx(1)
    assert linear_cka(x, -x[:, ::-1]) == pytest.approx(1)


def test_two_values_by_hand():
    # Centred: x = (-1, 0, 1), y = (1, -2, 1): orthogonal, so 0.
    x, y = np.array([[0.0], [1.0], [2.0]]), np.array([[1.0], [-2.0], [1.0]])
    assert linear_cka(x, y) == pytest.approx(0)
    # One axis of two equal ones: (x.T y)^2 = 1, |x.T x| = 1, |y.T y| = sqrt(2).
    both = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]]) / np.sqrt(2)
    assert linear_cka(both[:, :1], both) == pytest.approx(1 / np.sqrt(2))


def test_both_ways_of_summing_agree():
    x, y = RNG.normal(size=(8, 3)), RNG.normal(size=(8, 5))
    wide = np.hstack([y, np.zeros((8, 9))])
    assert linear_cka(x, y) == pytest.approx(linear_cka(x, wide))


def test_features_that_never_change_are_like_nothing():
    assert np.isnan(linear_cka(np.ones((4, 2)), MANY[:4]))
