"""The table of all runs: finished, failed and not run, those of sweeps too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from made_runs import write_run
from medrl.book import status
from medrl.studies import parameters


@pytest.fixture
def lines(tmp_path: Path) -> list[str]:
    runs, records = tmp_path / "runs", tmp_path / "records"
    write_run(runs / "toy/02_support", "toy", "02_support")
    write_run(runs / "toy/02_support@01234567", "toy", "02_support")
    manifest = runs / "toy/02_support@01234567/manifest.json"
    manifest.write_text(
        manifest.read_text().replace("--study toy", "--study toy -p k=8 -p 'model=\\\"a|b\\\"'")
    )
    write_run(records / "medmnist/00_data", "medmnist", "00_data")
    for name in ("04_rl", "02_support@89abcdef"):
        kept = runs / ".failed/toy" / name
        kept.mkdir(parents=True)
        failure = {
            "error": "cell 3 raised ValueError: no <b>",
            "command": "medrl run 02_support --study toy -p k=99",
            "started": "2026-03-02T00:00:00+00:00",
            "wall_seconds": 7.4,
        }
        (kept / "failure.json").write_text(json.dumps(failure))
    (runs / ".failed/toy/03_sft").mkdir()  # a failure of an older version, which kept no reason
    folders = [runs / "toy" / name for name in parameters.NOTEBOOKS]
    folders.append(records / "medmnist/00_data")
    return status.table(folders, "toy", runs).splitlines()


def found(lines: list[str], start: str) -> str:
    (line,) = (line for line in lines if line.startswith(f"| {start}"))
    return line


def test_each_notebook_of_each_study_has_a_line(lines):
    assert len([line for line in lines if line.startswith("| ")]) == 1 + 9 + 1 + 2
    line = found(lines, "[02_support](/runs/02_support)")
    assert line.endswith("| [toy]{.study} | finished 2026-03-01 | 3 s, 0 CPU-s, 100 MB |")
    assert found(lines, "[03_sft]").endswith("| not run | n/a |")
    assert found(lines, "00_data").endswith("| finished 2026-03-01 | 3 s, 0 CPU-s, 100 MB |")


def test_a_failed_run_says_why_and_how_long_it_took(lines):
    line = found(lines, "[04_rl]")
    assert "failed 2026-03-02: cell 3 raised ValueError&#58; no &#60;b&#62; | 7 s |" in line


def test_runs_with_parameters_of_their_own_are_named_by_them(lines):
    assert found(lines, "02&#95;support -p k=99").count("failed 2026-03-02") == 1
    line = found(lines, "02&#95;support -p k=8")
    assert "a&#124;b" in line
    assert line.count("finished 2026-03-01") == 1
