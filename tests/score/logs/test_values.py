"""Verdicts, ids, numbers and flags of any writing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from medrl_core.score.logs.values import flag, number, text_id, verdict


@pytest.mark.parametrize("value", [True, 1, 1.0, "1", "1.0", "True", "C", "correct", np.True_,
                                   np.float64(1), [1]])  # fmt: skip
def test_right(value):
    assert verdict(value) is True


@pytest.mark.parametrize(
    "value", [False, 0, 0.0, "0", "False", "I", "N", "wrong", np.False_, [0.0]]
)
def test_wrong(value):
    assert verdict(value) is False


@pytest.mark.parametrize("value", [None, 0.5, 2, "P", "", "maybe", math.nan, [], [1, 0], {"a": 1}])
def test_neither(value):
    assert verdict(value) is None


def test_ids():
    assert [text_id(one) for one in (7, 7.0, "7", " 7 ", np.int64(7))] == ["7"] * 5
    assert text_id(7.5) == "7.5"
    assert all(text_id(one) is None for one in (None, "", True, math.nan, [1]))


def test_numbers_and_flags():
    assert [number(one) for one in ("0.7", 1, None, "x", True, math.nan)] == [
        0.7, 1.0, None, None, None, None]  # fmt: skip
    assert [flag(one) for one in ("True", "false", 1, 0, None, "x", "1")] == [
        True, False, True, False, None, None, True]  # fmt: skip
