"""A class of ten is graded in one command: right and wrong, and every way to cheat that we know."""

from __future__ import annotations

import csv
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from typer.testing import CliRunner

from conftest import ROOT
from medrl.commands import main as cli
from medrl.labs import editions, grading, hidden, isolation, runner, submission, wire
from medrl.labs.checks.compare import NotYet
from medrl_core.score import passk

LIMITS = isolation.Limits(seconds=40, cell_seconds=2, memory=3)
LABS = sorted((ROOT / "book/labs").glob("*.ipynb"))

FLOOR = "def guess_floor(m, k):\n    return 1 - (1 - 1 / m) ** k"
SMALLEST = "smallest_k = next(k for k in range(1, 100) if guess_floor(4, k) >= 19 / 20)"
PASS = "def pass_at_k(n, c, k):\n    return 1 - comb(n - c, k) / comb(n, k)"
BLANK_FLOOR = "def guess_floor(m, k):\n    # The chance.\n    ..."
BLANK_SMALLEST = "# The smallest k.\nsmallest_k = ..."
BLANK_PASS = "def pass_at_k(n, c, k):\n    # The share.\n    ..."
VISIBLE_ONLY = """
def pass_at_k(n, c, k):
    known = {(8, 0, 4): 0, (8, 1, 4): 0.5, (16, 3, 4): 1 - comb(13, 4) / comb(16, 4),
             (16, 14, 4): 1, (8, 8, 1): 1}
    return known.get((n, c, k), 0)
"""
# It knows where results lie, and what the checks compare with.
WRITES = """
import builtins, os, sys
import numpy as np
from medrl_core.score import passk
passk.guess_floor = lambda m, k: 7
np.allclose = lambda *a, **k: True
def write(path, text):
    try:
        open(path, "w").write(text)
    except OSError:
        pass
write({target!r}, "hit")
write({module!r}, "hit")
for fd in range(3, 20):
    try:
        os.write(fd, b'{{"value": 1}}\\n')
    except OSError:
        pass
def guess_floor(m, k):
    return 7
"""


def source_cells():
    """A lab of three exercises that loads no model."""
    setup = "from math import comb\n\nfrom medrl.labs.checks import support as check"
    made = [
        new_markdown_cell("# Lab 0. Tiny"),
        new_code_cell(setup),
    ]
    for number, (blank, right, check) in enumerate(
        (
            (BLANK_FLOOR, FLOOR, "check.guess_floor(guess_floor)"),
            (BLANK_SMALLEST, SMALLEST, "check.smallest_k(smallest_k)"),
            (BLANK_PASS, PASS, "check.pass_at_k(pass_at_k)"),
        ),
        1,
    ):
        made += [
            new_markdown_cell(f"**Exercise {number}.** Write it."),
            new_code_cell(blank, metadata={"tags": ["blank"]}),
            new_code_cell(right, metadata={"tags": ["solution"]}),
            new_code_cell(check, metadata={"tags": ["check"]}),
        ]
    made += [
        new_markdown_cell("**Question A.** Why?"),
        new_markdown_cell("*Your answer:*", metadata={"tags": ["blank"]}),
        new_markdown_cell("Because.", metadata={"tags": ["solution"]}),
    ]
    for i, cell in enumerate(made):
        cell.id = f"cell-{i:02}"
    return made


def handed_in(floor=FLOOR, smallest=SMALLEST, third=PASS, text="*Your answer:*"):
    """What a student hands in who filled the blanks with this."""
    cells = [one for one in source_cells() if "solution" not in editions.tags(one)]
    answers = iter((floor, smallest, third, text))
    for one in cells:
        if "blank" in editions.tags(one):
            one.source = next(answers)
    return new_notebook(cells=cells)


def overwritten():
    """Its checks always pass, and its tags say that its answers are checks."""
    notebook = handed_in(BLANK_FLOOR, BLANK_SMALLEST, BLANK_PASS)
    for one in notebook.cells:
        if "check" in editions.tags(one):
            one.source = "print('Right.')"
        one.metadata["tags"] = ["check"]
    fake = "class check:\n    guess_floor = smallest_k = pass_at_k = staticmethod(print)"
    notebook.cells.insert(2, new_code_cell(fake))
    return notebook


