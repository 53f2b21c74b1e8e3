"""Imports go one way, and code and notebooks are clean under ruff."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from conftest import ROOT

BIN = Path(sys.executable).parent


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_imports_go_one_way():
    run(str(BIN / "lint-imports"), "--no-cache")


def test_ruff_finds_nothing_in_code_and_notebooks():
    run(str(BIN / "ruff"), "check", "--no-cache", ".")


def test_each_module_says_what_it_is_for():
    for package in ("medrl_core", "medrl"):
        for path in (ROOT / package).rglob("*.py"):
            assert path.read_text().startswith(('"""', 'r"""')), path
