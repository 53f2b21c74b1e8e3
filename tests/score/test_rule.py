"""The decision rule by expected hits: what it chooses in situations worked out by hand; regret."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from medrl_core.errors import UserError
from medrl_core.score import rule
from medrl_core.score.intervals import rate_draws, share_difference
from medrl_core.score.law import Law

LAW = Law(
    mark=0.6, unit="run", kl=0.01, a=500.0, b=0.25, scatter=0.0,
    draws=tuple((500.0 + i, 0.25, 0.0) for i in range(20)),
)  # fmt: skip
STRONG, WEAK = np.full(64, 0.05), np.full(64, 1e-6)


def test_a_budget_multiplies_out():
    assert rule.Budget(group=8, steps=200, prompts=64).completions == 102_400


def test_enough_support_is_sharpened_and_the_chance_is_the_laws():
    found = rule.choose(STRONG, LAW, 4096)
    assert found.action == "sharpen"
    assert found.expected_hits.value == pytest.approx(204.8)
    assert found.chance.value == pytest.approx(1 - np.exp(-0.05 * (4096 - 500 * 0.05**-0.25)))
    assert "205" in found.why or "2e+02" in found.why


def test_hopeless_support_is_bridged_where_labels_are_cheap_and_left_where_they_are_dear():
    cheap = rule.choose(WEAK, LAW, 4096, labels=16, label_price=1)
    dear = rule.choose(WEAK, LAW, 4096, labels=64, label_price=1000)
    assert cheap.action == "both"  # few labels: RL after them
    assert rule.choose(WEAK, LAW, 4096, labels=64, label_price=1).action == "bridge"
    assert dear.action == "stop"  # 64 labels x 1,000 x .1 / 4,096 = 1.56 of Acc@1
    assert rule.choose(STRONG, LAW, 4096, labels=64, label_price=1000).action == "sharpen"


def test_nothing_is_trained_where_the_picture_is_not_read():
    found = rule.choose(STRONG, LAW, 4096, acc=0.4, ceiling=0.45, label_price=0)
    assert found.action == "stop"
    assert "cannot see" in found.why
    assert "probe" not in found.why
    assert rule.choose(STRONG, LAW, 4096, acc=0.95, ceiling=1.0).action == "stop"
    assert "probe" in rule.choose(STRONG, LAW, 4096).why


def test_a_few_samples_are_too_few_and_the_number_needed_is_told():
    found = rule.choose(np.zeros(8), LAW, 16384, samples=16)
    assert found.action == "too few items to say"
    needed = 3 / (rule.p_for(LAW, 16384) * 16)
    assert found.more_items == pytest.approx(needed - 8, abs=1)
    assert str(found.more_items) in found.why


def test_p_for_is_where_the_law_gives_the_chance():
    p = rule.p_for(LAW, 4096)
    assert float(LAW.chance(p, 4096)) == pytest.approx(0.5, abs=1e-6)
    assert np.isnan(rule.p_for(LAW, 100))  # no p takes off before it has grown


def test_chances_outside_0_to_1_are_refused():
    with pytest.raises(UserError, match="from 0 to 1"):
        rule.choose([1.2], LAW, 4096)


def _outcomes() -> rule.Outcomes:
    # Two situations: RL reaches .9 in the first and nothing in the second; labels the other way.
    acc = np.array([[0.0, 0.9, 0.5, 0.6], [0.1, 0.1, 0.8, 0.9]])
    seeds = np.repeat(acc[:, :, None], 5, 2)
    return rule.Outcomes(("a", "b"), (16, 16), seeds, seeds, 128)


def test_regret_is_the_distance_to_the_oracle_by_hand():
    chosen = {0.0: {rule.RULE: ["sharpen", "both"], rule.PAPER: ["stop", "stop"]}}
    found = rule.regrets(_outcomes(), chosen, draws=200)
    each = {name: one.value for name, one in found.each.items()}
    assert each[rule.RULE] == pytest.approx(0)
    assert each[rule.PAPER] == pytest.approx(0.9 - 0.05)
    assert each["always RL"] == pytest.approx(0.9 - 0.5)
    assert each["always SFT, then RL"] == pytest.approx(0.9 - 0.75)
    assert each[rule.RANDOM] == pytest.approx(0.9 - (2.0 + 1.9) / 8)
    assert found.fixed == "always SFT, then RL"
    fixed = found.against[found.fixed]
    assert fixed.value == pytest.approx(0.15)
    assert fixed.low < 0.15 < fixed.high


def test_dear_labels_turn_the_oracle_round():
    # Labels cost .39: in the second situation "both" nets .51, which still beats "stop" with .1.
    cost = 16 * 1000 * 0.1 / 4096
    chosen = {1000.0: {rule.RULE: ["sharpen", "both"]}}
    found = rule.regrets(_outcomes(), chosen, draws=50)
    assert found.each[rule.RULE].value == pytest.approx(0)
    assert found.each["always SFT"].value == pytest.approx((1.8 - cost) / 2 - (1.3 - 2 * cost) / 2)


def test_rates_of_equal_seeds_keep_a_width_and_miss_no_seed():
    drawn = rate_draws(np.ones((3, 5)), 128, draws=500)
    assert drawn.shape == (500, 3)
    assert np.quantile(drawn, 0.025) < 0.999
    some = rate_draws([[0.0, np.nan, 1.0]], None, draws=2000, seed=1)
    assert np.nanmean(some) == pytest.approx(0.5, abs=0.03)
    assert np.isnan(some).any()  # only the missing seed was drawn


def test_newcombes_interval_by_hand():
    # Newcombe 1998, table II, method 10: 56/70 - 48/80 = .2000 [.0524, .3339]
    found = share_difference((56, 70), (48, 80))
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)
    assert share_difference((10, 10), (0, 10)).high <= 1 + 1e-9
    with pytest.raises(UserError, match="both sides"):
        share_difference((1, 1), (0, 0))


def test_it_needs_no_torch():
    code = "import sys, medrl_core.score.rule; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
