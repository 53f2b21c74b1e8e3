"""Two commands that want to make the same: the second is told so, and the first is undisturbed.

Two `medrl evaluate` into one folder are in tests/train/test_resume.py.
"""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from test_killed import COMMAND, contents, wait_until
from typer.testing import CliRunner

import made_runs
import tiny
from conftest import RESULTS, write_notebook
from medrl.commands import main as cli
from medrl.studies import plan
from medrl_core import files
from medrl_core.errors import UserError
from medrl_core.models import towers

# A run that waits in its kernel while the file `hold` is there.
HELD = """
import time
from pathlib import Path
Path("waits").touch()
while Path("hold").exists():
    time.sleep(0.02)
"""


@pytest.fixture
def held(toy):
    """The toy project with a run 02_support that waits."""
    write_notebook("02_support", HELD + RESULTS.format(k="k"))
    Path("hold").touch()
    return toy


def start(*words: str) -> subprocess.Popen:
    """Start a command, and return when the run that waits has begun."""
    said = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = subprocess.Popen([*COMMAND, *words], text=True, **said)
    wait_until(lambda: Path("waits").exists() or process.poll() is not None)
    return process


def let_go(process: subprocess.Popen) -> str:
    """End the waiting, and return what the command said; its end is good."""
    Path("hold").unlink()
    said, _ = process.communicate()
    assert process.returncode == 0, said
    return said


def refused(*words: str) -> str:
    """The one line with which a second command ends."""
    plan.file_hash.cache_clear()
    done = CliRunner().invoke(cli.app, list(words))
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.output
    return done.stderr


TOLD = "the second is told so in one line; what the first makes is whole"


@pytest.mark.fault(
    "Disk and machine",
    "a second study, sweep or run while a study makes the same, also once `medrl` is killed",
    TOLD,
)
def test_what_a_study_makes_is_left_alone(held, tried):
    process = start("study", "toy")
    for words, what in (
        (["study", "toy"], "a study"),
        (["sweep", "02_support", "--study", "toy", "-p", "k=4,8"], "a study"),
        (["run", "02_support", "--study", "toy"], "runs/toy/02_support"),
        (["run", "02_support", "--study", "toy", "--only"], "runs/toy/02_support"),
    ):
        with tried():
            assert f"{what} is being made here by another process; wait for it" in refused(*words)
    with tried():  # what `medrl` has started goes on without it, and is left alone as well
        process.kill()
        process.wait()
        assert "a study is being made here by another process" in refused("study", "toy")
        Path("hold").unlink()
        process.communicate()  # until the last of them has ended
        assert sorted(os.listdir("runs/toy")) == ["02_support", "06_boundary", "sweeps"]


@pytest.mark.fault("Disk and machine", "a study while `medrl run` makes one of its runs", TOLD)
def test_a_study_leaves_a_run_alone_that_another_process_makes(held, tried):
    """There is an old run, too: nothing puts it back in the place of the new one."""
    made_runs.write_run(Path("runs/toy/02_support"), "toy", "02_support")
    process = start("run", "02_support", "--study", "toy")
    with tried():
        study = subprocess.run([*COMMAND, "study", "toy"], text=True, capture_output=True)
        assert study.returncode == 1
        assert "runs/toy/02_support is being made here by another process" in study.stderr
        let_go(process)
        found = contents(Path("runs/toy/02_support"))
        assert b"hold" in found["executed.ipynb"]
        assert os.listdir("runs/toy") == ["02_support"]


def test_a_child_goes_on_holding_the_lock(tmp_path):
    """As Snakemake and Jupyter Book do when `medrl` alone is killed."""
    lock = tmp_path / ".book.lock"
    with files.locked(lock, "the book") as held:
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[held])
        lock.rename(tmp_path / "kept")  # a process that is killed does not remove it
    (tmp_path / "kept").rename(lock)
    with (
        pytest.raises(UserError, match="the book is being made here"),
        files.locked(lock, "the book"),
    ):
        pass
    child.communicate()
    with files.locked(lock, "the book"):
        pass
    assert not lock.exists()


@pytest.mark.fault(
    "Disk and machine",
    "two processes that want the same features at once",
    "the second waits, and reads what the first has kept; nothing is computed twice",
)
def test_the_same_features_are_computed_once(tmp_path, tried):
    calls = []

    def encode(images: np.ndarray) -> np.ndarray:
        calls.append(len(images))
        return np.ones((len(images), 2), "f4")

    tower = towers.Tower("t", "h", encode)
    first = towers.features(tower, tiny.image_set(), "train", tmp_path / "first")
    (kept,) = (tmp_path / "first").iterdir()
    (tmp_path / "second").mkdir()
    found = []
    with tried():
        # Somebody computes them, and has them when the second process gets its turn.
        with FileLock(tmp_path / "second" / f".{kept.name}.lock"):
            waiting = threading.Thread(
                target=lambda: found.append(
                    towers.features(tower, tiny.image_set(), "train", tmp_path / "second")
                )
            )
            waiting.start()
            kept.rename(tmp_path / "second" / kept.name)
        waiting.join()
        assert len(calls) == 1
        assert np.array_equal(found[0], first)
