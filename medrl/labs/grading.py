"""Grade a class: each notebook in a process of its own, to a CSV of points and one page.

`medrl grade FOLDER --out DIR`. The given cells and the checks are those of the source in book/labs;
the student's code runs in the process of `medrl.labs.confined`, and only plain data comes back. The
checks, and hidden cases beside them, run here.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import secrets
import shutil
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

import medrl
from medrl.labs import editions, hidden, isolation, runner, submission
from medrl.labs.checks.compare import STILL_BLANK, NotYet
from medrl.labs.submission import Lab, Submission, Task
from medrl_core.errors import UserError, printable
from medrl_core.files import partial_of, write_text
from medrl_core.report import tables

POINTS = 1  # of each task: its visible and its hidden cases are right, or it is not done
CSV, PAGE = "grades.csv", "grades.html"
RIGHT = "right"
NO_HIDDEN = "right; this task has no hidden cases"
LONGEST = 500  # signs of a reason


@dataclass(frozen=True)
class Mark:
    """One line of the CSV: the points of a student for a task, and why."""

    student: str
    file: str
    lab: str
    task: str
    answer: str
    points: int
    of: int
    reason: str
    network: str


@dataclass
class Graded:
    """What came of one file: its marks, and what the lecturer reads."""

    student: str
    file: str
    title: str
    marks: list[Mark]
    texts: list[tuple[str, str]] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def points(self) -> int:
        """The sum of the points."""
        return sum(one.points for one in self.marks)

    @property
    def of(self) -> int:
        """The points that can be reached."""
        return sum(one.of for one in self.marks)


def grade(
    folder: Path,
    out: Path,
    limits: isolation.Limits,
    seed: int | None = None,
    jobs: int = 1,
) -> list[Graded]:
    """Grade all notebooks of a class, and write the CSV and the page.

    Arguments: `folder` with a notebook or a folder a student; `out` folder that is made; `limits`
    of each notebook; `seed` of the hidden cases, drawn if None; `jobs` notebooks at a time.
    Returns: what came of each file. Raises: UserError if there is nothing to grade, or no place.
    """
    labs = [submission.read_lab(source) for source in editions.sources()]
    handed_in = collect(folder)
    _check_places(folder, out)
    seed = secrets.randbelow(2**31) if seed is None else seed
    # All files are read before any code of a student runs.
    read = [_read(student, path, folder, labs) for student, path in handed_in]
    places = _places(folder)
    with _quiet(), _pool(jobs) as (pool, started):

        def one(given: Graded | tuple[str, str, Submission]) -> Graded:
            made = given
            if not isinstance(made, Graded):
                made = _graded(*made, places, limits, seed, started)
            print(f"{made.student}: {made.points} of {made.of}", file=sys.stderr, flush=True)
            return made

        done = list(pool.map(one, read))
    _write(out, done, limits, seed)
    return done


def collect(folder: Path) -> list[tuple[str, Path]]:
    """Return the name of each student with each file that they handed in.

    A folder without a notebook stands for itself, so that its student is not forgotten.
    Raises: UserError if there is nothing.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: name the one with the notebooks of the class")
    found: list[tuple[str, Path]] = []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and not entry.is_symlink():
            inside = sorted(entry.rglob("*.ipynb"))
            seen = [one for one in inside if not _is_hidden(one.relative_to(entry))]
            found += [(entry.name, one) for one in seen or [entry]]
        else:
            found.append((entry.stem, entry))
    if not found:
        raise UserError(f"{folder} is empty: put a notebook, or a folder, a student into it")
    return found


def mark(
    lab: Lab, task: Task, own: Sequence[str], ran: runner.Runner, right: dict[str, Any], seed: int
) -> str:
    """Check one task, and return RIGHT or NO_HIDDEN.

    Arguments: `own` the student's code since the last check; `ran` their process; `right` names of
    the solutions.
    Raises: NotYet, Failed or Ended with the reason why it is not right.
    """
    key = f"{lab.module}.{task.check}"
    check = getattr(importlib.import_module(f"{submission.CHECKS}.{lab.module}"), task.check)
    if key in hidden.values(np.random.default_rng(seed)):
        for i in range(hidden.ROUNDS):
            given = hidden.values(np.random.default_rng([seed, i]))[key]
            answer = ran.again(task.answer, own, given)
            if answer is None:
                raise NotYet(STILL_BLANK)
            try:
                hidden.check_value(task, check, answer, given)
            except NotYet as error:
                names = ", ".join(given)
                raise NotYet(
                    f"computed again with other values in {names}: {error} (a typed value fails)"
                ) from None
        return RIGHT
    answer = ran.call(task.answer)
    check(answer)
    if not hidden.covered(lab, task):
        return NO_HIDDEN
    try:
        hidden.check_function(key, answer, right[task.answer], seed)
    except NotYet as error:
        raise NotYet(f"hidden cases: {error}") from None
    return RIGHT


