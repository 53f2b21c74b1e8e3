"""The recorded grids: cells, resuming, and the tables that are collected."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from medrl_core.errors import UserError
from medrl_core.score.law import RUN_COLUMNS
from medrl_core.train import arms, twin_grid
from medrl_core.train.twin_cells import GRIDS, HELD_OUT_SEEDS, Cell, cells
from medrl_core.train.twin_grid import ARMS, collect, law_runs, run, run_cell, stream_of

QUICK = Cell("law", "rules", 11, "knee film", "rl", 900, 256)
BOOK = Cell("facts", "books", 11, "liver ultrasound", "rl", 900, 256)


@pytest.fixture
def small(monkeypatch):
    """A grid of two quick cells."""
    monkeypatch.setitem(GRIDS, "small", lambda: iter([QUICK, BOOK]))


@pytest.mark.parametrize("grid", GRIDS)
def test_cells_differ_and_run_on_seeds_of_the_claims(grid):
    found = list(cells(grid))
    assert len({cell.key for cell in found}) == len(found) > 50
    assert {cell.seed for cell in found} <= {*range(100, 108), *HELD_OUT_SEEDS}
    assert {cell.base for cell in found} == {11, 12}
    assert {cell.arm for cell in found} <= set(ARMS)


def test_arms_have_the_names_of_the_pixel_models_arms():
    assert set(ARMS) - {"curriculum"} <= set(arms.ARMS)


def test_an_unknown_grid_is_refused():
    with pytest.raises(UserError, match="no grid 'x': use one of law"):
        next(cells("x"))


def test_a_cell_says_all_that_is_known_of_its_training():
    found = run_cell(QUICK)
    row = found["run"]
    assert row["cost_completions"] == 256 and row["first_right"] <= 64 and row["commit"]
    assert len(row["test_p"]) == len(row["base_test_p"]) == 128
    assert row["p"] == pytest.approx(np.mean(row["test_p"]), rel=1e-3)
    assert row["base_p"] == pytest.approx(0.45, rel=0.1)
    looks = pd.DataFrame(found["looks"])
    assert looks.n.tolist() == [0, 256] and looks.hits.iloc[1] > 50
    assert looks.loc[0, "pass@16"] > 0.9 and np.isnan(looks.loc[1, "p"])
    json.dumps(found)


def test_bases_do_not_share_a_random_stream():
    streams = {stream_of(cell) for cell in cells("law")}
    assert len(streams) == 2 * 13
    assert stream_of(QUICK) != stream_of(replace(QUICK, base=12))


def test_finished_cells_are_not_run_again_and_a_cut_line_is(tmp_path, small, monkeypatch):
    ran = []
    monkeypatch.setattr(
        twin_grid, "run_cell",
        lambda cell: ran.append(cell) or {"run": {"acc": 0.0, "cost_cpu_seconds": 0.0}},
    )  # fmt: skip
    run(["small"], tmp_path, (0, 1))
    run(["small"], tmp_path, (0, 1))
    assert ran == [QUICK, BOOK]
    (file,) = tmp_path.glob("*.jsonl")
    file.write_text(file.read_text()[:-20])  # as a kill leaves it
    run(["small"], tmp_path, (0, 1))
    assert ran == [QUICK, BOOK, BOOK]
    assert len(twin_grid.finished(tmp_path)) == 2


def test_parts_share_the_cells(tmp_path, small, monkeypatch):
    ran = []
    monkeypatch.setattr(
        twin_grid, "run_cell",
        lambda cell: ran.append(cell) or {"run": {"acc": 0.0, "cost_cpu_seconds": 0.0}},
    )  # fmt: skip
    run(["small"], tmp_path, (1, 2))
    assert ran == [BOOK]


def test_tables_of_finished_cells(tmp_path, small):
    run(["small"], tmp_path / "work", (0, 1))
    tables = collect(tmp_path / "work", tmp_path / "out")
    for name, table in tables.items():
        again = pd.read_parquet(tmp_path / "out" / f"{name}.parquet")
        assert len(again) == len(table)
    assert len(tables["runs"]) == 2 and len(tables["facts"]) == 1 + 6
    assert {"world", "base", "modality", "seed", "commit"} <= set(tables["looks"])
    law = tables["law"]
    assert set(RUN_COLUMNS) <= set(law)
    # Each of six facts counts, and the run at the one mark that its start leaves room for.
    assert sorted(law.unit) == ["fact"] * 6 + ["run"]
    assert law[law.unit == "run"].mark.tolist() == [0.2]
    facts = law[law.unit == "fact"]
    np.testing.assert_allclose(facts.share, 1 / 6, rtol=1e-6)
    assert facts.p.mean() == pytest.approx(0.225, rel=0.15)


def test_nothing_to_collect_is_said(tmp_path):
    with pytest.raises(UserError, match="no cell of a grid is finished"):
        collect(tmp_path, tmp_path / "out")


def test_the_law_is_not_fitted_to_other_settings():
    row = {
        "run": 0, "grid": "settings", "world": "rules", "base": 11, "modality": "x", "seed": 100,
        "kl": 0.01, "base_p": 0.1, "first_right": 1, "completions": 64,
    }  # fmt: skip
    assert law_runs(pd.DataFrame([row]), pd.DataFrame(), pd.DataFrame()).empty
