"""Manifests are written whole, read strictly, and shown in the book."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess

import pytest

from medrl.book import origin
from medrl.studies import manifest
from medrl_core.errors import UserError

MANIFEST = manifest.Manifest(
    study="micro",
    label="embedded",
    notebook="02_support",
    command="medrl run 02_support --study micro",
    parameters={"k": 16, "seed": 3},
    seeds=[3],
    commit="0123456789abcdef",
    dirty=True,
    sources={"notebooks/02_support.ipynb": "aa"},
    data_hashes={"chest film, test": "d41d"},
    model_hashes={"base": "beef"},
    packages={"torch": "2.15.0"},
    hardware={"cores": 2},
    started="2026-11-23T22:00:00+00:00",
    wall_seconds=61.6,
    peak_memory_mb=900,
)


def test_what_is_written_is_read(tmp_path):
    manifest.write(MANIFEST, tmp_path)
    assert manifest.read(tmp_path) == MANIFEST
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_a_missing_manifest_is_named(tmp_path):
    with pytest.raises(UserError, match="manifest.json is missing"):
        manifest.read(tmp_path)


@pytest.mark.parametrize("change", [{"version": 2}, {"seeds": "x"}, {"extra": 1}])
def test_a_manifest_of_another_form_is_refused(tmp_path, change):
    content = {**MANIFEST.model_dump(), **change}
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"manifest.json: {next(iter(change))}"):
        manifest.read(tmp_path)


def test_a_truncated_manifest_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text(MANIFEST.model_dump_json()[:-9])
    with pytest.raises(UserError, match="run it again"):
        manifest.read(tmp_path)


def test_the_footer_names_all_that_is_needed_to_make_it_again():
    text = origin.footer(MANIFEST, ["[numbers](x.csv)", "[rollouts](y)"])
    for words in [
        "micro (embedded)",
        "`0123456789ab` with uncommitted changes",
        "| Data: chest film, test | `d41d` |",
        "| Model: base | `beef` |",
        '"k": 16',
        "62 s",
        "[numbers](x.csv) · [rollouts](y)",
        "torch 2.15.0",
        "medrl run 02_support --study micro",
    ]:
        assert words in text


def test_git_state_follows_commits_and_changes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert manifest.git_state() == (None, None)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "a").write_text("1")
    subprocess.run([*git, "add", "a"], check=True)
    subprocess.run([*git, "commit", "-qm", "a"], check=True)
    commit, dirty = manifest.git_state()
    assert (len(commit), dirty) == (40, False)
    (tmp_path / "a").write_text("2")
    assert manifest.git_state() == (commit, True)
    assert manifest.commit_date()
    (tmp_path / "unpacked").mkdir()  # a ZIP file of the project, unpacked in another repository
    monkeypatch.chdir("unpacked")
    assert (manifest.git_state(), manifest.commit_date()) == ((None, None), None)


def test_packages_are_those_of_all_layers_that_are_installed(monkeypatch):
    asked = [
        "numpy>=2", 'torch; extra == "models"', 'gone-from-here; extra == "models"',
        'medrl[models]; extra == "study"', 'papermill; extra == "study"', 'pytest; extra == "dev"',
    ]  # fmt: skip
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: asked)
    found = manifest.packages()
    assert list(found) == ["python", "numpy", "torch", "papermill"]
    assert found["numpy"] == importlib.metadata.version("numpy")
