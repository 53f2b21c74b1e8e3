"""Studies, books and features killed at random moments: the same command again, and nothing lost.

Sampling is killed in tests/train/test_resume.py, training in tests/train/test_checkpoints.py, a
sweep in tests/studies/test_sweep.py.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import killed
import small_book
from conftest import RESULTS, write_notebook
from medrl_core import files as folders

COMMAND = [sys.executable, "-m", "medrl.commands.main"]


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder with their bytes."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.fault(
    "Killed",
    "the extraction of features killed by SIGKILL or SIGTERM at random images",
    "no half-written file counts as features; made again they are the same bytes",
)
def test_features_killed_are_made_again(tmp_path, monkeypatch, tried):
    here = str(Path(__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]))
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["killed"])

    def start(folder):
        words = [str(folder), f"{folder}.progress"]
        process = server.Process(target=killed.features, args=words)
        process.start()
        return process

    start(tmp_path / "whole").join()
    whole = contents(tmp_path / "whole")
    assert len(whole) == 1
    draw = random.Random(0)
    for number in range(tried.times(3, 24)):
        folder, after = tmp_path / str(number), draw.randrange(1, killed.IMAGES)
        progress = Path(f"{folder}.progress")
        process = start(folder)
        wait_until(lambda: progress.exists() and progress.stat().st_size >= after)  # noqa: B023
        with tried():
            os.kill(process.pid, draw.choice([signal.SIGKILL, signal.SIGTERM]))
            process.join()
            there = {path.name: path.read_bytes() for path in folder.glob("*.npy")}
            assert there in ({}, whole)
            process = start(folder)
            process.join()
            assert process.exitcode == 0
            assert contents(folder) == whole


STEPS = """
import os, signal, sys
from pathlib import Path
from medrl_core import files as folders

what, left = sys.argv[1], int(sys.argv[2])

