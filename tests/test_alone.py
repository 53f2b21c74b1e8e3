"""A notebook that is opened alone, as by a launch button, fetches and installs the project.

MEDRL_INSTALL=1 also tries that for real, in a fresh environment: it took 7 minutes on two busy
cores, and 6.6 GB of disk.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from conftest import ROOT
from medrl.book import assembly
from medrl.studies import plan
from medrl_core.errors import UserError

PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ADDRESS = re.compile(r'^repository = "(.*)"', re.M)
CONFIG = (ROOT / "_config.yml").read_text()


def install_cell(path: Path) -> str:
    """Return the source of the cell that installs."""
    cell = nbformat.read(path, as_version=4).cells[1]
    assert cell.metadata.tags == ["install", "remove-cell"]
    return cell.source


def with_address(cell: str, address: str) -> str:
    return ADDRESS.sub(f'repository = "{address}"', cell)


@pytest.fixture
def started(monkeypatch) -> list[list[str]]:
    """Collect the commands that a cell starts, instead of starting them."""
    commands = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: commands.append(command))
    return commands


def test_each_notebook_has_the_same_cell_with_the_address_of_the_book():
    (cell,) = {install_cell(path) for path in PATHS}
    assert ADDRESS.search(cell)[1] == yaml.safe_load(CONFIG)["repository"]["url"]


def test_in_a_clone_the_cell_does_nothing(monkeypatch, started):
    monkeypatch.chdir(ROOT)
    exec(install_cell(PATHS[0]), {})
    assert (Path.cwd(), started) == (ROOT, [])


def test_beside_the_notebook_it_goes_to_the_top_folder(monkeypatch, started):
    monkeypatch.chdir(ROOT / "notebooks")
    exec(install_cell(PATHS[0]), {})
    assert (Path.cwd(), started) == (ROOT, [])


def test_without_the_package_it_clones_and_installs_what_is_pinned(tmp_path, monkeypatch, started):
    (tmp_path / "medrl").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    cell = install_cell(PATHS[0])
    with pytest.raises(SystemExit, match="open this notebook in a clone"):
        exec(with_address(cell, ""), {})
    assert started == []
    monkeypatch.delitem(sys.modules, "numpy", raising=False)
    exec(with_address(cell, "somewhere"), {})
    clone, pip = started
    assert clone == ["git", "clone", "--depth=1", "somewhere", "medrl"]
    assert pip[1:] == ["-m", "pip", "install", "-q", "-c", "constraints.txt", "-e", "."]
    assert Path.cwd() == tmp_path / "medrl"


def test_a_session_that_holds_another_numpy_is_told_to_restart(tmp_path, monkeypatch, started):
    (tmp_path / "medrl").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "numpy", object())
    with pytest.raises(SystemExit, match="restart the session"):
        exec(with_address(install_cell(PATHS[0]), "somewhere"), {})


def test_the_cell_makes_no_run_stale(tmp_path):
    notebook = nbformat.read(PATHS[0], as_version=4)
    paths = [tmp_path / f"{name}.ipynb" for name in ("whole", "moved", "without", "other")]
    nbformat.write(notebook, paths[0])
    notebook.cells[1].source = with_address(notebook.cells[1].source, "elsewhere")
    nbformat.write(notebook, paths[1])
    del notebook.cells[1]
    nbformat.write(notebook, paths[2])
    notebook.cells[1].source += "\nk = 3"
    nbformat.write(notebook, paths[3])
    whole, moved, without, other = map(plan._notebook_hash, paths)
    assert whole == moved == without == plan.file_hash(paths[2])
    assert other != whole


def at(address: str) -> str:
    return CONFIG.replace('url: ""', f"url: {address}")


def test_a_book_without_an_address_has_no_launch_buttons():
    assert "launch_buttons" not in yaml.safe_load(assembly.configuration(at('""')))
    config = yaml.safe_load(assembly.configuration(at("https://github.com/owner/medrl")))
    assert {"binderhub_url", "colab_url"} <= set(config["launch_buttons"])


@pytest.mark.parametrize("address", ["/home/me", "https://github.com/o", "git@github.com:o/medrl"])
def test_an_address_that_nobody_can_launch_is_refused(address):
    with pytest.raises(UserError, match="is not https://github.com/OWNER/NAME") as error:
        assembly.configuration(at(address))
    assert "\n" not in str(error.value)


@pytest.mark.skipif("MEDRL_INSTALL" not in os.environ, reason="MEDRL_INSTALL=1 installs for real")
def test_on_a_clean_machine_it_installs_and_the_notebook_runs(tmp_path, monkeypatch):
    """A fresh environment with a kernel and no more, and the last commit of this clone as address.

    The kernel's folder holds the notebook alone; Papermill here plays the browser.
    """
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share/jupyter"))
    python = tmp_path / "fresh/bin/python"
    pins = ["-c", ROOT / "constraints.txt"]
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "fresh"], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", *pins, "ipykernel"], check=True)
    kernel = ["ipykernel", "install", "--prefix", tmp_path, "--name", "fresh"]
    subprocess.run([python, "-m", *kernel], check=True)

    notebook = nbformat.read(ROOT / "notebooks/02_support.ipynb", as_version=4)
    notebook.cells[1].source = with_address(notebook.cells[1].source, str(ROOT))
    notebook.cells.append(nbformat.v4.new_code_cell("import medrl_core\nmedrl_core.__file__"))
    place = tmp_path / "alone"
    place.mkdir()
    nbformat.write(notebook, place / "02_support.ipynb")
    command = [sys.executable, "-m", "papermill", "02_support.ipynb", "executed.ipynb"]
    command += ["-k", "fresh", "-p", "k", "4", "-p", "n_items", "10", "--no-progress-bar"]
    subprocess.run(command, cwd=place, check=True)
    last = nbformat.read(place / "executed.ipynb", as_version=4).cells[-1]
    imported = place / "medrl/medrl_core/__init__.py"
    assert last.outputs[0]["data"]["text/plain"] == repr(str(imported))
    assert (place / "medrl/runs/dev/02_support/results.json").is_file()
