"""Notebooks: their parameters cell matches the model, and the smoke runs say what they said.

`make test` executes the study smoke before; here only what is missing or stale of it runs.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from conftest import ROOT
from medrl.studies import parameter_cells
from medrl.studies import parameters as params

PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CHECKED = "nbval-check-output"


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def parameters(path: Path) -> dict:
    """Return the assignments of the parameters cell."""
    cells = nbformat.read(path, as_version=4).cells
    (cell,) = (cell for cell in cells if "parameters" in tags(cell))
    lines = ast.parse(cell.source).body
    assert all(isinstance(line, ast.AnnAssign) for line in lines), f"{path}: typed values only"
    return {line.target.id: ast.literal_eval(line.value) for line in lines}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_no_later_cell_binds_a_parameter_again(path):
    bound = set()
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and not {"parameters", "install"} & set(tags(cell)):
            stored = [n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Name)]
            bound |= {name.id for name in stored if isinstance(name.ctx, ast.Store)}
    assert not bound & set(parameters(path))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_reader_sees_at_most_ten_lines_in_a_cell(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and not {"parameters", "install"} & set(tags(cell)):
            assert len(cell.source.splitlines()) <= 10, f"{path}: {cell.id}"


def test_each_notebook_has_a_parameter_model():
    assert [path.stem for path in PATHS] == list(params.NOTEBOOKS)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_parameters_cell_is_the_one_written_from_the_model(path):
    """Types and explanations too: `python -m medrl.studies.parameter_cells` writes it anew."""
    expected = {**params.defaults(path.stem), "out": f"runs/dev/{path.stem}"}
    assert parameters(path) == expected
    cells = nbformat.read(path, as_version=4).cells
    (cell,) = (one for one in cells if "parameters" in tags(one))
    assert cell.source == parameter_cells.cell(path.stem)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_only_checked_cells_hold_outputs(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and CHECKED not in tags(cell):
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.fixture(scope="session")
def smoke() -> Path:
    """The run folders of the study smoke, complete and up to date."""
    command = [sys.executable, "-m", "medrl.commands.main", "study", "smoke"]
    subprocess.run(command, cwd=ROOT, check=True)
    return ROOT / "runs" / "smoke"


@pytest.mark.parametrize("notebook", params.NOTEBOOKS)
def test_executed_again_the_checked_cells_of_the_smoke_run_say_the_same(notebook, smoke, tmp_path):
    """nbval executes beside the notebook: a folder with links to data and runs stands in for it."""
    for name in ("data", "runs", "notebooks"):
        (tmp_path / name).symlink_to(ROOT / name)
    executed = nbformat.read(smoke / notebook / "executed.ipynb", as_version=4)
    checked = [cell for cell in executed.cells if CHECKED in tags(cell)]
    assert checked, f"{notebook}: tag at least one cell {CHECKED}"
    (injected,) = (cell for cell in executed.cells if "injected-parameters" in tags(cell))
    injected.source += f"\nout = {json.dumps(str(tmp_path / 'out'))}"
    nbformat.write(executed, tmp_path / f"{notebook}.ipynb")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--nbval-lax",
            "-q",
            "-c",
            os.devnull,
            f"{notebook}.ipynb",
        ],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
