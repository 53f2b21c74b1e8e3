"""The page on your own data: each example runs as written, in the order of the page."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from conftest import ROOT
from medrl.commands import main as cli
from medrl.studies.plan import Study

PAGE = (ROOT / "book/own_data.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder in which the page's Python was run, and the base model is at its place."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "data").mkdir()
    (folder / "data/drawn-base").symlink_to(ROOT / "data/drawn-base")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        names: dict = {}
        for block in blocks("python"):
            assert len(block.splitlines()) <= 16
            exec(block, names)
    return folder


def test_each_form_has_an_example_that_runs(made):
    assert len(blocks("python")) == 7
    forms = {"questions.csv", "export.tsv", "wards.jsonl", "bones", "cells.npz", "saved", "shards"}
    assert forms <= {path.name for path in made.iterdir()}


def test_the_commands_lead_from_a_csv_to_a_decision(made, monkeypatch):
    monkeypatch.chdir(made)
    said = {}
    for line in blocks("sh")[0].splitlines():
        words = shlex.split(line)[1:]
        done = CliRunner().invoke(cli.app, words)
        assert done.exit_code == 0, done.output
        said[words[0]] = done.stdout
    assert "items: 20 (test 20) of questions" in said["data"]
    assert "mcq: 20 items, guess floor 50.0%" in said["data"]
    assert "Pass@4" in said["evaluate"] and said["score"] == said["evaluate"]
    assert said["diagnose"].startswith("questions (data/drawn-base, mcq")
    assert Path("answers/diagnosis.json").is_file()


def test_the_study_of_the_page_is_one():
    from medrl.studies import plan

    content = yaml.safe_load(blocks("yaml")[0])
    study = Study(name="mine", path="notebooks/studies/mine.yaml", **content)
    values = plan.resolve(study, "07_vqa")
    assert values.benchmarks == ["mine"] and values.sources == {"mine": "questions.csv"}
