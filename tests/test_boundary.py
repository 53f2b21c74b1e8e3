"""The decision rule on intervals that lie under, over and across its thresholds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medrl_core.errors import UserError
from medrl_core.measure.boundary import decide, diagnose, paper_rule
from medrl_core.measure.stats import Estimate
from medrl_core.thresholds import DELTA_GAP, TAU_SUPPORT

# Of the worked examples below; the defaults are a study's choice and have a test of their own.
LIMITS = {"tau_support": 0.5, "delta_gap": 0.1}

def around(low, high):
    return Estimate((low + high) / 2, low, high, 50)


@pytest.mark.parametrize("support, gap, action", [
    ((0.1, 0.4), (0.2, 0.3), "bridge"),
    ((-0.9, 0.49), (0.0, 0.05), "bridge"),  # weak support comes first
    ((0.6, 0.9), (0.2, 0.4), "sharpen"),
    ((0.5, 0.9), (0.1, 0.4), "sharpen"),  # the thresholds themselves are reached
    ((0.6, 0.9), (0.0, 0.09), "stop"),
    ((0.3, 0.9), (0.0, 0.09), "undecided"),  # may be weak: not surely a case for stop
    ((0.3, 0.9), (0.2, 0.4), "undecided"),
    ((0.6, 0.9), (0.05, 0.4), "undecided"),
    ((0.3, 0.5), (0.2, 0.4), "undecided"),  # high touches the threshold: not surely low
    ((np.nan, np.nan), (0.2, 0.4), "undecided"),
    ((np.nan, np.nan), (0.0, 0.05), "undecided"),
    ((0.6, 0.9), (np.nan, np.nan), "undecided"),
])
def test_decide(support, gap, action):
    decision = decide(around(*support), around(*gap), **LIMITS)
    assert decision.action == action
    assert decision.why.endswith(".") and "\n" not in decision.why
    assert {"tau_support": decision.tau_support, "delta_gap": decision.delta_gap} == LIMITS


def test_the_defaults_are_the_documented_ones():
    decision, paper = decide(around(0.6, 0.9), around(0.2, 0.4)), paper_rule(0.9, 0.5)
    for made in (decision, paper):
        assert (made.tau_support, made.delta_gap) == (TAU_SUPPORT, DELTA_GAP)


def test_why_tells_numbers_and_threshold():
    assert decide(around(0.1, 0.3), around(0.2, 0.4), **LIMITS).why == (
        "excess support 0.20 [0.10, 0.30] lies under 0.5.")


def test_thresholds_are_parameters():
    support, gap = around(0.1, 0.4), around(0.2, 0.3)
    assert decide(support, gap, tau_support=0.05).action == "sharpen"
    assert decide(support, gap, tau_support=0.05, delta_gap=0.35).action == "stop"
    for wrong in ({"tau_support": -0.1}, {"delta_gap": 1.5}, {"delta_gap": np.nan}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            decide(support, gap, **wrong)
        with pytest.raises(UserError, match=next(iter(wrong))):
            paper_rule(0.5, 0.5, **wrong)


NEAR = st.integers(0, 20).map(lambda i: i / 20)  # meets both thresholds often


@given(NEAR, NEAR, NEAR, NEAR)
def test_a_wider_interval_only_leads_to_undecided(s, g, ds, dg):
    sharp = decide(Estimate(s, s, s, 9), Estimate(g, g, g, 9)).action
    wide = decide(Estimate(s, s - ds, s + ds, 9), Estimate(g, g - dg, g + dg, 9)).action
    assert sharp != "undecided"
    assert wide in {sharp, "undecided"}


@pytest.mark.parametrize("pass_k, acc_1, action", [
    (0.3, 0.1, "bridge"), (0.5, 0.2, "sharpen"), (0.9, 0.85, "stop"), (0.99, 0.25, "sharpen"),
])
def test_paper_rule(pass_k, acc_1, action):
    assert paper_rule(pass_k, acc_1, **LIMITS).action == action


def scores(**values):
    rows = []
    for name, (support, gap, pass_k, acc) in values.items():
        for metric, k, (low, high) in [
            ("acc@1", 1, (acc, acc)), ("pass@k", 16, (pass_k, pass_k)), ("pass@k", 1, (0, 0)),
            ("excess_support@k", 16, support), ("gap@k", 16, gap),
        ]:
            rows.append(("modality", name, metric, k, (low + high) / 2, low, high, 9, 9))
    return pd.DataFrame(rows, columns=["scope", "name", "metric", "k", "value", "low", "high",
                                       "n_items", "n_images"])


def test_diagnose_sees_guessing_where_the_paper_rule_does_not():
    table = diagnose(scores(
        guessed=((-0.5, 0.2), (0.6, 0.8), 0.99, 0.25),
        known=((0.7, 0.9), (0.2, 0.4), 0.99, 0.7),
    ), k=16, **LIMITS)
    assert list(table.action) == ["bridge", "sharpen"]
    assert list(table.paper_action) == ["sharpen", "sharpen"]
    with pytest.raises(UserError, match="guessed lack.*K = 8"):
        diagnose(scores(guessed=((0, 1), (0, 1), 1, 1)), k=8)