def count(event, arguments):
    global left
    if event in ("os.rename", "os.remove", "os.rmdir", "shutil.rmtree"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

folder = Path("runs/toy/02_support")
sys.addaudithook(count)
if what == "replace":
    folders.replace(folder, folder.with_name(".02_support.partial-1"))
else:
    folders.mend(folder, "manifest.json")
"""


@pytest.mark.fault(
    "Killed",
    "SIGKILL at each step of the exchange of an old run for a new one, and of the mending after it",
    "the new run is there whole, in its place, and nothing else",
)
def test_the_exchange_of_a_run_loses_none(tmp_path, monkeypatch, tried):
    monkeypatch.chdir(tmp_path)
    both = [(first, second) for first in range(10) for second in range(10)]
    ends = set()
    for steps in random.Random(0).sample(both, tried.times(8, len(both))):
        shutil.rmtree("runs", ignore_errors=True)
        for name, text in (("02_support", "old"), (".02_support.partial-1", "new")):
            Path("runs/toy", name, "figures").mkdir(parents=True)
            for file in ("results.json", "figures/a.svg", "manifest.json"):
                Path("runs/toy", name, file).write_text(text)
        with tried():
            for what, step in zip(("replace", "mend"), steps, strict=True):
                command = [sys.executable, "-c", STEPS, what, str(step)]
                ends.add((what, subprocess.run(command).returncode))
            folders.mend_all(Path("runs/toy"), "manifest.json")
            assert os.listdir("runs/toy") == ["02_support"]
            found = contents(Path("runs/toy/02_support"))
            assert set(found.values()) == {b"new"} and len(found) == 3
    assert {code for _, code in ends} == {0, -signal.SIGKILL}, ends


def test_what_is_not_whole_gives_way_to_the_old_run(tmp_path):
    for name in (".a.old-1", ".a.partial-2", ".b.partial-3"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(name)
    folders.mend_all(tmp_path, "manifest.json")
    assert contents(tmp_path) == {"a/results.json": b".a.old-1"}
    assert os.listdir(tmp_path) == ["a"]


def below(process: subprocess.Popen) -> list[psutil.Process]:
    """What a process has started, kernels too."""
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def wait_until(done: Callable[[], bool]) -> None:
    while not done():
        time.sleep(0.005)


def medrl(*words: str) -> subprocess.Popen:
    """A command in a process group of its own, as a shell starts it."""
    said = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen([*COMMAND, *words], start_new_session=True, text=True, **said)


def finish(*words: str) -> str:
    """Run a command to its end, which is good, and return what it said."""
    process = medrl(*words)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    return said


# How a command ends, and what is sent to whom.
ENDS = {
    "killed": (signal.SIGKILL, os.killpg),
    "parent killed": (signal.SIGKILL, os.kill),
    "terminated": (signal.SIGTERM, os.kill),
    "all terminated": (signal.SIGTERM, os.killpg),
    "Ctrl-C": (signal.SIGINT, os.killpg),
}


def end(process: subprocess.Popen, how: str) -> None:
    """End a command, and wait until what it has started has ended too."""
    number, send = ENDS[how]
    started = below(process)
    send(process.pid, number)
    said, _ = process.communicate()
    expected = {0, 1, -number, -signal.SIGKILL if number == signal.SIGKILL else 128 + number}
    assert process.returncode in expected, said
    # A kernel looks once a second whether its parent is there.
    wait_until(lambda: not [one for one in started if goes_on(one)])


def goes_on(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def write_again(notebook: str, title: str) -> None:
    """Change what a notebook is made of: its run is then an old one."""
    write_notebook(notebook, RESULTS.format(k="k") + f"# {title}\n")


# Stages of a study's second run, by what is on disk.
STAGES = (
    lambda: Path(".snakemake/log").is_dir(),
    lambda: Path("runs/toy/.06_boundary.lock").exists(),
    lambda: any(Path("runs/toy").glob(".06_boundary.partial-*")),
    lambda: any(Path("runs/toy").glob(".06_boundary.partial-*/executed.ipynb")),
    lambda: any(Path("runs/toy").glob(".06_boundary.partial-*/results.json")),
    lambda: b"again" in contents(Path("runs/toy")).get("06_boundary/executed.ipynb", b""),
)


@pytest.mark.fault(
    "Killed",
    "`medrl study` killed, terminated or ended by Ctrl-C, whole or its first process alone, while "
    "it makes an old run again",
    "finished runs keep their bytes; the same command makes the rest; no process, lock or part of "
    "a run is left",
)
def test_a_study_killed_goes_on(toy, tried):
    finish("study", "toy")
    before = contents(Path("runs/toy/02_support"))
    draw = random.Random(1)
    hows = [*ENDS] * tried.times(1, 4)
    for number, how in enumerate(hows[: tried.times(2, len(hows))]):
        write_again("06_boundary", f"again {number}")
        old = contents(Path("runs/toy/06_boundary"))
        shutil.rmtree(".snakemake/log")
        stage = draw.choice(STAGES)
        process = medrl("study", "toy")
        wait_until(lambda: stage() or process.poll() is not None)  # noqa: B023
        time.sleep(draw.uniform(0, 0.2))
        with tried():
            end(process, how)
            assert contents(Path("runs/toy/02_support")) == before
            found = contents(Path("runs/toy/06_boundary"))
            new = f"again {number}".encode()
            assert found in ({}, old) or new in found["executed.ipynb"]
            finish("study", "toy")
            assert contents(Path("runs/toy/02_support")) == before
            found = contents(Path("runs/toy/06_boundary"))
            assert new in found["executed.ipynb"]
            assert sorted(found) == sorted(old)
            assert sorted(os.listdir("runs/toy")) == ["02_support", "06_boundary"]
            assert sorted(os.listdir("runs")) == [".made", "toy"]


BUILD = ("book", "--study", "toy", "--only")


def built() -> dict[str, bytes]:
    """The files of the book."""
    return contents(Path("_build/html"))


def file_count() -> int:
    return sum(len(names) for _, _, names in os.walk("_build"))


@pytest.mark.fault(
    "Killed",
    "`medrl book` killed, terminated or ended by Ctrl-C at random pages",
    "a book that is not whole never counts as built; the same command ends with the same bytes",
)
def test_a_book_killed_is_built_whole(toy, tried):
    small_book.write()
    finish(*BUILD)
    whole, sources, names = built(), Path("_build/sources.json"), set(os.listdir("_build"))
    ends = (len(contents(Path("_build/stage"))), file_count())
    draw = random.Random(2)
    hows = [*ENDS] * tried.times(1, 4)
    for how in hows[: tried.times(1, len(hows))]:
        shutil.rmtree("_build")
        after = draw.randrange(1, ends[0]) if draw.random() < 0.3 else draw.randrange(*ends)
        process = medrl(*BUILD)
        wait_until(lambda: file_count() >= after or process.poll() is not None)  # noqa: B023
        with tried():
            end(process, how)
            if not sources.exists():  # else it was done before the end came
                finish(*BUILD)
            assert built() == whole
            assert sources.exists()
            assert set(os.listdir("_build")) == names
