"""Sweeps: what a grid is, that all of it is checked first, and that finished points stay."""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock
from typer.testing import CliRunner

from conftest import write_notebook
from medrl.commands import main as cli
from medrl.studies import plan, sweep
from medrl_core.report import results

CODE = """
import time
from medrl_core.report.results import Results
open("log", "a").write(f"{k} {temperature}\\n")
if k == 8:
    raise ValueError("no eight <b>here</b>")
time.sleep(slow)
res = Results(out, notebook="02_support", study=study)
res.number("acc", k / 100, low=0.0, high=k / 50, unit="percent")
res.number("count", k, unit="count")
res.save()
"""


@pytest.fixture
def clone(toy):
    plan.file_hash.cache_clear()  # of the same names in the folder of another test
    write_notebook("02_support", CODE.replace("slow", "0"))
    return toy


def medrl(*words: str):
    plan.file_hash.cache_clear()
    return CliRunner().invoke(cli.app, ["sweep", "02_support", "--study", "toy", *words])


def grid(*words: str) -> sweep.Grid:
    return sweep.read_words("02_support", list(words))


def test_commas_part_values_and_brackets_hold_a_list_together():
    axes = grid(
        "k=4,16,64", "learning=1e-4, 2", "d=[a, b],[c]", "name=x", "t={a: 1},null", "q='a,b'"
    ).axes
    assert axes == {
        "k": [4, 16, 64],
        "learning": [1e-4, 2],
        "d": [["a", "b"], ["c"]],
        "name": ["x"],
        "t": [{"a": 1}, None],
        "q": ["a,b"],
    }


