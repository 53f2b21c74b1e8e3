"""Both editions of each lab come from one source; solutions pass the checks, blanks do not."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from typer.testing import CliRunner

from conftest import ROOT
from medrl.commands import main as cli
from medrl.labs import editions
from medrl.labs.checks.compare import NotYet
from medrl.studies import plan
from medrl_core.errors import UserError
from test_prose import typed_numbers

LABS = sorted((ROOT / "book/labs").glob("*.ipynb"))
LECTURERS = ROOT / "book/lecturers.md"
# A test takes less of everything; what a check says must not depend on it.
SMALL = {"k": 8, "n_train": 60, "n_test": 32, "completions": 128, "labels": 8}

each_lab = pytest.mark.parametrize("lab", LABS, ids=lambda path: path.stem)


def execute(notebook) -> list[tuple[nbformat.NotebookNode, Exception | None]]:
    """Run the code cells one after another; return each with what it raised.

    In this process, not in a kernel: the imports of torch would cost more than all cells.
    """
    names: dict = {"__name__": "__main__"}
    ran = []
    for cell in (one for one in notebook.cells if one.cell_type == "code"):
        source = cell.source
        if "parameters" in editions.tags(cell):
            given = {line.targets[0].id for line in ast.parse(source).body}
            source += "".join(f"\n{name} = {SMALL[name]}" for name in SMALL if name in given)
        try:
            exec(compile(source, cell.id, "exec"), names)
            ran.append((cell, None))
        except Exception as error:
            ran.append((cell, error))
    return ran


@each_lab
def test_solutions_pass_and_blanks_fail_with_a_hint(lab, tmp_path, monkeypatch):
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    for cell, error in execute(editions.make(lab, "instructor")):
        assert error is None, f"{lab.stem} {cell.id}: {error!r}\n{cell.source}"
    # The answers of the model are kept, so the second edition does not sample again.
    checked = 0
    for cell, error in execute(editions.make(lab, "student")):
        if "check" in editions.tags(cell):
            checked += 1
            assert isinstance(error, NotYet), f"{lab.stem} {cell.id}: {error!r}"
            assert "blank" in str(error)
    assert checked >= 5


@each_lab
def test_the_editions_are_the_same_but_for_blanks_and_notes(lab):
    student, instructor = (editions.make(lab, edition).cells for edition in editions.EDITIONS)
    student_has = [one for one in student if "blank" not in editions.tags(one)]
    kinds = {"solution", "instructor"}
    instructor_has = [one for one in instructor if not kinds & set(editions.tags(one))]
    assert student_has == instructor_has
    shape = [bool({"blank"} & set(editions.tags(one))) for one in student]
    without_notes = [one for one in instructor if "instructor" not in editions.tags(one)]
    assert shape == ["solution" in editions.tags(one) for one in without_notes]
    assert not any(kinds & set(editions.tags(one)) for one in student)


@each_lab
def test_a_source_is_whole_and_was_not_run(lab):
    cells = nbformat.read(lab, as_version=4).cells
    text = "\n".join(one.source for one in cells if one.cell_type == "markdown")
    for part in ("**You will be able to**", "| part | minutes |", "## Discussion", "## Rubric"):
        assert part in text
    assert not typed_numbers(text)
    for one in cells:
        if one.cell_type == "code":  # longer lines are cut off on the page
            assert max(map(len, one.source.splitlines())) <= 80, one.source
        known = {"parameters", "blank", "solution", "instructor", "check"}
        assert set(editions.tags(one)) <= known
        if one.cell_type == "code":
            assert one.outputs == []
            assert one.execution_count is None
            if "blank" in editions.tags(one):
                assert "..." in one.source
                assert "# " in one.source  # the task


@each_lab
def test_a_lab_takes_45_to_90_minutes_and_lecturers_are_told(lab):
    text = "\n".join(one.source for one in nbformat.read(lab, as_version=4).cells)
    table = text.split("| part | minutes |")[1].split("\n\n")[0]
    minutes = [int(line.rstrip(" |").rsplit("|", 1)[1]) for line in table.splitlines()[2:]]
    assert 45 <= sum(minutes) <= 90
    (row,) = re.findall(rf"\(labs/{lab.stem}\).*\| (\d+) \|", LECTURERS.read_text())
    assert int(row) == sum(minutes)


def test_labs_are_written_once_and_never_over_a_students_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "book").symlink_to(ROOT / "book")
    run = CliRunner().invoke
    done = run(cli.app, ["labs", "--edition", "student", "--out", "mine"])
    assert done.exit_code == 0, done.stderr
    assert sorted(Path("mine").iterdir()) == [Path("mine", one.name) for one in LABS]
    assert run(cli.app, ["labs", "--edition", "instructor", "--out", "ours"]).exit_code == 0
    before = {path: path.read_text() for path in Path("mine").iterdir()}
    for words, said in (
        (["--out", "mine"], "is there already, maybe with answers"),
        (["--out", "new", "--edition", "teacher"], "no edition 'teacher': use one of student"),
        (["--out", str(next(iter(before)))], "is a file: name a folder"),
    ):
        done = run(cli.app, ["labs", *words])
        assert done.exit_code == 2
        assert done.stderr.count("\n") == 1
        assert said in done.stderr
    assert before == {path: path.read_text() for path in Path("mine").iterdir()}
    assert not Path("new").exists()


def cell(kind, *tags, outputs=None):
    metadata = {"tags": list(tags)} if tags else {}
    if kind == "markdown":
        return new_markdown_cell("text", metadata=metadata)
    return new_code_cell("x = ...", metadata=metadata, outputs=outputs or [])


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([cell("code", "blank")], "cell 1: a cell tagged blank needs"),
        ([cell("code"), cell("code", "solution")], "cell 2: a cell tagged blank needs"),
        ([cell("code", "blank"), cell("markdown", "solution")], "cell 1: a cell tagged blank"),
        ([cell("code", outputs=[new_output("stream", text="1")])], "cell 1 has outputs"),
    ],
)
def test_a_wrong_source_is_refused_in_one_line(cells, said, tmp_path):
    path = tmp_path / "lab.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    with pytest.raises(UserError, match=said) as caught:
        editions.make(path, "student")
    assert "\n" not in str(caught.value)


def test_another_edition_makes_the_built_book_stale(toy):
    study = plan.load_study("toy")
    student, instructor = (plan.book_fingerprint(study, edition) for edition in editions.EDITIONS)
    assert student != instructor


def test_outside_a_clone_a_lab_says_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="is in no clone of medrl"):
        editions.start("01_support")


def test_on_a_page_solutions_are_folded():
    page = editions._page(editions.make(LABS[0], "instructor"), "instructor", LABS[0].name)
    for one in page.cells:
        if {"solution", "instructor"} & set(editions.tags(one)):
            folded = "hide-input" in editions.tags(one) or ":class: dropdown" in one.source
            assert folded, one.source