def _graded(
    student: str,
    file: str,
    handed_in: Submission,
    places: tuple[list[Path], Path],
    limits: isolation.Limits,
    seed: int,
    started: list[runner.Runner],
) -> Graded:
    """Run one notebook and mark its tasks; what goes wrong is a reason, not an error."""
    lab = handed_in.lab
    reasons: dict[Task, tuple[int, str]] = {}
    broken: list[str] = []
    network = "not started"
    try:
        with runner.Runner(limits, places[0], [lab.module], places[1]) as ran:
            started.append(ran)
            network = ran.network
            _run(handed_in, ran, reasons, broken, seed)
    except runner.Ended as error:
        for task in lab.tasks.values():
            reasons.setdefault(task, (0, str(error)))
    except Exception as error:  # of ours: the others are graded all the same
        for task in lab.tasks.values():
            said = f"not graded, the grader failed: {type(error).__name__}: {error}"
            reasons.setdefault(task, (0, said))
    marks = [
        Mark(
            student, file, lab.name, task.label, task.answer, reasons[task][0], POINTS,
            printable(reasons[task][1])[:LONGEST], network,
        )
        for task in lab.tasks.values()
    ]  # fmt: skip
    return Graded(student, file, lab.title, marks, handed_in.texts, handed_in.changed, broken)


def _run(
    handed_in: Submission,
    ran: runner.Runner,
    reasons: dict[Task, tuple[int, str]],
    broken: list[str],
    seed: int,
) -> None:
    """Run the cells in order, and mark each task where the lab checks it.

    Arguments: `reasons` and `broken` are filled: points with their reason, and given cells that
    stopped, as they do where an answer before them is wrong.
    """
    lab, right = handed_in.lab, hidden.reference(handed_in.lab)
    own: list[str] = []
    stopped = ""
    for step in handed_in.steps:
        if step.task is None:
            own += [] if step.cell else [step.source]
            try:
                ran.run(step.source)
            except runner.Failed as error:
                if step.cell:
                    broken.append(printable(f"{step.cell}: {error}"))
                else:
                    stopped = f"; the cell of the answer stopped: {error}"
            continue
        try:
            reasons[step.task] = (POINTS, mark(lab, step.task, own, ran, right, seed))
        except (NotYet, runner.Failed) as error:
            said = str(error).replace("Failed: ", "")
            reasons[step.task] = (0, said + stopped)
        except runner.Ended:
            raise
        except Exception as error:  # a result of a kind that a check did not expect
            kind = type(error).__name__
            reasons[step.task] = (0, f"its result cannot be checked: {kind}: {error}")
        if ran.reason:
            raise runner.Ended(ran.reason)
        own, stopped = [], ""


def _read(
    student: str, path: Path, folder: Path, labs: list[Lab]
) -> Graded | tuple[str, str, Submission]:
    file = printable(path.relative_to(folder).as_posix())
    student = printable(student)
    try:
        if path.is_symlink():
            raise submission.Unreadable("this is a link, which is not followed")
        if path.is_dir():
            raise submission.Unreadable("there is no notebook (.ipynb) in this folder")
        return student, file, submission.read(path, labs)
    except submission.Unreadable as error:
        none = Mark(student, file, "", "", "", 0, 0, printable(str(error))[:LONGEST], "")
        return Graded(student, file, "not graded", [none])


def _places(folder: Path) -> tuple[list[Path], Path]:
    """Return the folders that a student's process shall not see, and that of the models."""
    package, clone = Path(medrl.__file__).resolve().parent, Path.cwd().resolve()
    unseen = [folder, editions.SOURCES, clone / "tests", clone / ".git", package / "labs/checks"]
    return [one.resolve() for one in unseen], clone / "data"


def _check_places(folder: Path, out: Path) -> None:
    inside, place = folder.resolve(), out.resolve()
    needed = (Path(medrl.__file__).resolve(), Path.cwd().resolve(), Path(sys.prefix).resolve())
    if any(one.is_relative_to(inside) for one in needed):
        raise UserError(f"{folder} contains the clone: name the folder with the notebooks alone")
    if place.is_relative_to(inside):
        raise UserError(f"--out {out} lies in {folder}: name a folder beside it")
    if place.exists():
        raise UserError(f"--out {out} is there already, maybe with your grades: name another")
    if not place.parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {place.parent}")


def _write(out: Path, done: list[Graded], limits: isolation.Limits, seed: int) -> None:
    """Write the CSV and the page into a folder that appears whole."""
    marks = [one for graded in done for one in graded.marks]
    partial = partial_of(out)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        table = pd.DataFrame([asdict(one) for one in marks])
        write_text(partial / CSV, tables.csv(table))
        write_text(partial / PAGE, page(done, limits, seed))
        os.rename(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def page(done: list[Graded], limits: isolation.Limits, seed: int) -> str:
    """Return the lecturer's page: one file of HTML without script."""
    template = Path(__file__).with_name("grades.html").read_text()
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    networks = {one.network for graded in done for one in graded.marks if one.network}
    return environment.from_string(template).render(
        done=done,
        limits=limits,
        seed=seed,
        uncut=sorted(networks - {isolation.CUT}),
        students=len({one.student for one in done}),
        when=f"{datetime.now():%Y-%m-%d %H:%M}",
        right=(RIGHT, NO_HIDDEN),
    )


@contextlib.contextmanager
def _pool(jobs: int) -> Any:
    """Yield a pool of threads and the list of processes; an error ends all of them."""
    started: list[runner.Runner] = []
    pool = ThreadPoolExecutor(jobs)
    try:
        yield pool, started
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for one in started:
            one.stop()


@contextlib.contextmanager
def _quiet() -> Any:
    """Keep what checks print, and what NumPy warns of in a student's numbers, to ourselves."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
    ):
        warnings.simplefilter("ignore")
        yield


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
