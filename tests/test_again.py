"""The page "run it again" is tried as written, the install excepted."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

LEFT = shutil.ignore_patterns(".git", ".venv", "_build", "runs", ".snakemake", "__pycache__")
FENCED = re.compile(r"^```\n(.*?)^```", re.S | re.M)


def sections() -> dict[str, list[str]]:
    """Return the lines to type in each section of the page."""
    parts = re.split(r"^## ", (ROOT / "book/again.md").read_text(), flags=re.M)[1:]
    return {part.partition("\n")[0]: "".join(FENCED.findall(part)).splitlines() for part in parts}


def test_from_install_to_a_changed_parameter_as_written(tmp_path):
    install, *lines = sections()["In three minutes"]
    assert install == "make install"
    assert len(lines) == 3
    clone = tmp_path / "clone"
    shutil.copytree(ROOT, clone, ignore=LEFT)
    (clone / ".venv").symlink_to(sys.prefix)
    printed = []
    for line in lines:
        done = subprocess.run(
            line, shell=True, cwd=clone, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(clone), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        printed.append(clone / done.stdout.strip())
    first, second, page = printed
    assert (first / "executed.ipynb").is_file()
    assert first.name == "02_support"
    assert second.name.startswith("02_support@")
    assert "2 of 2 finished" in page.read_text()
    assert "cell" not in done.stderr  # the sweep found both runs there


def test_each_command_of_the_page_is_known():
    typed = {line.split("medrl ")[1].split()[0] for part in sections().values() for line in part
             if "bin/medrl " in line}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "medrl.commands.main", "--help"], capture_output=True, text=True
    )
    known = set(re.findall(r"^│ (\w+)", done.stdout, re.M))
    assert typed <= known, typed - known


def test_make_knows_the_targets_of_the_page():
    targets = {line.split()[1] for part in sections().values() for line in part
               if line.startswith("make ")}  # fmt: skip
    makefile = Path(ROOT, "Makefile").read_text()
    assert targets == {"install", "book", "test"}
    assert all(f"\n{target}:" in makefile for target in targets)