def test_points_are_all_combinations_with_folders_of_their_own(toy):
    found = sweep.points(plan.load_study("toy"), grid("k=4,8", "temperature=0.5,1.0"))
    assert [one.settings for one in found] == [
        {"k": 4, "temperature": 0.5},
        {"k": 4, "temperature": 1.0},
        {"k": 8, "temperature": 0.5},
        {"k": 8, "temperature": 1.0},
    ]
    assert len({one.folder for one in found}) == 4
    assert found[1].folder == Path("runs/toy/02_support")  # the study's own values


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-p", "k=4,many"], "02_support: k = 'many' is refused"),
        (["-p", "k=4,8", "-p", "temprature=1"], "did you mean 'temperature'"),
        (["-p", "k=4,8,4"], "-p k=4,8,4: a value stands twice"),
        (["-p", "temperature=1,1.0"], "a value stands twice"),
        (["-p", "k="], "-p k= has no value"),
        (["-p", "k=[4"], "-p k=[4 is not YAML"),
        (["-p", "k=4", "-p", "k=8"], "-p k is given twice"),
        (["-p", "k=4", "16"], "16: values are written -p name=value,value"),
        (["-p", "groups=[a.csv],b.csv"], "groups = 'b.csv' is refused"),
        (["-p", "model=run:04_rl/x,other"], "needs run:04_rl, which study toy does not run"),
        (["-p", "k=4,8", "-p", "top_p=0.5,2"], "top_p = 2 is refused"),
        (
            ["-p", f"k={','.join(map(str, range(4, 17)))}", "-p", "seed=1,2,3,4,5,6,7,8,9,10,11"],
            "seed has 11 values",
        ),
    ],
)
def test_a_wrong_grid_ends_with_one_line_before_anything_runs(clone, words, said):
    before = sorted(Path().rglob("*"))
    done = medrl(*words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(Path().rglob("*")) == before


def test_a_sweep_keeps_what_failed_and_does_nothing_twice(clone):
    done = medrl("-p", "k=8,16", "-p", "temperature=1")
    assert done.exit_code == 1
    assert "1 of 2 runs did not finish" in done.stderr
    page = Path(done.stdout.strip())
    assert page.parts[:3] == ("runs", "toy", "sweeps")
    assert set(Path("log").read_text().splitlines()) == {"8 1.0", "16 1.0"}
    text = page.read_text()
    assert "1 of 2 finished" in text
    assert "cell 4 raised ValueError: no eight &lt;b&gt;here&lt;/b&gt;" in text
    assert "http" not in text
    table = pd.read_csv(page.with_name("comparison.csv"))
    assert list(table.outcome) == ["failed", "finished"]
    assert list(table.acc.dropna()) == [0.16]
    assert list(table["count"].dropna()) == [16]
    drawn = pd.read_csv(page.with_name("multiples.csv"))
    assert list(drawn.number) == ["acc", "acc"]  # without an interval: in the table only

    Path("log").unlink()
    assert medrl("-p", "k=16", "-p", "temperature=1").exit_code == 0
    assert not Path("log").exists()
    write_notebook("02_support", CODE.replace("slow", "0").replace("k == 8", "k == 16"))
    done = medrl("-p", "k=8,16", "-p", "temperature=1")  # another notebook: both are stale
    assert set(Path("log").read_text().splitlines()) == {"8 1.0", "16 1.0"}
    table = pd.read_csv(page.with_name("comparison.csv"))
    assert list(table.outcome) == ["finished", "failed"]
    assert [path.name for path in Path("runs/.failed/toy").iterdir()] == [
        path.name
        for path in Path("runs/toy").glob("02_support@*")
        if results.read(path)["numbers"]["count"]["value"] == 16  # the old run stays, as stale
    ]


@pytest.mark.fault(
    "Killed",
    "`medrl sweep` killed by SIGKILL or SIGTERM while one of its runs is made",
    "the same command makes the run that was cut off, and no other again",
)
def test_a_killed_sweep_goes_on(clone, tried):
    slow = '600 if open("log").read().count("\\n") == 2 else 0'  # the second run to start hangs
    write_notebook("02_support", CODE.replace("slow", slow))
    draw = random.Random(0)
    for number in range(tried.times(1, 6)):
        command = [sys.executable, "-m", "medrl.commands.main", "sweep", "02_support"]
        command += ["--study", "toy"]
        command += ["-p", f"k={100 + number},{200 + number}", "--", "--cores", "1"]
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        while not (Path("log").is_file() and Path("log").read_text().count("\n") == 2):
            assert process.poll() is None
            time.sleep(0.1)
        with tried():
            os.killpg(process.pid, draw.choice([signal.SIGKILL, signal.SIGTERM]))
            process.wait()
            _, killed = Path("log").read_text().splitlines()
            Path("log").unlink()
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            assert Path("log").read_text().splitlines() == [killed]
            assert "2 of 2 finished" in Path(done.stdout.strip()).read_text()
        Path("log").unlink()


def test_runs_that_a_point_needs_are_made_and_their_failure_is_told(clone):
    done = CliRunner().invoke(
        cli.app, ["sweep", "06_boundary", "--study", "toy", "-p", "k=2"]
    )
    assert done.exit_code == 0, done.stderr
    assert Path("log").read_text() == "4 1.0\n"
    write_notebook("02_support", "1 / 0")
    plan.file_hash.cache_clear()
    done = CliRunner().invoke(
        cli.app, ["sweep", "06_boundary", "--study", "toy", "-p", "k=2"]
    )
    assert done.exit_code == 1
    page = Path(done.stdout.strip()).read_text()
    assert "0 of 1 finished" in page
    assert "a run that it needs failed" in page


def test_a_refused_sweep_leaves_no_folder_when_a_study_is_being_made(clone):
    Path("runs").mkdir()
    with FileLock("runs/.snakemake.lock"):
        done = medrl("-p", "k=4,8")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "a study is being made here" in done.stderr
    assert not Path("runs/toy/sweeps").exists() or not list(Path("runs/toy/sweeps").iterdir())


def test_the_command_of_a_grid_makes_the_same_grid():
    one = grid("k=4,16", "groups=['drawn:chest film', a.csv],[b.csv]", "root=null,'a,b'")
    words = shlex.split(one.command("toy"))[5:]
    assert sweep.read_words("02_support", [w for w in words if w != "-p"]) == one