@pytest.fixture(scope="session")
def graded(tmp_path_factory) -> Iterator[SimpleNamespace]:
    """The results of one command on the notebooks of ten students."""
    clone = tmp_path_factory.mktemp("clone")
    (clone / "book/labs").mkdir(parents=True)
    (clone / "data").mkdir()
    nbformat.write(new_notebook(cells=source_cells()), clone / "book/labs/00_tiny.ipynb")
    folder, out = clone / "class", clone / "marks"
    folder.mkdir()
    victim = clone / "victim.csv"
    writes = WRITES.format(target=str(victim), module=str(clone / "book/labs/00_tiny.ipynb"))
    class_of_ten = {
        "ada-right": handed_in(text="<script>alert(1)</script>"),
        "ben-wrong": handed_in("def guess_floor(m, k):\n    return k / m", third=VISIBLE_ONLY),
        "cem-empty": handed_in(BLANK_FLOOR, BLANK_SMALLEST, BLANK_PASS),
        "dea-endless": handed_in("def guess_floor(m, k):\n    while True:\n        pass"),
        "eva-overwrites": overwritten(),
        "fay-types": handed_in(smallest="smallest_k = 11"),
        "gus-writes": handed_in(writes),
        "hal-ends": handed_in("import sys\nsys.exit()", smallest="import os\nos._exit(0)"),
        "ira-memory": handed_in("def guess_floor(m, k):\n    return len(bytearray(10**12))"),
    }
    for name, notebook in class_of_ten.items():
        nbformat.write(notebook, folder / f"{name}.ipynb")
    (folder / "ben-wrong").mkdir()
    (folder / "ben-wrong.ipynb").rename(folder / "ben-wrong/my lab.ipynb")
    (folder / "jon-text.ipynb").write_text("my answers")
    before = Path.cwd()
    os.chdir(clone)
    try:
        words = ["--seconds", "40", "--cell-seconds", "2", "--memory", "3", "--seed", "1"]
        done = CliRunner().invoke(cli.app, ["grade", "class", "--out", "marks", *words])
    finally:
        os.chdir(before)
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader((out / grading.CSV).read_text().splitlines()))
    table = {(one["student"], one["task"]): one for one in rows}
    page = (out / grading.PAGE).read_text()
    yield SimpleNamespace(rows=rows, table=table, page=page, clone=clone, victim=victim)


def points(graded, student):
    return [int(one["points"]) for one in graded.rows if one["student"] == student]


@pytest.mark.parametrize(
    ("student", "due", "reasons"),
    [
        ("ada-right", [1, 1, 1], ["right", "right", "right"]),
        ("ben-wrong", [0, 1, 0], ["do not add up", "right", "hidden cases: with the arguments"]),
        ("cem-empty", [0, 0, 0], ["returns nothing", "blank is still there", "returns nothing"]),
        ("dea-endless", [0, 1, 1], ["took more than 2 s", "right", "right"]),
        ("eva-overwrites", [0, 0, 0], ["returns nothing", "blank is still there", "nothing"]),
        ("fay-types", [1, 0, 1], ["right", "(a typed value fails)", "right"]),
        ("hal-ends", [0, 0, 0], ["stopped: SystemExit", "ended itself", "ended itself"]),
        ("ira-memory", [0, 1, 1], ["MemoryError", "right", "right"]),
        ("jon-text", [0], ["this is no notebook"]),
    ],
)
def test_each_student_gets_points_with_a_reason(graded, student, due, reasons):
    assert points(graded, student) == due
    told = [one["reason"] for one in graded.rows if one["student"] == student]
    for reason, wanted in zip(told, reasons, strict=True):
        assert wanted in reason


def test_who_writes_results_and_patches_libraries_gets_nothing_for_it(graded):
    assert points(graded, "gus-writes")[0] == 0
    assert passk.guess_floor(4, 1) == pytest.approx(0.25)  # not in our process
    if isolation.available():
        assert not graded.victim.exists()
        assert graded.table["ada-right", "Exercise 1"]["points"] == "1"
    assert (graded.clone / "book/labs/00_tiny.ipynb").read_text() != "hit"


