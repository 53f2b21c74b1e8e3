"""Transfer: how rules relate, and the numbers of H6 by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from medrl_core.report import grids, transfer


@pytest.mark.parametrize(
    ("trained", "tested", "expected"),
    [
        ("chest film", "chest film", "itself"),
        ("chest film", "head CT", "same rule"),  # both mirrored, both by habit
        ("chest film", "cytology smear", "same rule, known"),
        ("chest film", "fundus photo", "opposite rule"),  # as shown
        ("chest film", "skin photo", "opposite rule, known"),
        ("chest film", "blood smear", "missing words or sight"),
        ("chest film", "cardiac echo", "same rule"),  # mirrored too, whatever else it needs
        ("cardiac echo", "chest film", "other rules"),  # mirrored, but not inverted
        ("skin photo", "chest film", "other rules"),  # teaches no rule
    ],
)
def test_groups_relate_by_the_rule_that_is_taught(trained, tested, expected):
    assert transfer.relation(f"drawn:{trained}", f"drawn:{tested}") == expected


def test_groups_outside_the_world_have_no_table():
    assert transfer.relation("vqa:VQA-RAD", "vqa:SLAKE") == "other rules"
    assert transfer.relation("mine.csv", "mine.csv") == "itself"


def moves() -> pd.DataFrame:
    rows = [
        ("chest film", "same rule", 0.8, 0.2), ("head CT", "same rule", 0.6, 0.2),
        ("fundus photo", "opposite rule", 0.1, 0.3),
    ]  # fmt: skip
    return pd.DataFrame(
        [
            {
                "base": 11, "trained": "brain MRI", "arm": "rl", "beta": 0.01, "seed": seed,
                "tested": name, "relation": one, "acc_before": before, "acc_after": after,
                "gain": after - before, "p_before": 0.1, "p_after": 0.2, "n_items": 128,
            }
            for name, one, after, before in rows for seed in (100, 101)
        ]
    )  # fmt: skip


def test_the_gain_by_rule_is_same_minus_opposite():
    found = transfer.claims(pd.DataFrame(), moves())
    assert found["h6_rule"].value == pytest.approx(0.5 + 0.2)
    assert found["h6_rule"].low < 0.7 < found["h6_rule"].high
    assert found["h6"] is None
    cells = transfer.matrix(moves()).set_index("relation")
    assert cells.value["same rule"] == pytest.approx(0.5)
    assert "same rule +50" in transfer.matrix_title(moves())
    assert "2-fold (same rule)" in transfer.p_title(moves())


def on_itself(gains: dict[float, float]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "base": 11, "group": f"group {p}", "seed": seed, "base_p": p, "acc0": 0.0,
                "acc": gain, "gain": gain, "n_items": 128, "source": "live", "arm": "rl",
            }
            for p, gain in gains.items() for seed in (100, 101)
        ]
    )  # fmt: skip


def test_a_line_has_correlation_one_and_a_hump_has_none():
    line = transfer.claims(on_itself({1e-5: 0.0, 1e-3: 0.2, 0.01: 0.4, 0.1: 0.6, 0.9: 0.8}),
                           pd.DataFrame())  # fmt: skip
    assert line["h6"].value == pytest.approx(1.0)
    assert line["h6_hump"].value == pytest.approx(0.5 - 0.8)
    hump = transfer.claims(on_itself({1e-5: 0.0, 1e-3: 0.3, 0.05: 0.9, 0.4: 0.3, 0.9: 0.0}),
                           pd.DataFrame())  # fmt: skip
    assert hump["h6"].value == pytest.approx(0.0, abs=0.05)
    assert hump["h6_hump"].value == pytest.approx(0.9 - 0.15)
    assert "90 points at p from 0.003 to 0.3" in transfer.hump_title(
        on_itself({0.05: 0.9, 1e-4: 0.0})
    )


def test_too_few_groups_have_no_correlation():
    assert transfer.claims(on_itself({0.1: 0.5, 0.2: 0.6}), pd.DataFrame())["h6"] is None


def test_the_null_has_no_correlation_but_an_interval():
    runs = pd.DataFrame(
        [
            {"arm": "base", "base": 11, "modality": f"m{i}", "base_p": p,
             "base_test_p": np.full(64, p)}
            for i, p in enumerate([0.9, 0.5, 0.3, 0.1, 0.01])
        ]
    )  # fmt: skip
    found = transfer.null(grids.Grid("drawn", {"runs": runs}))
    assert found.value == pytest.approx(0.0, abs=0.06)
    assert found.low < -0.5
    assert found.high > 0.5
    assert transfer.null(grids.Grid("drawn", {"runs": runs[:3]})) is None
    assert transfer.null(grids.Grid("drawn", reason="not recorded")) is None


def test_figures_are_drawn():
    table = moves()
    for fig in (
        transfer.matrix_figure(transfer.matrix(table)), transfer.p_figure(table),
        transfer.kl_figure(table), transfer.hump_figure(on_itself({0.1: 0.5, 0.9: 0.1})),
    ):  # fmt: skip
        assert fig.file_bytes("svg").startswith(b"<?xml")
