"""What a student handed in, set into the lab's own source.

The source says which cells are given, which are answers and which are checks. Of the submission
come the answers, and cells that the student added; a given cell or a check that was changed is not
run. So neither an edited check nor an edited tag matters.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from medrl.labs import editions
from medrl_core.errors import UserError

LABEL = re.compile(r"\*\*((?:Exercise|Question) \w+)\.\*\*")
CHECKS = "medrl.labs.checks"
LARGEST = 20 * 2**20  # bytes of a notebook
KNOWN_CELLS = 3  # so many cells of a lab make a notebook one of it


class Unreadable(Exception):
    """Says why a file is no submission."""


@dataclass(frozen=True)
class Task:
    """One exercise with code.

    Arguments: `label` as the lab names it; `answer` the name that the student defines; `check` the
    function of the lab's module of checks; `given` the other names that the check looks at.
    """

    label: str
    answer: str
    check: str
    given: tuple[str, ...]


@dataclass
class Lab:
    """A lab's source: its `cells`, the name of its module of checks, and its `tasks` by cell."""

    name: str
    title: str
    cells: list[nbformat.NotebookNode]
    module: str
    tasks: dict[int, Task]

    def solutions(self) -> dict[str, str]:
        """Return the code of each solution, by the name that it defines."""
        code = [one for one in self.cells if one.cell_type == "code"]
        tagged = [one.source for one in code if "solution" in editions.tags(one)]
        wanted = [task.answer for task in self.tasks.values()]
        return {name: text for text in tagged for name in wanted if name in defines(text)}


@dataclass
class Step:
    """Code of a notebook in the order of the source, or the `task` that is checked here."""

    source: str = ""
    cell: str = ""  # its id in the source; none for what the student wrote
    task: Task | None = None


@dataclass
class Submission:
    """What one student handed in for one lab: code to run, texts to read, and what was changed."""

    lab: Lab
    steps: list[Step] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


def read_lab(source: Path) -> Lab:
    """Read the source of a lab.

    Raises: UserError for a source that `editions` refuses, or a check that is no call of one
    function of `medrl.labs.checks` with names as arguments.
    """
    editions.make(source, "student")  # refuses a broken source
    cells = nbformat.read(source, as_version=4).cells
    modules = {}
    for cell in cells:
        if cell.cell_type == "code":
            for one in ast.walk(ast.parse(cell.source)):
                if isinstance(one, ast.ImportFrom) and one.module == CHECKS:
                    modules.update({alias.asname or alias.name: alias.name for alias in one.names})
    if len(modules) != 1:
        raise UserError(f"{source}: a lab imports one module of {CHECKS}, this one {len(modules)}")
    tasks, label = {}, ""
    for i, cell in enumerate(cells):
        found = LABEL.search(cell.source) if cell.cell_type == "markdown" else None
        label = found[1] if found else label
        if "check" in editions.tags(cell):
            tasks[i] = _task(cell.source, label, f"{source}: cell {i + 1}")
    title = cells[0].source.lstrip("# ").splitlines()[0]
    return Lab(source.stem, title, cells, next(iter(modules.values())), tasks)


def _task(code: str, label: str, where: str) -> Task:
    body = ast.parse(code).body
    call = body[0].value if len(body) == 1 and isinstance(body[0], ast.Expr) else None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
        names = [one.id for one in call.args if isinstance(one, ast.Name)]
        if names and len(names) == len(call.args):
            return Task(label, names[0], call.func.attr, tuple(names[1:]))
    raise UserError(f"{where}: a check is one call, check.NAME(answer, ...), of plain names")


def read(path: Path, labs: list[Lab]) -> Submission:
    """Read a notebook that a student handed in.

    Raises: Unreadable if it is no notebook, or of no lab.
    """
    if path.suffix != ".ipynb":
        raise Unreadable("this is no notebook (.ipynb)")
    try:
        if path.stat().st_size > LARGEST:
            raise Unreadable(f"this file has more than {LARGEST >> 20} MB: clear its outputs")
        with path.open(encoding="utf-8") as stream:
            cells = nbformat.read(stream, as_version=4).cells
        for cell in cells:
            if not isinstance(cell.source, str) or cell.cell_type not in ("code", "markdown"):
                cell.cell_type, cell.source = "raw", ""
    except (OSError, UnicodeError) as error:
        raise Unreadable(f"this file cannot be read: {error}") from None
    except Exception as error:  # whatever a broken file makes of nbformat
        if isinstance(error, Unreadable):
            raise
        raise Unreadable(f"this is no notebook: {type(error).__name__}") from None

    def shared(lab: Lab) -> int:
        return len({one.source for one in lab.cells} & {one.source for one in cells})

    lab = max(labs, key=shared)
    if shared(lab) < KNOWN_CELLS:
        raise Unreadable("this notebook is of none of the labs: hand in the one that was given out")
    return _assembled(lab, cells)