def test_nothing_is_left_but_the_two_files(graded):
    assert {one.name for one in (graded.clone / "marks").iterdir()} == {"grades.csv", "grades.html"}
    assert {one.name for one in graded.clone.iterdir()} <= {"book", "data", "class", "marks"}


def test_the_page_shows_texts_without_running_them(graded):
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in graded.page
    assert "<script" not in graded.page
    assert "default-src 'none'" in graded.page
    pattern = r"eva-overwrites: Lab.*?changed or removed.*?: (.*?)</p>"
    changed = re.search(pattern, graded.page, re.S)
    assert changed
    assert changed[1].split(", ")[0] == "cell-05 changed"
    assert len({one["student"] for one in graded.rows}) == 10


def test_the_network_was_cut_or_the_page_says_that_it_was_not(graded):
    said = {one["network"] for one in graded.rows if one["task"]}
    assert said == {isolation.CUT if isolation.available() else isolation.BLOCKED}
    assert ("The disk was not closed either" in graded.page) is not isolation.available()


def test_a_students_process_has_no_network_and_one_folder_to_write_in(tmp_path):
    if not isolation.available():
        pytest.skip("this machine allows no namespaces")
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "answers.txt").write_text("42")
    asked = f"""
import os, socket
x = [[name for _, name in socket.if_nameindex()], os.listdir({str(secret)!r}), os.getpid()]
for path in ({str(tmp_path / "new")!r}, "mine"):
    try:
        open(path, "w").close()
        x.append("written")
    except OSError as error:
        x.append(error.strerror)
"""
    escape = f"import os\nx = os.system('umount {secret} || mount -o remount,rw /')"
    sleeper = "import subprocess\nx = subprocess.Popen(['setsid', 'sleep', '987'])\nx = 1"
    with runner.Runner(LIMITS, [secret], [], tmp_path) as ran:
        assert ran.network == isolation.CUT
        found = ran.again("x", [asked], {})
        assert found[:2] == [["lo"], []]
        assert found[2] < 10  # it sees no process of ours
        assert found[3:] == ["Read-only file system", "written"]
        assert ran.again("x", [escape], {}) != 0
        assert ran.again("x", [sleeper], {}) == 1
        scratch = ran.scratch
    assert not scratch.exists()
    assert not any(b"sleep\0987" in one for one in _command_lines())


def _command_lines() -> Iterator[bytes]:
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield one.read_bytes()
        except OSError:
            continue


def test_without_namespaces_sockets_are_blocked_and_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(isolation, "available", lambda: False)
    asked = "import socket\nsocket.create_connection(('127.0.0.1', 9))"
    with runner.Runner(LIMITS, [], [], tmp_path) as ran:
        assert ran.network == isolation.BLOCKED
        with pytest.raises(runner.Failed, match="there is no network"):
            ran.run(asked)
    one = grading.Mark("a", "a", "l", "t", "x", 0, 1, "no", ran.network)
    page = grading.page([grading.Graded("a", "a", "Lab", [one])], LIMITS, 1)
    assert "only Python&#39;s sockets were blocked" in page
    assert "The disk was not closed either" in page


def test_a_process_that_does_not_answer_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "GRACE", 0.5)
    deaf = "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0)\nwhile True:\n    pass"
    limits = isolation.Limits(seconds=30, cell_seconds=1, memory=3)
    began = time.monotonic()
    with runner.Runner(limits, [], [], tmp_path) as ran:
        with pytest.raises(runner.Ended, match="a cell took more than 1 s"):
            ran.run(deaf)
        with pytest.raises(runner.Ended):
            ran.run("1")
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_every_task_has_hidden_cases_which_the_solution_passes(path):
    lab = submission.read_lab(path)
    right = hidden.reference(lab)
    values = hidden.values(np.random.default_rng(3))
    for task in lab.tasks.values():
        key = f"{lab.module}.{task.check}"
        assert hidden.covered(lab, task), key
        if key in values:
            continue
        for seed in range(3):
            hidden.check_function(key, right[task.answer], right[task.answer], seed)
        with pytest.raises(NotYet):  # what is always the same is right for no task
            hidden.check_function(key, lambda *_: np.ones(1), right[task.answer], 3)


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_a_solution_that_computes_passes_with_other_values(path):
    lab = submission.read_lab(path)
    names = hidden.reference(lab) | {"np": np}
    for task in lab.tasks.values():
        key = f"{lab.module}.{task.check}"
        checks = __import__(f"medrl.labs.checks.{lab.module}", fromlist=[task.check])
        answers = []
        for i in range(hidden.ROUNDS):
            given = hidden.values(np.random.default_rng([3, i])).get(key)
            if given is None:
                break
            here = names | given
            exec(lab.solutions()[task.answer], here)
            hidden.check_value(task, getattr(checks, task.check), here[task.answer], given)
            answers.append(here[task.answer])
        assert not answers or any(one != answers[0] for one in answers), key


