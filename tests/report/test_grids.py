"""Recorded grids: what is absent is said; what is there comes in the columns of live runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from medrl_core.errors import UserError
from medrl_core.report import grids


def run(number: int, **changes) -> dict:
    row = {
        "run": number, "grid": "law", "world": "rules", "base": 11, "modality": "chest film",
        "arm": "rl", "objective": "grpo", "seed": 100, "kl": 0.01, "labels": 0, "group": 8,
        "learning_rate": 3e-4, "bonus": 0.0, "completions": 4096,
        "cost_completions": 4096, "base_p": 0.2,
        "base_test_p": [0.0, 0.5], "test_p": [0.5, 1.0], "acc": 1.0, "acc_validation": 0.9,
        "p": 0.75, "words": 2, "commonest": 0.1, "information": 8.0, "thought": 0.9,
        "right_thought": 0.95, "first_right": 3, "commit": "abcdef0123",
    }  # fmt: skip
    return {**row, **changes}


def look(number: int, n: int, acc: float, **changes) -> dict:
    row = {"run": number, "base": 11, "modality": "chest film", "labels": 0, "n": n, "acc": acc,
           "thought": 0.9}  # fmt: skip
    return {**row, **changes}


@pytest.fixture
def grid() -> grids.Grid:
    runs = [
        run(0),
        run(1, seed=101, acc=0.1, first_right=None, cost_completions=2048),
        run(2, grid="base", arm="base", acc=0.05, completions=0, cost_completions=0),
        run(3, grid="map", arm="sft", labels=16, acc=0.7, completions=0, cost_completions=0,
            first_right=None),
        run(4, grid="law to 16,384", completions=16384, cost_completions=16384),
    ]  # fmt: skip
    looks = [look(0, 0, 0.0), look(0, 512, 0.5), look(0, 1024, 1.0),
             look(1, 0, 0.0), look(1, 512, 0.1), look(4, 0, 0.0), look(4, 512, 0.9)]  # fmt: skip
    return grids.Grid("drawn", {"runs": pd.DataFrame(runs), "looks": pd.DataFrame(looks)})


def test_what_is_not_recorded_is_said(tmp_path):
    found = grids.read("twin", tmp_path)
    assert not found
    assert found.said() == "twin: not recorded"
    assert found.runs.empty
    assert grids.trainings(found).empty
    assert grids.law(0.2, tmp_path / "law.json") is None
    with pytest.raises(UserError, match="drawn, twin, strips"):
        grids.read("real", tmp_path)


def test_tables_are_read_back_and_named_in_the_caption(tmp_path, grid):
    (tmp_path / "drawn").mkdir()
    for name, table in grid.tables.items():
        table.to_parquet(tmp_path / "drawn" / f"{name}.parquet")
    found = grids.read("drawn", tmp_path)
    assert found.said() == "recorded: drawn pictures, 5 trainings, commit abcdef0"
    assert len(found.looks) == 7
    (tmp_path / "drawn" / "runs.parquet").write_bytes(b"no table")
    with pytest.raises(UserError, match="collect it again"):
        grids.read("drawn", tmp_path)


def test_trainings_gain_against_the_untrained_base(grid):
    found = grids.trainings(grid).set_index("run")
    assert found.gain[0] == pytest.approx(0.95)  # 1.0 - .05, the base's own row
    assert found.hits[0] == pytest.approx(0.2 * 4096)
    assert found.hits[1] == pytest.approx(0.2 * 4096)  # it stopped at 2,048 of its budget
    assert found["first"][0] == 3
    assert np.isnan(found["first"][1])
    assert found["pass"][0] == pytest.approx(1.0)  # items of .5 and 1 within 256 samples
    assert found.pass0[0] == pytest.approx(0.5)
    assert found.took_off.tolist() == [True, False, False, True, True]
    assert found.learnt.tolist() == [True, False, False, True, True]
    assert found.n_items.eq(2).all()
    assert grids.trainings(grid, ["sft"]).labels.tolist() == [16]


def test_the_longest_run_of_a_seed_counts_once(grid):
    found = grids.law_trainings(grid)
    assert sorted(zip(found.seed, found.n, strict=True)) == [(100, 16384), (101, 2048)]


def test_a_cube_has_a_column_a_seed(grid):
    table = grids.trainings(grid, ["rl"], ["law"])
    cells, values = grids.cube(table, "acc", ["base", "group"], [100, 101, 102])
    assert cells.tolist() == [(11, "chest film")]
    assert values[0, :2].tolist() == [1.0, 0.1]
    assert np.isnan(values[0, 2])


def test_rows_of_no_run_are_none():
    assert grids.rows_of(None, "runs").empty