def _assembled(lab: Lab, cells: list[nbformat.NotebookNode]) -> Submission:
    """Set a student's cells into the source of their lab."""
    dropped = {"solution", "instructor"}
    kept = [i for i, one in enumerate(lab.cells) if not dropped & set(editions.tags(one))]
    mine, added = _matched(lab, kept, cells)
    made, label = Submission(lab), ""
    made.steps += [Step(text) for text in added.get(-1, [])]
    for i in kept:
        cell, own = lab.cells[i], mine.get(i)
        text = own.source if own else ""
        found = LABEL.search(cell.source) if cell.cell_type == "markdown" else None
        label = found[1] if found else label
        blank = "blank" in editions.tags(cell)
        if not blank and (own is None or text.strip() != cell.source.strip()):
            made.changed.append(f"{cell.id} {'changed' if own else 'missing'}")
        if cell.cell_type == "code" and blank:
            made.steps.append(Step(text))
        elif cell.cell_type == "code" and i not in lab.tasks:
            made.steps.append(Step(cell.source, cell.id))
        elif blank:
            made.texts.append((label, "" if text.strip() == cell.source.strip() else text))
        if i in lab.tasks:
            made.steps.append(Step(task=lab.tasks[i]))
        made.steps += [Step(text) for text in added.get(i, [])]
    return made


def _matched(
    lab: Lab, kept: list[int], cells: list[nbformat.NotebookNode]
) -> tuple[dict[int, nbformat.NotebookNode], dict[int, list[str]]]:
    """Return which cell of a student belongs to which of the source, and what code was added.

    Cells belong together by their id; where an editor lost it, by their text, and answers by the
    name that they define. Code that was added follows the cell of the source that it stands after.
    """
    by_id = {lab.cells[i].get("id"): i for i in kept}
    places: dict[int, int] = {}  # of a student's cell: the cell of the source

    def free(i: int | None, cell: nbformat.NotebookNode) -> bool:
        same = i is not None and lab.cells[i].cell_type == cell.cell_type
        return same and i not in places.values()

    for j, cell in enumerate(cells):
        i = by_id.get(cell.get("id"))
        if i is not None and free(i, cell):
            places[j] = i
    for j, cell in enumerate(cells):
        for i in kept:
            if j not in places and lab.cells[i].source == cell.source and free(i, cell):
                places[j] = i
    for i, name in _answers(lab):
        for j, cell in enumerate(cells):
            code = cell.cell_type == "code" and j not in places
            if code and name in defines(cell.source) and free(i, cell):
                places[j] = i
    added: dict[int, list[str]] = {}
    last = -1
    for j, cell in enumerate(cells):
        last = places.get(j, last)
        if j not in places and cell.cell_type == "code":
            added.setdefault(last, []).append(cell.source)
    return {i: cells[j] for j, i in places.items()}, added


def _answers(lab: Lab) -> Iterator[tuple[int, str]]:
    """Yield the cell of each answer with code, and the name that it defines."""
    for i, task in lab.tasks.items():
        blanks = [
            j
            for j in range(i)
            if "blank" in editions.tags(lab.cells[j]) and lab.cells[j].cell_type == "code"
        ]
        if blanks:
            yield blanks[-1], task.answer


def defines(code: str) -> set[str]:
    """Return the names that code defines at its top; none for code that cannot be read."""
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    found = set()
    for one in body:
        if isinstance(one, (ast.FunctionDef, ast.ClassDef)):
            found.add(one.name)
        elif isinstance(one, (ast.Assign, ast.AnnAssign)):
            names = [part for part in ast.walk(one) if isinstance(part, ast.Name)]
            found |= {part.id for part in names if isinstance(part.ctx, ast.Store)}
    return found
