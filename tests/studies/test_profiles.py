"""Snakemake reads each shipped profile, and a study's GPUs are as many as its trainings start."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from conftest import ROOT
from medrl.studies import plan
from medrl_core.train import launch

PROFILES = sorted(path.parent.name for path in (ROOT / "profiles").glob("*/config.yaml"))


@pytest.mark.parametrize("profile", PROFILES)
def test_a_dry_run_under_each_profile_plans_the_paper(profile, toy):
    (toy / "profiles").symlink_to(ROOT / "profiles")
    study = ROOT / "notebooks/studies/paper.yaml"
    for notebook in plan.load_study(str(study)).runs:
        (toy / f"notebooks/{notebook}.ipynb").unlink(missing_ok=True)
        (toy / f"notebooks/{notebook}.ipynb").symlink_to(ROOT / f"notebooks/{notebook}.ipynb")
    words = ["study", str(study), "--", "--profile", f"profiles/{profile}", "--dry-run"]
    done = subprocess.run(
        [sys.executable, "-m", "medrl.commands.main", *words],
        env=os.environ | {"MEDRL_RUNS": "shared/runs"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(r"^run +9$", done.stderr, re.M), done.stderr
    assert "gpu=4" in done.stderr or profile == "machine" and "gpu=1" in done.stderr
    assert "mem_mb=320000" in done.stderr
    assert not (toy / "shared/runs/paper").exists()


@pytest.mark.parametrize("name", sorted(path.stem for path in plan.STUDIES.glob("*.yaml")))
def test_a_run_asks_for_a_gpu_for_each_process_that_it_starts(name):
    study = plan.load_study(name)
    for notebook in study.runs:
        config = getattr(plan.resolve(study, notebook), "launch", None)
        if config:
            wanted = launch.processes(launch.config_file(config, check=False))
            assert study.resources[notebook].gpus == wanted


def test_where_only_the_runs_are_shared_a_study_goes_on_as_ever(toy, tmp_path_factory):
    volume = tmp_path_factory.mktemp("volume")
    words = ["study", "toy", "--", "--default-storage-provider", "fs", "--default-storage-prefix"]
    words += [f"{volume}/storage", "--shared-fs-usage", "persistence", "sources", "source-cache"]

    def made() -> dict[str, int]:
        done = subprocess.run(
            [sys.executable, "-m", "medrl.commands.main", *words, "software-deployment"],
            env=os.environ | {"MEDRL_RUNS": f"{volume}/runs"}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found = volume.glob("runs/toy/*/results.json")
        return {path.parent.name: path.stat().st_mtime_ns for path in found}

    first = made()
    assert set(first) == {"02_support", "06_boundary"} and not (toy / "runs").exists()
    assert made() == first
    text = (toy / "notebooks/studies/toy.yaml").read_text()
    (toy / "notebooks/studies/toy.yaml").write_text(text.replace("k: 4", "k: 5"))
    again = made()
    assert all(again[name] > first[name] for name in first)
