"""Verdicts by hand: each kind, Holm's correction, and the smallest effect that could be seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medrl_core.score.verdicts import VERDICTS, Finding, detectable, judge


def verdict(value, low, high, threshold=0.1, margin=0.05, above=True):
    return judge([Finding(value, low, high, threshold, margin, above)]).verdict[0]


@pytest.mark.parametrize(
    ("ends", "wanted"),
    [
        ((0.3, 0.2, 0.4), "reproduced"),
        ((-0.3, -0.4, -0.2), "reversed"),
        ((0.01, -0.02, 0.04), "no effect"),
        ((0.15, 0.05, 0.25), "undecided"),  # the threshold lies inside
        ((0.07, 0.06, 0.08), "undecided"),  # an effect, but less than was claimed
        ((0.1, -0.2, 0.4), "undecided"),
        ((None, None, None), "not tested"),
        ((0.3, float("nan"), float("nan")), "not tested"),
    ],
)
def test_each_verdict(ends, wanted):
    assert verdict(*ends) == wanted


def test_a_claim_of_a_fall_turns_the_signs():
    assert verdict(-0.3, -0.4, -0.2, above=False) == "reproduced"
    assert verdict(0.3, 0.2, 0.4, above=False) == "reversed"


def test_holm_makes_one_of_many_harder():
    # Half-width 1.96 errors of .05; 2.2 errors above the threshold: p = .0278 alone.
    near = Finding(0.11, 0.012, 0.208, 0.0, 0.01)
    assert judge([near]).verdict.tolist() == ["reproduced"]
    both = judge([near, near])
    assert both.verdict.tolist() == ["undecided", "undecided"]
    assert both.p.tolist() == pytest.approx([2 * 0.0278] * 2, abs=2e-4)


def test_what_was_not_tested_costs_the_others_nothing():
    near, none = Finding(0.11, 0.012, 0.208, 0.0, 0.01), Finding(None, None, None, 0.0, 0.01)
    found = judge([near, none, none])
    assert found.verdict.tolist() == ["reproduced", "not tested", "not tested"]


def test_the_smallest_effect_by_hand():
    assert detectable(1.0) == pytest.approx(1.95996 + 0.84162, abs=1e-4)
    one = Finding(0.0, -0.098, 0.098, 0.0, 0.2)
    assert judge([one]).detectable[0] == pytest.approx(0.1401, abs=1e-4)


@given(st.floats(-1, 1), st.floats(0.001, 1), st.floats(0, 0.5), st.floats(0, 0.5), st.booleans())
def test_turning_number_and_direction_changes_nothing(value, half, threshold, margin, above):
    one = Finding(value, value - half, value + half, threshold, margin, above)
    other = Finding(-value, -value - half, -value + half, threshold, margin, not above)
    found = judge([one]), judge([other])
    assert found[0].verdict[0] == found[1].verdict[0] in VERDICTS
