"""The map of who wins, what the rule chooses on it, and the numbers of H5 by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from medrl_core.report import choices
from medrl_core.report.choices import Facts
from medrl_core.score import rule
from medrl_core.score.law import Law

LAW = Law(0.6, "run", 0.01, 1000.0, 0.25, 0.0, draws=((1000.0, 0.25, 0.0), (1100.0, 0.25, 0.0)))
STRONG = Facts(np.full(64, 0.2), None, 0.0, 1.0, 0.97)
WEAK = Facts(np.full(64, 1e-6), None, 0.0, 1.0, 0.0)
BLIND = Facts(np.full(64, 0.4), None, 0.70, 0.72, 0.9)


def table() -> pd.DataFrame:
    levels = {  # base, RL, SFT 16, both 16, SFT 512
        ("chest film", 0.2): (0.0, 0.9, 0.6, 1.0, 1.0),
        ("PET scan", 1e-6): (0.0, 0.0, 0.1, 0.5, 0.9),
    }
    rows = []
    for (group, p), accs in levels.items():
        for (arm, labels), acc in zip(
            [("base", 0), ("rl", 0), ("sft", 16), ("sft_rl", 16), ("sft", 512)], accs, strict=True
        ):
            for seed in (100,) if arm == "base" else (100, 101):
                rows.append(
                    {"base": 11, "group": group, "arm": arm, "labels": labels, "seed": seed,
                     "n": 4096, "base_p": p, "acc0": 0.0, "acc": acc, "acc_validation": acc,
                     "n_items": 128}
                )  # fmt: skip
    return pd.DataFrame(rows)


def test_outcomes_are_laid_out_by_action_and_seed():
    found = choices.outcomes(table(), [16])
    assert found.groups == ("chest film", "PET scan")
    assert found.acc.shape == (2, 4, 2)
    assert found.acc[0, :, 0].tolist() == [0.0, 0.9, 0.6, 1.0]
    assert choices.outcomes(table(), [4, 16]) is None  # 4 labels were not trained
    assert choices.label_amounts(table()) == [16]


def test_who_wins_depends_on_the_price():
    found = choices.winners(choices.outcomes(table(), [16]), [0, 1000], ["chest film", "PET scan"])
    won = found.set_index(["group", "price"])
    assert won.winner["chest film", 0] == "both"
    assert won.winner["chest film", 1000] == "sharpen"  # 1.0 - .39 is less than .9
    assert won.net["PET scan", 1000] == pytest.approx(0.5 - 16 * 1000 * 0.1 / 4096)
    assert choices.map_title(found).endswith("RL 25%, SFT, then RL 75%")


def test_the_rule_and_the_papers_choose_for_each_situation_and_price():
    found = choices.outcomes(table(), [16])
    chosen = choices.decide(found, [STRONG, WEAK], LAW, 4096, [0, 1000])
    assert chosen[1000][rule.RULE] == ["sharpen", "both"]
    assert chosen[0][rule.PAPER] == ["sharpen", "both"]
    assert rule.RULE not in choices.decide(found, [STRONG, WEAK], None, 4096, [0])[0]
    regrets = rule.regrets(found, chosen)
    numbers = choices.regret_numbers(regrets)
    assert numbers["h7"].value == pytest.approx(
        regrets.each[regrets.fixed].value - regrets.each[rule.RULE].value
    )
    assert set(choices.regret_numbers(None).values()) == {None}


def test_the_rule_stops_where_the_ceiling_is_reached_and_tells_each_group():
    said = choices.choices({"blood smear": BLIND, "chest film": STRONG}, LAW, 4096, 16, [0, 1000])
    actions = said.set_index("group").actions
    assert actions["blood smear"] == "0: stop, 1000: stop"
    assert actions["chest film"] == "0: both, 1000: sharpen"
    assert choices.choices({"chest film": STRONG}, None, 4096, 16, [0]).empty


def test_the_numbers_of_h5_by_hand():
    found = choices.claims(table())
    # Both 1.0 and .5; the better single arm .9 (RL) and .1 (SFT); SFT on 512 labels 1.0 and .9.
    assert found["h5"].value == pytest.approx((0.1 + 0.4) / 2)
    assert found["h5_labels"].value == pytest.approx((0.0 - 0.4) / 2)
    assert found["h5_weak"].value == pytest.approx(0.4)
    assert found["h5"].low < 0.25 < found["h5"].high
    few = table()[table()["labels"] != 16]
    assert choices.claims(few)["h5"] is None


def test_facts_follow_the_order_of_situations():
    found = rule.Outcomes(
        ("a", "a", "b", "b", "a", "a"), (4, 16) * 3, np.zeros((6, 4, 1)), np.zeros((6, 4, 1)), 8
    )
    facts = {(11, "a"): STRONG, (11, "b"): WEAK, (12, "a"): BLIND}
    assert choices.in_order(found, facts) == [STRONG, STRONG, WEAK, WEAK, BLIND, BLIND]


def test_figures_are_drawn():
    found = choices.outcomes(table(), [16])
    won = choices.winners(found, [0, 10], ["chest film", "PET scan"])
    regrets = rule.regrets(found, choices.decide(found, [STRONG, WEAK], LAW, 4096, [0, 10]))
    levels = choices.bars(table(), 16)
    for fig in (
        choices.map_figure(won, {"chest film": 0.2, "PET scan": 1e-6}),
        choices.regret_figure(regrets), choices.bars_figure(levels),
    ):  # fmt: skip
        assert fig.file_bytes("svg").startswith(b"<?xml")
    assert choices.regret_title(regrets).startswith("Regret of the rule: ")
    assert "base 0%" in choices.bars_title(levels, 16)


def test_facts_of_two_bases_meet_their_own_cells_in_any_order_of_the_records():
    second = table().assign(base=12)
    found = choices.outcomes(pd.concat([second, table()]), [16])
    runs = pd.DataFrame(
        [{"base": base, "modality": name, "arm": "base", "base_test_p": [p], "acc": 0.0,
          "thought": 1.0}
         for base in (12, 11) for name, p in (("chest film", base / 100), ("PET scan", 1e-6))]
    )  # fmt: skip
    looks = pd.DataFrame(columns=["n", "labels", "base", "modality", "thought"])
    facts = choices.recorded_facts(choices.Grid("drawn", {"runs": runs, "looks": looks}))
    met = choices.in_order(found, facts)
    assert found.groups == ("chest film", "PET scan") * 2
    assert [float(one.p[0]) for one in met] == [0.11, 1e-6, 0.12, 1e-6]
