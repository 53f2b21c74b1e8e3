"""CITATION.cff is what the format asks for and agrees with the package; the book's box says both.

`cffconvert --validate` (not installed here: it needs an old jsonschema) found the file valid.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from conftest import ROOT
from medrl.book import citing
from medrl.studies import manifest
from medrl_core.errors import UserError

BIB = ROOT / "book/references.bib"


@pytest.fixture
def clone(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    Path("CITATION.cff").write_bytes((ROOT / "CITATION.cff").read_bytes())
    return tmp_path


def test_citation_file_has_what_the_format_asks_for():
    about = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert about["cff-version"] == "1.2.0"
    assert about["type"] == "software"
    assert {"message", "title", "authors"} <= set(about)
    assert all(set(one) == {"name"} for one in about["authors"])
    for reference in about["references"]:
        assert {"type", "title", "authors"} <= set(reference)


def test_citation_file_agrees_with_the_package():
    about = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert about["version"] == project["version"] == manifest.version()
    assert about["license"] == project["license"]


def test_bibtex_by_hand():
    about = {"title": "A title", "version": "1.0", "authors": [{"name": "One group"}]}
    assert citing.bibtex(about, "commit abc, 2026-03-01", "2026") == (
        "@software{medrl,\n  title = {{A title}},\n  author = {{One group}},\n"
        "  version = {1.0},\n  note = {commit abc, 2026-03-01},\n  year = {2026},\n}"
    )
    assert "year" not in citing.bibtex(about, "not under git", "no d")


def test_the_box_names_title_version_commit_and_date(clone, monkeypatch):
    monkeypatch.setattr(manifest, "git_state", lambda: ("0123456789abcdef", True))
    monkeypatch.setattr(manifest, "commit_date", lambda: "2026-03-01")
    box = citing.box(BIB)
    assert "Version 0.1.0, commit 0123456789ab with uncommitted changes, 2026-03-01." in box
    assert "year = {2026}" in box
    assert "@article{jeddi2026," in box
    assert all(line.count("{") == line.count("}") for line in re.findall(r"  title = .*", box))


def test_outside_git_the_box_says_so(clone):
    assert "not under git, no date" in citing.box(BIB)


def test_a_missing_file_or_entry_is_told_in_one_line(clone):
    Path("empty.bib").write_text("@book{x,\n}")
    with pytest.raises(UserError, match="empty.bib has no entry jeddi2026"):
        citing.box(Path("empty.bib"))
    Path("CITATION.cff").unlink()
    with pytest.raises(UserError, match="whole clone"):
        citing.read()
