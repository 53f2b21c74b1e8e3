"""Ours beside the published row, worked out by hand."""

from __future__ import annotations

import math

import pytest
import yaml

from conftest import ROOT
from medrl.studies import parameters
from medrl_core import plain
from medrl_core.data.vqa import BENCHMARKS
from medrl_core.score import published
from medrl_core.score.intervals import Estimate

ROW = yaml.safe_load((ROOT / "data/published.yaml").read_text())["vqa"]["values"]
PLANNED = {"n_items": 500, "k": 16, "max_new_tokens": 2048}
ONE = Estimate(0.5, 0.4, 0.6, 120)


def test_gpu_hours_by_hand():
    # 500 items, 17 answers, 2048 tokens: 17,408,000 tokens, 8704 s at 2000 a second.
    assert published.gpu_hours(500, 16, 2048) == pytest.approx(8704 / 3600)


def test_what_is_not_run_says_what_would_run_it():
    table = published.beside(ROW, {"SLAKE": ONE}, **PLANNED).set_index("benchmark")
    assert list(table.index[:6]) == list(BENCHMARKS)
    assert table.loc["SLAKE", ["value", "low", "high", "n"]].tolist() == [0.5, 0.4, 0.6, 120]
    others = table.loc[[name for name in BENCHMARKS if name != "SLAKE"]]
    assert others["value"].isna().all() and others.gpu_hours.notna().all()
    assert table.command["PathVQA"] == (
        "medrl run 07_vqa --study paper -p 'benchmarks=[PathVQA]' "
        "-p 'sources={PathVQA: UCSC-VLAA/MedVLThinker-Eval@HASH}'")
    text = published.shown(table.reset_index()).set_index("benchmark")
    assert text.loc["SLAKE"].tolist() == ["88", "50.0 [40.0, 60.0]", "120", ""]
    assert text.loc["VQA-RAD"].tolist() == ["79", "not run", "", "at most 2.4"]


def test_the_average_is_computed_and_the_published_one_stays_as_published():
    table = published.beside(ROW, {}, **PLANNED).set_index("benchmark")
    # (59 + 62.94 + 34.5 + 65.5 + 88 + 79) / 6
    assert table.published["average of the column"] == pytest.approx(388.94 / 6)
    assert table.published["average as published"] == 64.91
    text = published.shown(table.reset_index()).set_index("benchmark")
    assert text.loc["average of the column"].tolist() == ["64.82", "", "", ""]
    assert text.loc["average as published"].tolist() == ["64.91", "", "", ""]


def test_our_average_needs_all_six():
    ours = {name: Estimate(i / 10, 0, 1, 10) for i, name in enumerate(BENCHMARKS)}
    table = published.beside(ROW, ours, **PLANNED).set_index("benchmark")
    assert table["value"]["average of the column"] == pytest.approx(0.25)
    assert math.isnan(table.low["average of the column"])
    del ours["SLAKE"]
    table = published.beside(ROW, ours, **PLANNED).set_index("benchmark")
    assert math.isnan(table["value"]["average of the column"])


def test_the_command_passes_the_check_of_parameters():
    """Read as `medrl run` reads it, with a hash in place of HASH."""
    words = published.command("PMC-VQA").replace("HASH", "0" * 40).split(" -p ")[1:]
    pairs = [word.strip("'").split("=", 1) for word in words]
    given = {name: plain.parse_yaml(text, name) for name, text in pairs}
    checked = parameters.check("07_vqa", given)
    assert checked.sources == {"PMC-VQA": f"UCSC-VLAA/MedVLThinker-Eval@{'0' * 40}"}
