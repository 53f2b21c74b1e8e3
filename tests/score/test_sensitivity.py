"""What other thresholds, other K and fewer items decide, on rollouts whose answers are known."""

from __future__ import annotations

import pandas as pd
import pytest

from made_rollouts import rollouts
from medrl_core.errors import UserError
from medrl_core.score import boundary, effects, sensitivity
from medrl_core.score.statistics import per_item, score

SETS = {"seen": ("B", ["A", "B", "A", "B"]), "never": ("B", ["B"] * 4), "known": ("A", ["A"] * 4)}
EXPOSURE = {"seen": 100, "known": 50}
N = 12


def frame(split, model="base", **sets):
    """Twelve items of each data set, all answered alike: greedy answer and samples; A is right."""
    return pd.DataFrame([
        row for name, (greedy, samples) in sets.items() for i in range(N)
        for row in rollouts(f"{name}/{split}/{i}", greedy, samples, dataset=name, n_options=4,
                            model=model)
    ])


def trial(**more):
    base = frame("val", **SETS)
    arms = {"base": "B", "rl": "A", "sft": "B", "sft_rl": "B"}
    values = {
        split: {
            arm: effects.item_values(
                frame(split, arm, **{name: (answer, [answer] * 4) for name in SETS}), 4)
            for arm, answer in arms.items()
        } for split in ("val", "test")
    }
    return sensitivity.Trial(per_item(base), values["val"], values["test"], EXPOSURE, **more)


def test_what_the_rule_looks_at_is_what_the_score_says():
    mixed = pd.concat([frame("val", **SETS), frame("val", half=("A", ["A", "B", "B", "B"]))])
    found = sensitivity.measured(per_item(mixed), 2, seed=3)
    whole = score(mixed, [2], seed=3)
    ours, theirs = (boundary.diagnose(one[one.scope == "dataset"], 2) for one in (found, whole))
    pd.testing.assert_frame_equal(ours, theirs)


def test_thresholds_by_hand():
    """At K = 4 `seen` has a gap of 1 and `known` none; RL is always right, SFT then RL never."""
    table = sensitivity.by_threshold(trial(), 4, [0.2, 1.0], [0.1]).set_index("tau_support")
    # seen: sharpen (RL, regret 0); never: bridge (regret 1); known: stop (base, regret 1).
    assert table.loc[0.2, "value"] == pytest.approx(2 / 3)
    assert table.loc[0.2, ["right", "undecided"]].tolist() == [1, 0]
    assert list(table.columns) == ["delta_gap", "value", "low", "high", "right", "undecided"]


def test_a_threshold_out_of_reach_bridges_everywhere():
    one = sensitivity.by_threshold(trial(), 1, [1.0], [0.1]).iloc[0]
    # At K = 1 `seen` fills a third of the room: under 1. `known` reaches 1.
    assert one.value == pytest.approx(1) and one.right == pytest.approx(2 / 3)


def test_k_that_was_not_sampled_is_left_out():
    table = sensitivity.by_k(trial(), [1, 4, 8])
    assert list(table.k) == [1, 4]


def test_fewer_items_are_drawn_again_alike_and_never_more_than_there_are():
    one = trial(seed=5)
    table = sensitivity.by_items(one, 4, [6, N, N + 1], 3)
    assert list(table.images.unique()) == [6, N]
    assert list(table.quantity[:3]) == ["regret", "right", "undecided"]
    # Every item of a set is answered alike, so any draw decides like all items do.
    assert table[table.quantity == "right"]["value"].tolist() == [1, 1]
    assert table[table.quantity == "regret"]["value"].tolist() == pytest.approx([2 / 3, 2 / 3])
    pd.testing.assert_frame_equal(table, sensitivity.by_items(trial(seed=5), 4, [6, N, N + 1], 3))


def test_one_image_leaves_all_undecided_and_none_right_or_wrong():
    table = sensitivity.by_items(trial(), 4, [1], 2).set_index("quantity")
    assert table.loc["undecided", "value"] == 1
    assert table.loc["right"].isna().tolist() == [False, True, True, True]


def test_thresholds_are_chosen_on_the_other_data_sets():
    """`seen` alone profits from a low delta: the others choose, so it gets the default."""
    found = sensitivity.tuned(trial(), 4, [0.2, 0.9], [0.1, 0.0]).set_index("name")
    # For `seen`, only `never` and `known` count. delta = 0 makes `known` sharpen: RL is right.
    assert found.loc["seen", ["tau_support", "delta_gap"]].tolist() == [0.2, 0.0]
    # For `known`, only the others count: nothing beats the default, which is taken.
    assert found.loc["known", ["tau_support", "delta_gap"]].tolist() == [0.2, 0.1]
    assert found.loc["known", "action"] == "stop"
    alone = trial()
    few = sensitivity.Trial(alone.base[alone.base.dataset == "seen"], {}, {}, {})
    with pytest.raises(UserError, match="measure two at least"):
        sensitivity.tuned(few, 4, [0.2], [0.1])
