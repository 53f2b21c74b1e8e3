"""The page on the code: every import of a notebook leads to the module that says what it does."""

from __future__ import annotations

import re

import pytest

from conftest import ROOT
from medrl.book import api


@pytest.fixture(autouse=True)
def clone_folder(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_a_name_leads_to_its_own_module_or_to_the_one_that_holds_it():
    code = """from IPython.display import Markdown
from medrl_core.report import doses, labels as by_labels
from medrl_core.report.experiment import Experiment
"""
    assert api.imported(code) == {
        "doses": "medrl_core.report.doses", "by_labels": "medrl_core.report.labels",
        "Experiment": "medrl_core.report.experiment",
    }  # fmt: skip
    assert api.links("import os") == "" and api.imported("%matplotlib inline") == {}
    assert "[Experiment](#api-medrl-core-report-experiment)" in api.links(code)


def test_the_page_has_what_the_links_lead_to_and_each_function_with_its_words():
    page = api.page()
    there = set(re.findall(r"^\((api-[\w-]+)\)=$", page, re.M))
    for path in sorted((ROOT / "notebooks").glob("0*.ipynb")):
        for cell in api.clone.read_notebook(path)["cells"]:
            wanted = re.findall(r"\(#(api-[\w-]+)\)", api.links("".join(cell["source"])))
            assert set(wanted) <= there, path.name
    assert "def read(world: str, root: Path=RECORDS) -> Grid:" in page
    assert "Read the recorded tables of a world" in page
    assert "_untrained" not in page and "return Grid(" not in page
