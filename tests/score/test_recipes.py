"""Recipes choose among trained arms; what each reaches, worked out by hand."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from medrl_core.errors import UserError
from medrl_core.score.intervals import Estimate
from medrl_core.score.recipes import (
    ARM_OF,
    agreement,
    best_fixed,
    compared,
    confusion,
    minus,
    outcomes,
    plans,
)


def values(**sets):
    """A table as `effects.item_values` gives it, with Acc@1 alone: one image an item."""
    rows = [(f"{name}/{i}", f"{name}/{i}", name, float(v))
            for name, right in sets.items() for i, v in enumerate(right)]
    return pd.DataFrame(rows, columns=["item_id", "image_id", "dataset", "acc@1"])


DECISIONS = pd.DataFrame(
    [("blood", "sharpen", "bridge"), ("derm", "bridge", "sharpen"), ("oct", "stop", "stop"),
     ("ct", "undecided", "sharpen")],
    columns=["name", "action", "paper_action"],
)
VALIDATION = {  # in no special order
    "sft_rl": values(blood=[1, 0], derm=[1, 1], oct=[1, 1], ct=[0, 0]),
    "rl": values(blood=[1, 1], derm=[0, 0], oct=[1, 1], ct=[0, 0]),
    "base": values(blood=[1, 0], derm=[0, 0], oct=[1, 1], ct=[0, 0]),
    "sft": values(blood=[0, 0], derm=[1, 0], oct=[1, 1], ct=[1, 0]),
}


def test_plans_by_hand():
    found = plans(DECISIONS, VALIDATION)
    assert list(found) == [
        "always rl", "always sft", "always sft_rl", "boundary rule", "paper's rule", "oracle"]
    names = ["blood", "derm", "oct", "ct"]
    assert found["always sft"] == dict.fromkeys(names, "sft")
    assert found["boundary rule"] == {
        "blood": "rl", "derm": "sft_rl", "oct": "base", "ct": "sft_rl"}
    assert found["paper's rule"] == {"blood": "sft_rl", "derm": "rl", "oct": "base", "ct": "rl"}
    # All arms do as well on oct: the base, which costs nothing, is taken.
    assert found["oracle"] == {"blood": "rl", "derm": "sft_rl", "oct": "base", "ct": "sft"}


def test_every_action_has_an_arm():
    assert set(ARM_OF) == {"bridge", "sharpen", "stop", "undecided"}


@pytest.mark.parametrize("absent", ["base", "rl", "sft_rl"])
def test_an_arm_that_was_not_trained_is_named(absent):
    few = {arm: table for arm, table in VALIDATION.items() if arm != absent}
    with pytest.raises(UserError, match=rf"arms \['{absent}'\] were not trained"):
        plans(DECISIONS, few)


def test_an_arm_that_lacks_a_data_set_is_named():
    table = VALIDATION["sft"]
    some = VALIDATION | {"sft": table[table.dataset != "ct"]}
    with pytest.raises(UserError, match=r"arm sft has no validation items of \['ct'\]"):
        plans(DECISIONS, some)
    with pytest.raises(UserError, match="different data sets"):
        best_fixed(some)


def test_the_best_fixed_recipe_counts_every_data_set_the_same():
    few_good = values(blood=[1], derm=[0] * 9)  # mean over sets 1/2, over items 1/10
    many_good = values(blood=[0], derm=[1] * 4 + [0] * 5)  # mean over sets 2/9, over items 4/10
    best = values(blood=[1], derm=[1] * 9)
    assert best_fixed({"sft": many_good, "rl": few_good}) == "always rl"
    assert best_fixed({"base": best, "sft": many_good}) == "always sft"  # base is no recipe
    assert best_fixed({"sft": best, "rl": best}) == "always rl"
    with pytest.raises(UserError, match="no trained arm"):
        best_fixed({"base": best})


def test_outcomes_by_hand():
    test = {"base": values(blood=[0, 0], derm=[1, 0]), "rl": values(blood=[0, 1], derm=[0, 0])}
    test["rl"] = test["rl"].iloc[::-1]
    reached = outcomes(
        {"rule": {"blood": "rl", "derm": "base"}, "always rl": {"derm": "rl", "blood": "rl"}}, test)
    assert list(reached.columns) == ["item_id", "image_id", "dataset", "recipe", "arm", "value"]
    rule, fixed = (reached[reached.recipe == name] for name in ("rule", "always rl"))
    assert list(rule.item_id) == list(fixed.item_id) == ["blood/0", "blood/1", "derm/0", "derm/1"]
    assert list(rule.value) == [0, 1, 1, 0] and list(fixed.value) == [0, 1, 0, 0]
    assert list(rule.arm) == ["rl", "rl", "base", "base"]


@pytest.mark.parametrize("other", [values(blood=[1]), values(derm=[1, 1])])
def test_arms_tested_on_different_items_are_refused(other):
    test = {"base": values(blood=[0, 0]), "rl": other}
    with pytest.raises(UserError, match="arm rl was tested on . items of blood"):
        outcomes({"stay": {"blood": "base"}, "go": {"blood": "rl"}}, test)


def test_minus_by_hand():
    test = {"base": values(blood=[0, 0], derm=[1, 0]), "rl": values(blood=[0, 1], derm=[0, 0])}
    reached = outcomes({"a": {"blood": "rl", "derm": "rl"}, "b": dict.fromkeys(["blood", "derm"],
                                                                               "base")}, test)
    found = minus(reached, "a", "b")
    assert list(found.columns) == ["item_id", "image_id", "dataset", "value"]
    assert list(found["value"]) == [0, 1, -1, 0]


@pytest.mark.parametrize(("low", "high", "said"), [
    (0.01, 0.05, "The rule is better than it: +3.0 points of Acc@1 [+1.0, +5.0]."),
    (-0.05, -0.01, "The rule is worse than it: -3.0 points of Acc@1 [-5.0, -1.0]."),
    (-0.01, 0.05, "The rule is not shown to be better than it: +2.0 points of Acc@1 [-1.0, +5.0]."),
    (0.0, 0.04, "The rule is not shown to be better than it: +2.0 points of Acc@1 [+0.0, +4.0]."),
    (0.0, 0.0, "The rule is no better than it: it takes the same arms everywhere."),
])
def test_a_recipe_is_better_only_by_its_whole_interval(low, high, said):
    assert compared(Estimate((low + high) / 2, low, high, 9), "rule", "it") == said


EXPOSURE = {"blood": 300, "derm": 10, "oct": 0}  # ct was never seen either


def test_agreement_and_confusion_by_hand():
    # Ours: blood sharpen right, derm bridge wrong, oct stop wrong, ct undecided.
    assert agreement(DECISIONS, EXPOSURE) == pytest.approx(1 / 3)
    # The paper's: blood bridge wrong, derm sharpen right, oct stop wrong, ct sharpen wrong.
    assert agreement(DECISIONS, EXPOSURE, "paper_action") == pytest.approx(1 / 4)
    assert math.isnan(agreement(DECISIONS, {}))
    assert math.isnan(agreement(DECISIONS[DECISIONS.action == "undecided"], EXPOSURE))
    table = confusion(DECISIONS, EXPOSURE)
    assert list(table.columns) == ["rule", "base", "bridge", "sharpen", "stop", "undecided"]
    assert table.to_numpy().tolist() == [
        ["boundary rule", "seen", 1, 1, 0, 0],
        ["boundary rule", "never seen", 0, 0, 1, 1],
        ["paper's rule", "seen", 1, 1, 0, 0],
        ["paper's rule", "never seen", 0, 1, 1, 0],
    ]
