"""The labs: one source notebook a lab gives the student's and the instructor's edition.

A source lies in book/labs and marks cells by tags. `blank`: what a student fills in; `solution`:
what takes its place for the instructor, directly after it; `instructor`: a note for the instructor
alone. All other cells are in both editions. `medrl labs --edition student --out DIR` writes them.
"""

from __future__ import annotations

import copy
import os
import tempfile
from pathlib import Path

import nbformat

from medrl_core.errors import UserError

SOURCES = Path("book/labs")
EDITIONS = ("student", "instructor")
FILES = "files/labs"  # where the book keeps the notebooks that a reader downloads
_DROPPED = {"student": {"solution", "instructor"}, "instructor": {"blank"}}
_TITLES = {"solution": "Solution", "instructor": "For the instructor"}


def sources() -> list[Path]:
    """Return the source notebooks of all labs in order.

    Raises: UserError outside the clone's top folder.
    """
    found = sorted(SOURCES.glob("*.ipynb"))
    if not found:
        raise UserError(f"no lab in {SOURCES} here; run medrl in the top folder of the clone")
    return found


def check_edition(edition: str) -> None:
    """Raise UserError unless this is the name of an edition."""
    if edition not in EDITIONS:
        raise UserError(f"no edition {edition!r}: use one of {', '.join(EDITIONS)}")


def make(source: Path, edition: str) -> nbformat.NotebookNode:
    """Return one edition of a lab.

    Arguments: `source` notebook; `edition` student or instructor.
    Raises: UserError for an unknown edition, a blank without its solution or the reverse, and a
    source with outputs.
    """
    check_edition(edition)
    notebook = nbformat.read(source, as_version=4)
    _check(notebook, source)
    _mark_for_nbgrader(notebook)
    notebook.cells = [one for one in notebook.cells if not _DROPPED[edition] & set(tags(one))]
    return notebook


def write(edition: str, out: Path) -> list[Path]:
    """Write one edition of all labs as notebooks.

    Arguments: `edition` student or instructor; `out` folder, made if missing.
    Returns: the notebooks. Raises: UserError as `make`, or if a lab lies there already: it may hold
    a student's work.
    """
    made = {Path(out) / source.name: make(source, edition) for source in sources()}
    for path in made:
        if path.exists():
            raise UserError(f"{path} is there already, maybe with answers: name another folder")
    if Path(out).exists() and not Path(out).is_dir():
        raise UserError(f"--out {out} is a file: name a folder")
    Path(out).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=out) as partial:
        for path, notebook in made.items():
            nbformat.write(notebook, Path(partial, path.name))
        for path in made:
            os.replace(Path(partial, path.name), path)
    return list(made)


def add_to_book(edition: str, stage: Path) -> None:
    """Put one edition of all labs in the book's staging folder: pages, and files to download.

    Arguments: `edition` student or instructor; `stage` the folder that is built from.
    Raises: UserError as `make`.
    """
    for folder in ("labs", FILES):
        (stage / folder).mkdir(parents=True, exist_ok=True)
    for source in sources():
        notebook = make(source, edition)
        nbformat.write(notebook, stage / FILES / source.name)
        nbformat.write(_page(notebook, edition, source.name), stage / "labs" / source.name)


def start(lab: str) -> Path:
    """Go to the clone's top folder, and return the folder where a lab keeps its work.

    Progress bars are switched off: as plain text they bury what a cell shows.

    Arguments: `lab` name of its notebook, e.g. 01_support.
    Raises: UserError outside a clone.
    """
    here = Path.cwd()
    clone = next((one for one in (here, *here.parents) if (one / "data/drawn-base").is_dir()), None)
    if clone is None:
        raise UserError(f"{here} is in no clone of medrl: put this notebook into a clone's folder")
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    os.chdir(clone)
    return Path("runs/labs", lab)


def tags(cell: nbformat.NotebookNode) -> list[str]:
    """Return the tags of a cell."""
    return cell.metadata.get("tags", [])


def _mark_for_nbgrader(notebook: nbformat.NotebookNode) -> None:
    """Say in nbgrader's metadata (schema 3) what its cells are, for a course that has nbgrader.

    A check gives one point by itself; a text gives two, by hand; what is given is locked.
    """
    for cell in notebook.cells:
        answer = bool({"blank", "solution"} & set(tags(cell)))
        check, text = "check" in tags(cell), answer and cell.cell_type == "markdown"
        if "instructor" in tags(cell) or (cell.cell_type == "markdown" and not answer):
            continue
        marks = {
            "schema_version": 3,
            "grade_id": cell.id,
            "grade": check or text,
            "solution": answer,
            "locked": not answer,
            "task": False,
        }
        if check or text:
            marks["points"] = 1 if check else 2
        cell.metadata["nbgrader"] = marks


def _check(notebook: nbformat.NotebookNode, source: Path) -> None:
    """Refuse a source whose blanks and solutions do not stand in pairs, or that was executed."""
    cells = notebook.cells
    for i, cell in enumerate(cells):
        pair = cells[i : i + 2] if "blank" in tags(cell) else cells[max(i - 1, 0) : i + 1]
        if {"blank", "solution"} & set(tags(cell)):
            kinds = [("blank" in tags(one), "solution" in tags(one)) for one in pair]
            same = len({one.cell_type for one in pair}) == 1
            if kinds != [(True, False), (False, True)] or not same:
                raise UserError(
                    f"{source}: cell {i + 1}: a cell tagged blank needs one of its type tagged "
                    "solution directly after it"
                )
        if cell.get("outputs"):
            raise UserError(f"{source}: cell {i + 1} has outputs: clear them, a lab is not run")


def _page(notebook: nbformat.NotebookNode, edition: str, name: str) -> nbformat.NotebookNode:
    """Return the notebook as a page: a link to download it, and solutions folded."""
    page = copy.deepcopy(notebook)
    for cell in page.cells:
        kind = next((tag for tag in _TITLES if tag in tags(cell)), None)
        if kind and cell.cell_type == "markdown":
            fence = f":::{{admonition}} {_TITLES[kind]}\n:class: dropdown tip\n"
            cell.source = f"{fence}\n{cell.source}\n:::"
        elif kind:
            cell.metadata["tags"] = [*tags(cell), "hide-input"]
            cell.metadata["mystnb"] = {
                "code_prompt_show": "Solution",
                "code_prompt_hide": "Hide the solution",
            }
    text = (
        f"[{edition} edition]{{.study}} {{download}}`Download this notebook </{FILES}/{name}>` and "
        "put it into a folder of the clone."
    )
    page.cells.insert(1, nbformat.v4.new_markdown_cell(text, id="download"))
    return page
