"""The two commands in a folder of any name, with another Python first in PATH, with uv and without.

The recipes run for real; what they call are stand-ins that write down how they were called. `make
base` installs for real, in such a folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import ROOT

NAMES = ["plain", "My Clone", "médical VLMs 日本語", "it's (a) \"clone\"", "x" * 200]
STAND_IN = '#!/bin/sh\nprintf "%s|" "$(basename "$0")" "$@" >> "{log}"\necho >> "{log}"\n'
# The Python that makes the environment: what it makes is stand-ins too.
PYTHON = STAND_IN + (
    'if [ "$2" = venv ]; then mkdir -p "$3/bin"; for name in python medrl ruff lint-imports; do '
    'cp "{stand_in}" "$3/bin/$name"; done; fi\n'
)


@pytest.fixture(params=NAMES)
def clone(request, tmp_path) -> Path:
    """A folder with what make reads, and beside it a bin of stand-ins and their log."""
    folder = tmp_path / request.param / request.param
    folder.mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    (tmp_path / "bin").mkdir()
    write(tmp_path / "bin/stand-in", STAND_IN, tmp_path)
    write(tmp_path / "bin/python-of-mine", PYTHON, tmp_path)
    return folder


def write(path: Path, script: str, place: Path) -> None:
    path.write_text(script.format(log=place / "log", stand_in=place / "bin/stand-in"))
    path.chmod(0o755)


def make(folder: Path, place: Path, *words: str) -> list[list[str]]:
    """Run make in the folder as a shell in a conda environment would; return what was called."""
    conda = place / "conda env"
    if not conda.is_dir():
        (conda / "bin").mkdir(parents=True)
        for name in ("python", "python3", "pip"):
            write(conda / "bin" / name, "#!/bin/sh\nexit 9\n", place)
    environment = {
        "PATH": f"{conda}/bin:{place}/bin:/usr/bin:/bin", "CONDA_PREFIX": str(conda),
        "HOME": str(place),
    }  # fmt: skip
    (place / "log").write_text("")
    subprocess.run(
        ["make", f"PYTHON={place}/bin/python-of-mine", *words],
        cwd=folder, env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [line.split("|")[:-1] for line in (place / "log").read_text().splitlines()]


def test_both_commands_install_once_and_run_what_was_installed(clone, tmp_path):
    install = ["-m", "pip", "install", "-c", "constraints.txt", "-e", ".[cluster,dev]"]
    book = ["medrl", "book", "--study", "micro"]
    check, venv, *rest = make(clone, tmp_path, "book")
    assert check[:2] == ["python-of-mine", "-c"]
    assert venv == ["python-of-mine", "-m", "venv", ".venv"]
    assert rest == [["python", *install], book]
    assert make(clone, tmp_path, "book", "STUDY=smoke") == [[*book[:-1], "smoke"]]
    everything = ["python", "-m", "pytest", "-n", "2", "--dist", "loadfile"]
    tests = [["medrl", "study", "smoke"], everything]
    assert make(clone, tmp_path, "test") == tests
    os.utime(clone / "pyproject.toml", (2**32, 2**32))  # what is asked for has changed
    assert make(clone, tmp_path, "book")[-2:] == [["python", *install], book]


def test_uv_installs_where_it_is_installed(clone, tmp_path):
    (tmp_path / "bin/uv").symlink_to("stand-in")
    install = ["install", "-c", "constraints.txt", "-e", ".[cluster,dev]"]
    called = make(clone, tmp_path, "install")
    assert called[-1] == ["uv", "pip", "install", "--python", ".venv/bin/python", *install[1:]]
    shutil.rmtree(clone / ".venv")
    assert make(clone, tmp_path, "install", "UV=")[-1] == ["python", "-m", "pip", *install]


def test_a_python_that_is_too_old_or_new_ends_it_before_anything_is_made(tmp_path):
    folder = tmp_path / "My Clone"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    write(tmp_path / "python-of-mine", "#!/bin/sh\nexit 1\n", tmp_path)
    done = subprocess.run(
        ["make", "book", f"PYTHON={tmp_path}/python-of-mine"],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "medrl needs Python 3.11 to 3.13; name one: make book PYTHON=" in done.stderr
    assert not (folder / ".venv").exists()
