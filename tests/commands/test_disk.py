"""Disks that are full or read-only, and machines without a home folder: one line, nothing lost."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

import small_book
import tiny
from conftest import RESULTS, ROOT, write_notebook
from made_runs import write_rollouts, write_run
from medrl.commands import main as cli
from medrl.studies import execution, plan
from medrl_core.errors import of_disk
from medrl_core.models import hub
from medrl_core.sample import sampling
from mounted import disk, filled, read_only

ONE_LINE = "the command says so in one line and fails; with room again it ends with the same bytes"

# Writes 64 KB in the kernel, so that a disk can be full there as well as in `medrl` itself.
WRITES = """
import pandas as pd
from medrl_core.report.results import Results
res = Results(out, notebook="02_support", study=study)
res.table("rows", pd.DataFrame({"text": ["x" * 1000] * 64}))
res.save()
"""


def medrl(*words):
    plan.file_hash.cache_clear()
    return CliRunner().invoke(cli.app, [str(word) for word in words])


def refused(said: str, *words) -> str:
    """The one line of a command that a disk stopped; progress may stand before it."""
    done = medrl(*words)
    assert done.exit_code == 2, (done.output, done.exception)
    assert "Traceback" not in done.stderr
    *before, line = done.stderr.splitlines()
    assert line.startswith("medrl: ") and said in line, line
    assert not [one for one in before if one.startswith("medrl: ")]
    return line


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder with their bytes."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def pages(files: dict[str, bytes]) -> int:
    """How many pages of a disk the files take."""
    return sum(-(-len(content) // 4096) for content in files.values())


def hidden(folder: Path) -> list[Path]:
    """What a command has left behind."""
    return [path for path in folder.rglob(".*") if path.name not in (".made", ".failed")]


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("[Errno 28] No space left on device", "runs: no space left on device: make room there"),
        ("[Errno 30] Read-only file system: 'a/b'", "a/b: read-only file system: make it writable"),
        ("[Errno 28] No space left on device: 'a' -> 'b'", "b: no space left on device"),
        ("I/O error: No space left on device (os error 28)", "runs: no space left on device"),
        ("[enforce fail at x.cc:671] . unexpected pos 576 vs 534", "runs: no space left"),
        ("basic_ios::clear: iostream error", "runs: no space left"),
        ("[Errno 2] No such file or directory: 'a'", ""),
        ("division by zero", ""),
    ],
)
def test_the_words_of_libraries_become_one_line(said, line):
    assert of_disk(said, "runs").startswith(line) and bool(line) == bool(of_disk(said, "runs"))


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory):
    """The words of `medrl evaluate` on six items, but for the folder."""
    folder = tmp_path_factory.mktemp("evaluate")
    hub.save(*tiny.build(), folder / "model")
    lines = [
        {"dataset_name": "toy", "dataset_index": i, "image_paths": [], "question": f"Is it {i}?"}
        | {"answer": "yes"}
        for i in range(6)
    ]
    (folder / "items.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    words = ["evaluate", "--model", folder / "model", "--items", folder / "items.jsonl"]
    return [*words, "-k", 2, "--max-new-tokens", 8, "--out"]


@pytest.mark.fault("Disk and machine", "the disk full while `medrl evaluate` writes", ONE_LINE)
def test_a_full_disk_ends_evaluate_in_one_line(evaluate, tmp_path, monkeypatch, tried):
    monkeypatch.setattr(sampling, "ITEMS_ENCODED", 2)
    assert medrl(*evaluate, tmp_path / "whole").exit_code == 0
    whole = contents(tmp_path / "whole")
    draw = random.Random(0)
    with disk(tmp_path / "disk") as small:
        for number in range(tried.times(2, 24)):
            out = small / str(number)
            with tried():
                with filled(small, free=draw.randrange(pages(whole)) * 4096):
                    line = refused("no space left on device", *evaluate, out)
                assert small.as_posix() in line
                assert medrl(*evaluate, out).exit_code == 0
                assert contents(out) == whole
            assert hidden(small) == []
            shutil.rmtree(out)


@pytest.fixture
def subset(tmp_path):
    """The words of `medrl data subset` on eight items with pictures, but for the folder."""
    draw = random.Random(0)
    lines = []
    for i in range(8):
        Image.frombytes("RGB", (40, 40), draw.randbytes(4800)).save(tmp_path / f"{i}.png")
        lines.append(
            {"dataset_name": "toy", "dataset_index": i, "image_paths": [f"{i}.png"]}
            | {"question": f"What is {i}?", "options": {"A": "cat", "B": "dog"}}
            | {"answer_label": "AB"[i % 2], "answer": ["cat", "dog"][i % 2]}
        )
    (tmp_path / "items.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return ["data", "subset", tmp_path / "items.jsonl", "-n", 6, "--out"]


@pytest.mark.fault("Disk and machine", "the disk full while `medrl data subset` writes", ONE_LINE)
def test_a_full_disk_ends_a_subset_in_one_line(subset, tmp_path, tried):
    assert medrl(*subset, tmp_path / "whole").exit_code == 0
    with disk(tmp_path / "disk") as small:
        for free in range(0, 40 * 1024, 4096):
            with tried(), filled(small, free):
                assert small.as_posix() in refused(
                    "no space left on device", *subset, small / "out"
                )
                assert os.listdir(small) == [".ballast"]
        assert medrl(*subset, small / "out").exit_code == 0
        assert contents(small / "out") == contents(tmp_path / "whole")


@pytest.mark.fault(
    "Disk and machine",
    "the disk full while `medrl run` makes a run again",
    "the command says so in one line; the old run stays, and with room again the new one is made",
)
def test_a_full_disk_ends_a_run_in_one_line(toy, tried):
    write_notebook("02_support", WRITES)
    words = ["run", "02_support", "--study", "toy", "--only"]
    draw = random.Random(0)
    with disk(Path("runs")) as small:
        assert medrl(*words).exit_code == 0
        before = contents(small)
        for _ in range(tried.times(2, 16)):
            with tried():
                with filled(small, free=draw.randrange(pages(before)) * 4096):
                    refused("no space left on device", *words)
                assert {k: v for k, v in contents(small).items() if ".failed" not in k} == before
                assert hidden(small) == []
        assert medrl(*words).exit_code == 0
        after = contents(small)
        assert after.keys() == before.keys()
        assert after["toy/02_support/results.json"] == before["toy/02_support/results.json"]


@pytest.mark.fault(
    "Disk and machine",
    "a read-only folder as the output of each command that writes",
    "the command says so in one line and fails; what is there stays as it is",
)
def test_a_read_only_folder_is_named_in_one_line(toy, evaluate, subset, tried):
    write_rollouts(Path("runs/toy/scored"), {"toy": [[1, 0], [0, 1]]})
    Path("book").symlink_to(ROOT / "book")
    Path("data/records").mkdir(parents=True)
    for name in ("02_support", "06_boundary"):
        write_run(Path("runs/toy", name), "toy", name)
    before = contents(Path("runs"))
    with read_only(Path("runs")), read_only(Path("data")):
        for words in (
            [*evaluate, "runs/out"],
            [*subset, "runs/out"],
            ["run", "02_support", "--study", "toy", "--only"],
            ["study", "toy"],
            ["sweep", "02_support", "--study", "toy", "-p", "k=4,8"],
            ["score", "runs/toy/scored"],
            ["diagnose", "runs/toy/scored", "-k", 1],
            ["labs", "--out", "runs/labs"],
            ["record", "toy"],
        ):
            with tried():
                line = refused("read-only file system: make it writable", *words)
                assert "runs" in line or "data" in line
    assert contents(Path("runs")) == before
    assert contents(Path("data")) == {}


@pytest.mark.fault(
    "Disk and machine",
    "no home folder, and no write permission in the package, its notebooks and its data",
    "a run is made as usual, and nothing is written there",
)
def test_a_run_needs_no_home_and_no_right_to_write_the_package(toy, tried):
    shutil.copytree(ROOT / "medrl_core", "clone/medrl_core")
    environment = {**os.environ, "PYTHONPATH": str(toy / "clone"), "HOME": "/proc/no-home"}
    command = [sys.executable, "-m", "medrl.commands.main", "run", "02_support", "--study", "toy"]
    with read_only(Path("clone")), read_only(Path("notebooks")), tried():
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, "runs/toy/02_support\n"), done.stderr
    assert not Path("/proc/no-home").exists()


@pytest.mark.fault(
    "Disk and machine",
    "a user whom the machine does not know, so that nothing says where a home folder is",
    "what needs no home folder works; what does names in one line the setting to give instead",
)
def test_an_unknown_user_is_told_what_to_name(toy, monkeypatch, tried):
    def unknown(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("MEDMNIST_ROOT", raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    with tried():
        done = medrl("run", "00_data", "--study", "toy", "--dry-run")
        assert done.exit_code == 0, done.output
    for words in (
        ["data", "verify", "bloodmnist"],
        ["data", "fetch", "bloodmnist"],
        ["probe", "--model", "pixels", "--data", "bloodmnist"],
        ["run", "02_support", "--study", "toy"],
    ):
        with tried():
            refused("there is no home folder: set HOME to a folder", *words)
    monkeypatch.setenv("MEDMNIST_ROOT", "images")
    with tried():
        assert "images" in refused("", "data", "verify", "bloodmnist")


@pytest.mark.fault(
    "Disk and machine",
    "the clock set back by a year: all files of a study and its runs come from the future",
    "what is valid is not made again, what has changed is: contents decide",
)
def test_a_clock_set_back_decides_nothing(toy, tried):
    def manifests() -> list[bytes]:
        names = ("02_support", "06_boundary")
        return [Path("runs/toy", name, "manifest.json").read_bytes() for name in names]

    for name in ("02_support", "06_boundary"):
        assert medrl("run", name, "--study", "toy", "--only").exit_code == 0
    first, loaded = manifests(), plan.load_study("toy")
    execution.mark_made(loaded, plan.planned(loaded))
    write_notebook("06_boundary", RESULTS.format(k="completions") + "# changed\n")
    future = time.time() + 365 * 24 * 3600
    for path in [*Path("runs").rglob("*"), *Path("notebooks").rglob("*")]:
        os.utime(path, (future, future))
    with tried():
        command = [sys.executable, "-m", "medrl.commands.main", "study", "toy"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        second = manifests()
        assert second[0] == first[0] and second[1] != first[1]


@pytest.mark.fault(
    "Disk and machine", "the disk full or read-only while `medrl book` writes", ONE_LINE
)
def test_a_full_disk_ends_the_book_in_one_line(toy, tried):
    small_book.write()
    words = ["book", "--study", "toy", "--only"]
    draw = random.Random(0)
    with disk(Path("_build"), "32m") as small:
        assert medrl(*words).exit_code == 0
        whole = contents(small / "html")
        stage = sum(len(content) for content in contents(small / "stage").values())
        for number in range(tried.times(1, 8)):
            room = draw.randrange(stage) if number % 2 == 0 else stage + draw.randrange(2**20)
            for name in os.listdir(small):
                path = small / name
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            with tried():
                with filled(small, room):
                    assert "_build" in refused("no space left on device", *words)
                assert not (small / "sources.json").exists()
        assert medrl(*words).exit_code == 0
        assert contents(small / "html") == whole
        with read_only(small), tried():
            assert "_build" in refused("read-only file system", *words)
        assert contents(small / "html") == whole
