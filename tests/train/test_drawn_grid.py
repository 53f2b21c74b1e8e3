from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch

from medrl_core.data.drawn.items import build_items
from medrl_core.data.drawn.modalities import RULES_WORLD
from medrl_core.train import drawn_grid
from medrl_core.train.drawn_cells import DrawnCell, cells
from medrl_core.train.drawn_looks import numbers

CELL = DrawnCell("law", "rules", 11, "knee film", "rl", 900, 128)


@pytest.fixture(autouse=True)
def few_items(monkeypatch):
    monkeypatch.setattr(drawn_grid, "ITEMS", 8)
    monkeypatch.setattr(drawn_grid, "TRAIN_ITEMS", 8)
    drawn_grid._before.cache_clear()
    yield
    drawn_grid._before.cache_clear()


def test_no_cell_comes_twice_and_claims_come_first():
    todo = list(cells())
    assert len({cell.key for cell in todo}) == len(todo)
    assert {cell.seed for cell in todo} == {*range(100, 108), *range(200, 205)}
    early = Counter((cell.base, cell.modality) for cell in todo[:322] if cell.grid == "law")
    names = [one.name for one in RULES_WORLD.modalities]
    assert early == dict.fromkeys(product((11, 12), names), 5)
    assert not any(cell.train_vision for cell in todo if cell.grid != "settings")


def test_a_cell_says_all_of_its_training():
    found = drawn_grid.run_cell(CELL, {})
    row, looks = found["run"], found["looks"]
    assert row["completions"] == row["cost_completions"] == 128 and row["cost_gold"] == 16
    assert len(row["test_p"]) == len(row["base_test_p"]) == 8 and len(row["rates"]) == 2
    assert row["hits"] == round(sum(row["rates"]) * 64) > 0
    assert row["p"] == pytest.approx(np.mean(row["test_p"]), rel=1e-3)
    assert [look["n"] for look in looks] == [0]
    assert looks[0]["p"] == pytest.approx(np.mean(row["base_test_p"]), rel=0.2)
    (fact,) = found["facts"]
    assert fact["first"] == row["first_right"] <= 128 and fact["hits"] == row["hits"]
    assert row["cost_cpu_seconds"] > 0 and row["commit"]
    json.dumps(found)


@pytest.mark.parametrize(
    "change",
    [{"arm": "format"}, {"arm": "wrong", "mixed": 1.0}, {"arm": "rate0", "learning_rate": 0.0},
     {"arm": "care", "objective": "care", "bonus": 0.5}, {"arm": "rft"},
     {"arm": "sft", "completions": 0, "labels": 4}, {"arm": "shuffled", "labels": 4},
     {"arm": "sft_rl", "labels": 4}, {"arm": "base", "completions": 0},
     {"arm": "curriculum", "first": "angiogram", "completions": 192}],
    ids=lambda change: change["arm"],
)  # fmt: skip
def test_each_arm(change):
    cell = replace(CELL, **{"completions": 64, **change})
    bench = drawn_grid.Bench(cell, {})
    made = bench.make()
    pairs = zip(made.net.parameters(), bench.start.parameters(), strict=True)
    moved = any(not torch.equal(one, other) for one, other in pairs)
    assert moved == (cell.arm not in ("base", "rate0"))
    labels = {"sft": 32, "shuffled": 32, "sft_rl": 32}.get(cell.arm, 0)
    assert cell.arm == "rft" or made.cost.labels == labels
    gold = {"base": 0, "sft": 4, "shuffled": 4, "sft_rl": 12, "curriculum": 24}
    assert made.cost.gold == gold.get(cell.arm, 8)
    for name, weight in made.net.named_parameters():
        if "visual" in name:  # all arms freeze the tower, where the cell says no other
            assert torch.equal(weight, bench.start.get_parameter(name))


def test_a_coin_takes_the_rates_of_its_arm(tmp_path, monkeypatch):
    asked = [CELL, replace(CELL, grid="controls", arm="coin")]
    monkeypatch.setattr(drawn_grid, "cells", lambda: iter(asked))
    drawn_grid.run(tmp_path, (0, 1))
    true, coin = (one["run"] for one in drawn_grid.finished(tmp_path))
    # A coin a completion, at the rate of that step: 64 draws of mean r spread by at most 1/16.
    for look, rate in zip([coin["rates"]], [true["rates"]], strict=True):
        assert len(look) == len(rate)
    assert coin["hits"] != true["hits"] or coin["test_p"] != true["test_p"]
    seen = []
    monkeypatch.setattr(
        drawn_grid.Bench, "rl", lambda self, net, rewards=(), **_: seen.append(rewards)
    )
    bench = drawn_grid.Bench(asked[1], {drawn_grid._place(asked[1]): true["rates"]})
    bench._coin()
    assert seen[0][0].rates == true["rates"]


def test_a_killed_run_goes_on_and_its_cut_line_runs_again(tmp_path, monkeypatch):
    asked = [
        replace(CELL, completions=64),
        replace(CELL, grid="base", arm="base", completions=0, seed=901),
    ]  # fmt: skip
    monkeypatch.setattr(drawn_grid, "cells", lambda: iter(asked))
    ran = []
    run_cell = drawn_grid.run_cell

    def spied(cell, rates):
        ran.append(cell.seed)
        return run_cell(cell, rates)

    monkeypatch.setattr(drawn_grid, "run_cell", spied)
    drawn_grid.run(tmp_path, (0, 1))
    path = tmp_path / "part-0-of-1.jsonl"
    lines = path.read_text().splitlines()
    path.write_text(lines[0] + "\n" + lines[1][:100])
    drawn_grid.run(tmp_path, (0, 1))
    assert ran == [900, 901, 901]
    tables = drawn_grid.collect(tmp_path, tmp_path / "out")
    assert sorted(tables["runs"]["seed"]) == [900, 901] and set(tables["law"]["seed"]) == {900}
    kept = pd.read_parquet(tmp_path / "out" / "runs.parquet")
    assert len(kept["test_p"][0]) == 8 and kept["commit"].notna().all()


def test_numbers_of_answers():
    items = build_items(RULES_WORLD, "skin photo", "test", n=2)
    first, second = items
    right = f"<think> {first.reading}</think><answer> {first.gold}</answer>"
    other = f"<think> {first.reading}</think><answer> {second.gold}</answer>"
    rows = pd.DataFrame(
        [(first.item_id, -1, right, first.gold, True), (second.item_id, -1, "x", None, False),
         (first.item_id, 0, right, first.gold, True), (first.item_id, 1, other, second.gold, False),
         (second.item_id, 0, other, second.gold, True), (second.item_id, 1, "x", None, False)],
        columns=["item_id", "sample_index", "text", "parsed", "correct"],
    )  # fmt: skip
    found = numbers(items, rows)
    assert found["acc"] == 0.5 and found["well"] == 0.75 and found["words"] == 1
    # Reasonings: two of the first item are its own; that of the second is the first's.
    assert found["thought"] == 0.5 and found["right_thought"] == 0.5
    assert found["commonest"] == pytest.approx(2 / 3)