def test_an_answer_is_found_by_its_name_where_an_editor_lost_the_ids(tmp_path):
    source = tmp_path / "00_tiny.ipynb"
    nbformat.write(new_notebook(cells=source_cells()), source)
    lab = submission.read_lab(source)
    notebook = handed_in()
    for one in notebook.cells:
        one.id = f"new{one.id}"
    notebook.cells.insert(3, new_code_cell("helper = 1"))
    path = tmp_path / "mine.ipynb"
    nbformat.write(notebook, path)
    steps = submission.read(path, [lab]).steps
    assert [one.task.answer if one.task else one.source.split("\n")[0] for one in steps] == [
        "from math import comb", "helper = 1", "def guess_floor(m, k):", "guess_floor", SMALLEST,
        "smallest_k", "def pass_at_k(n, c, k):", "pass_at_k",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [1, 1.5, None, "a", True, [1, "b", None], (1, 2), {"a": {"b": 1}}, {1, 2}, np.arange(6.0)],
)
def test_plain_data_comes_back_as_it_went(value):
    back = wire.unpack(wire.read(wire.line({"value": wire.pack(value)}))["value"])
    assert type(back) is type(value)
    assert np.array_equal(back, value) if isinstance(value, np.ndarray) else back == value


def test_what_is_no_plain_data_arrives_as_nothing_that_passes():
    class Equal:
        def __eq__(self, other):
            return True

    assert wire.unpack(wire.pack(Equal())) == wire.Other("Equal")
    for sent in ({"array": [1], "dtype": "O", "shape": [1]}, {"items": [[]], "kind": "set"}, {}):
        with pytest.raises(ValueError, match="no packed value"):
            wire.unpack(sent)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gone", "--out", "new"], "gone is no folder"),
        (["empty", "--out", "new"], "empty is empty"),
        (["class", "--out", "class/new"], "lies in class"),
        (["class", "--out", "there"], "is there already"),
        (["class", "--out", "no/new"], "there is no folder"),
        ([".", "--out", "../new"], "contains the clone"),
    ],
)
def test_a_users_mistake_is_one_line(words, said, tmp_path, monkeypatch):
    clone = tmp_path / "clone"
    for name in ("empty", "class", "there", "book"):
        (clone / name).mkdir(parents=True)
    (clone / "class/a.ipynb").write_text("{}")
    (clone / "book/labs").symlink_to(ROOT / "book/labs")
    monkeypatch.chdir(clone)
    done = CliRunner().invoke(cli.app, ["grade", *words])
    assert done.exit_code == 2, done.output
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert not (clone / "new").exists()


def test_grading_is_imported_only_by_its_command():
    assert "medrl.labs.grading" in sys.modules  # by this file, so ask a fresh process
    import subprocess

    code = "import sys, medrl.commands.main; sys.exit('medrl.labs.grading' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_editions_carry_what_nbgrader_reads(path):
    cells = editions.make(path, "student").cells
    marks = [one.metadata["nbgrader"] for one in cells if "nbgrader" in one.metadata]
    assert len({one["grade_id"] for one in marks}) == len(marks)
    for cell in cells:
        mark = cell.metadata.get("nbgrader", {})
        if "check" in editions.tags(cell):
            assert mark["points"] == 1
            assert mark["grade"] and mark["locked"] and not mark["solution"]
        if "blank" in editions.tags(cell):
            assert mark["solution"]
            assert mark["grade"] is (cell.cell_type == "markdown")
