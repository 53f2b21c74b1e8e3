"""RL by dose and support: the claims' numbers, worked out by hand from few runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from medrl_core.report import doses, grids, growth
from medrl_core.report.experiment import Experiment
from medrl_core.score.law import Law
from medrl_core.train import arms
from medrl_core.train.rl import RL


def runs(*rows: dict) -> pd.DataFrame:
    plain = {
        "world": "drawn", "base": 11, "objective": "grpo", "kl": 0.01, "labels": 0, "n": 4096,
        "acc0": 0.0, "pass0": 0.5, "pass": 0.5, "p": 0.1, "words": 2, "information": 8.0,
        "first": 5.0, "bonus": 0.0, "n_items": 128, "learnt": False, "right_thought": 0.9,
    }  # fmt: skip
    table = pd.DataFrame([{**plain, **row} for row in rows])
    return table.assign(
        gain=table["acc"] - table["acc0"], took_off=table["acc"] > 0.2,
        hits=table["base_p"] * table["n"],
    )  # fmt: skip


def cell(arm: str, group: str, base_p: float, accs: list[float], **more) -> list[dict]:
    return [
        {"arm": arm, "group": group, "base_p": base_p, "acc": acc, "seed": 100 + i, **more}
        for i, acc in enumerate(accs)
    ]


STRONG = cell("rl", "chest film", 0.2, [0.9, 1.0, 0.8, 0.9, 0.9], **{"pass": 0.7})
WEAK = cell("rl", "PET scan", 1e-6, [0.0] * 5, first=np.nan, **{"pass": 0.4})
COIN = cell("coin", "chest film", 0.2, [0.1, 0.0, 0.0, 0.0, 0.4])
FORMAT = cell("format", "chest film", 0.2, [0.0] * 5)
STILL = cell("rate0", "chest film", 0.2, [0.0] * 5)
MOVED = cell("coin", "cardiac echo", 0.001, [0.0] * 5, p=0.01)


def test_the_numbers_of_h3_and_n2_by_hand():
    found = doses.claims(runs(*STRONG, *WEAK, *COIN, *FORMAT, *STILL, *MOVED))
    value = {name: one.value for name, one in found.items()}
    assert value["h3"] == pytest.approx(1.0)
    assert 0 < found["h3"].high - found["h3"].low < 1  # all and none took off, with an interval
    # One coin run of ten took off; hopeless RL runs that met nothing are their own coins.
    assert value["h3_coin"] == pytest.approx(1 / 10 - 0)
    assert value["h3_passk"] == pytest.approx(-0.1)
    assert value["h3_passk_above"] == pytest.approx(0.2)
    assert value["n2"] == pytest.approx(0.9 - 0.1)
    assert found["n2"].low < 0.8 < found["n2"].high
    assert value["n2_rate0"] == 0
    assert found["n2_rate0"].low <= 0 <= found["n2_rate0"].high
    assert value["n2_p"] == pytest.approx(1.0)  # .001 to .01


def test_what_did_not_occur_is_none():
    found = doses.claims(runs(*WEAK))
    assert [name for name, one in found.items() if one is not None] == ["h3_passk"]


def law_table() -> pd.DataFrame:
    """Runs drawn from the law itself: a wait of 1/p, then growth."""
    rng, rows = np.random.default_rng(0), []
    for number, (seed, p) in enumerate(
        (seed, p) for seed in (*range(100, 108), *range(200, 205)) for p in (0.2, 0.01, 1e-3, 1e-5)
    ):
        wait, growth_time = rng.geometric(p), 400 * p**-0.25 * np.exp(0.3 * rng.normal())
        high = np.ceil((wait + growth_time) / 256) * 256
        low, high = (high - 256, high) if high <= 16384 else (16384, np.inf)
        rows.append(
            {"p": p, "share": 1.0, "low": low, "high": high, "seed": seed, "base": 11, "kl": 0.01,
             "modality": f"p{p}", "unit": "run", "mark": 0.2, "cluster": number, "first": wait}
        )  # fmt: skip
    return pd.DataFrame(rows)


def test_the_law_beats_both_rivals_on_runs_drawn_from_it():
    found = doses.brier(law_table())
    assert found["hits"].value > 0
    assert found["rate"].value > 0
    assert 0 <= found["error"].value < 0.15
    off = doses.calibration(grids.Grid("twin", {"law": law_table()}))
    assert set(off["world"]) == {"twin"}
    assert "points" in growth.calibration_title(off)


def test_without_held_out_seeds_nothing_is_judged():
    table = law_table()
    assert doses.brier(table[table["seed"] < 200]) is None
    nothing = doses.law_numbers(grids.Grid("drawn", reason="x"), grids.Grid("twin", reason="x"))
    assert set(nothing.values()) == {None}


def test_titles_are_computed_from_the_runs():
    table = runs(*STRONG, *WEAK, *COIN)
    assert "5 of 5 with 3 expected hits" in growth.law_title(table)
    assert "0 of 5 with 0.3 or fewer" in growth.law_title(table)
    known = table[table.hits >= 3].assign(acc0=0.9, took_off=False)  # nothing left to gain
    both = pd.concat([table, known])
    assert "5 of 5 with 3 expected hits" in growth.law_title(both)
    assert doses.shares(both, None, 4096)["took_off_enough"].value == 1
    assert growth.controls_title(table).startswith("The true reward gains 90 points")
    assert "5 of 5 that met none stayed the base" in growth.firsts_title(table[table.arm == "rl"])
    trap = table.assign(words=1)
    assert "5 of 5 at KL 0.01" in growth.trap_title(trap[trap.arm == "rl"])


def test_every_figure_draws_the_runs_that_it_is_given():
    table = runs(*STRONG, *WEAK, *COIN, *FORMAT).assign(source="live")
    law = Law(0.2, "run", 0.01, 400.0, 0.25, 0.3, draws=((400.0, 0.25, 0.3), (500.0, 0.2, 0.3)))
    rivals = pd.DataFrame({"group": ["chest film"], "p": [0.2], "gain": [0.1]})
    fig = growth.law_figure(table, law, 4096, rivals)
    labels = fig.axes[0].get_legend_handles_labels()[1]
    assert "RL, coin reward (live)" in labels
    assert "best untrained rival" in labels
    assert any("law" in one for one in labels)
    for fig in (growth.firsts_figure(table), growth.controls_figure(table, rivals),
                growth.trap_figure(table), growth.care_figure(table)):  # fmt: skip
        assert fig.file_bytes("svg").startswith(b"<?xml")


def test_a_live_run_is_looked_at_and_its_coin_is_yoked(tmp_path):
    lab = Experiment(
        tmp_path, notebook="04_rl", study="smoke", init="data/drawn-base", n_items=8, k=2
    )
    settings = RL(completions=32, per_step=16, group=4, train_vision=False)
    study = doses.Doses(lab, settings, seeds=[900], every=16)
    study.train("drawn:knee film", ["coin", "rl", "wrong", "rate0"])
    table = study.table()
    assert table.arm.tolist() == ["rl", "coin", "wrong", "rate0"]
    assert table.gain.iloc[3] == 0
    looks = study.curves()
    assert looks[looks.arm == "rl"].n.tolist() == [0, 16, 32]
    assert study.rates["drawn:knee film", 900] == lab_rates(lab)
    assert study.rivals().group.tolist() == ["knee film"]


def lab_rates(lab) -> list[float]:
    """The accuracy of the same training made once more."""
    made = arms.make(
        "rl", lab.init, lab.items("drawn:knee film", "train", 8), seed=900, out=lab.out / "again",
        rl=RL(completions=32, per_step=16, group=4, train_vision=False),
    )  # fmt: skip
    return made.record["accuracy"].tolist()
