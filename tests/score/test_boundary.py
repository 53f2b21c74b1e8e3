"""The decision rule on intervals that lie under, over and across its thresholds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medrl_core.errors import UserError
from medrl_core.score.boundary import decide, diagnose, more_items, paper_rule
from medrl_core.score.intervals import Estimate
from medrl_core.score.thresholds import DELTA_GAP, TAU_SUPPORT

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


@pytest.mark.parametrize("value, low, high, threshold, expected", [
    # 50 items, an end at twice the distance: (2/1)^2 = 4 times as many items, so 150 more.
    (0.30, 0.10, 0.45, 0.20, 150),
    (0.10, 0.02, 0.30, 0.20, 150),  # from below the upper end counts
    (0.10, -0.9, 0.30, 0.20, 150),  # and the lower one does not
    (0.30, 0.20, 0.40, 0.20, 0),  # decided: the threshold is reached
    (0.10, 0.00, 0.20, 0.20, 1),  # touches it from below: not surely under
    (0.205, 0.105, 0.305, 0.20, 20_000),  # 400 times as many: 19,950, rounded up to two digits
    (0.20, 0.10, 0.30, 0.20, None),
    (0.20, np.nan, np.nan, 0.50, None),
    (np.nan, np.nan, np.nan, 0.50, None),
])
def test_more_items_by_hand(value, low, high, threshold, expected):
    assert more_items(Estimate(value, low, high, 50), threshold) == expected


def test_undecided_says_how_many_more_items_would_decide():
    wide = Estimate(0.3, 0.1, 0.45, 50)  # 150 more, see above
    slow = Estimate(0.2, 0.05, 0.5, 50)  # (15/10)^2 = 2.25 times: 63 more
    sure = Estimate(0.9, 0.8, 0.95, 50)
    by = {"tau_support": 0.2, "delta_gap": 0.1}
    assert decide(wide, slow, **by).more_items == 150  # both must be decided
    assert decide(sure, slow, **by).more_items == 63
    assert decide(Estimate(0.1, 0.02, 0.3, 50), Estimate(0.1, 0, 0.2, 50), **by).more_items == 150
    assert decide(sure, Estimate(0.1, 0.0, 0.2, 50), **by).more_items is None
    assert decide(sure, sure, **by).more_items == 0
    assert decide(sure, slow, **by).why == (
        "support suffices, but the gap 0.20 [0.05, 0.50] may lie on either side of 0.1; "
        "about 63 more items would decide if the measured values stay.")
    assert "more items will not decide" in decide(wide, around(np.nan, np.nan), **by).why


@given(st.floats(0, 1), st.floats(0.001, 1), st.floats(0.001, 1), st.integers(2, 10_000))
def test_as_many_items_more_do_decide(value, down, up, n):
    """Shrunk by the square root of the number of items, the interval is on one side."""
    more = more_items(Estimate(value, value - down, value + up, n), 0.5)
    if more is None:
        assert value == 0.5
    else:
        shrink = (n / (n + more)) ** 0.5
        assert value + shrink * up <= 0.5 + 1e-9 or value - shrink * down >= 0.5 - 1e-9


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
    assert list(table.more_items) == [0, 0]
    assert list(table.support) == pytest.approx([-0.15, 0.8])
    assert list(table["pass@k"]) == [0.99, 0.99] and list(table["acc@1"]) == [0.25, 0.7]
    assert table.paper_why[0] == "Pass@K 0.99 exceeds Acc@1 0.25 by 0.74."
    with pytest.raises(UserError, match="guessed lack.*K = 8"):
        diagnose(scores(guessed=((0, 1), (0, 1), 1, 1)), k=8)
