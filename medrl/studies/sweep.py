"""A grid of runs of one notebook, made like a study and compared on one page.

`medrl sweep 02_support -p k=4,16,64 -p temperature=0.5,1`.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from medrl.studies import manifest, parameters, plan
from medrl.studies.execution import (
    RunFailed,
    changes,
    command_line,
    failed_folder,
    made,
    named,
    snakemake,
)
from medrl_core import plain
from medrl_core.errors import UserError
from medrl_core.refusal import first

if TYPE_CHECKING:  # the Snakefile reads grids in each of its jobs and draws nothing
    from medrl.studies.comparison import Row


class Grid(BaseModel):
    """A notebook and the values that some of its parameters take, in the order given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    notebook: str
    axes: dict[str, list[Any]]

    def command(self, study: str) -> str:
        """Return the command that makes the sweep again, as a shell reads it."""
        words = ["medrl", "sweep", self.notebook, "--study", study]
        for name, values in self.axes.items():
            words += ["-p", f"{name}={','.join(map(plain.line, values))}"]
        return shlex.join(words)


@dataclass(frozen=True)
class Point:
    """One combination of a grid: what was set, all parameters, and where its run lies."""

    settings: dict[str, Any]
    values: parameters.Common
    folder: Path


def read_words(notebook: str, words: list[str]) -> Grid:
    """Read name=value,value words: between two commas stands one YAML value, a list in brackets.

    Raises: UserError for a word without values, or a value that is given twice.
    """
    axes = {}
    for name, text in plan.assignments(words).items():
        values = plain.parse_yaml(f"[{text}]", f"-p {name}={text}")
        if not values:
            raise UserError(f"-p {name}= has no value: write -p {name}=value,value")
        if any(value in values[:place] for place, value in enumerate(values)):
            raise UserError(f"-p {name}={text}: a value stands twice")
        axes[name] = values
    return Grid(notebook=notebook, axes=axes)


def read(path: str | Path) -> Grid:
    """Read a grid from its file; a UserError says what is wrong with it."""
    try:
        return Grid.model_validate_json(Path(path).read_bytes())
    except ValidationError as error:
        raise UserError(f"{path}: {first(error)}; run the sweep again") from None


def points(study: plan.Study, grid: Grid) -> list[Point]:
    """Return all combinations of a grid, the last parameter changing fastest.

    Raises: UserError if any of them is refused, two are the same run, or one needs a run that the
    study does not have.
    """
    plan.notebook_path(grid.notebook)
    found = []
    for combination in itertools.product(*grid.axes.values()):
        settings = dict(zip(grid.axes, combination, strict=True))
        values = plan.resolve(study, grid.notebook, settings)
        for needed in plan.dependencies(values):
            if needed not in study.runs:
                raise UserError(
                    f"{grid.notebook} needs run:{needed}, which study {study.name} does not run"
                )
        point = Point(settings, values, plan.run_folder(study, grid.notebook, values))
        for other in found:
            if other.folder == point.folder:
                raise UserError(f"{other.settings} and {settings} are the same run")
        found.append(point)
    return found


def planned(study: plan.Study, grid: Grid) -> plan.Planned:
    """Return the runs of a grid as the Snakefile wants them."""
    return {one.folder.name: (grid.notebook, one.values) for one in points(study, grid)}


def folder_of(study: plan.Study, grid: Grid) -> Path:
    """Return where the page of a sweep lies: runs/STUDY/sweeps/NOTEBOOK@HASH."""
    digest = hashlib.sha256(json.dumps(grid.axes).encode()).hexdigest()[:8]
    return plan.RUNS / study.name / "sweeps" / f"{grid.notebook}@{digest}"


def make(study: plan.Study, grid: Grid, options: list[str]) -> tuple[Path, str]:
    """Make the runs of a grid that are missing or stale, then the page that compares all.

    Arguments: `options` go to Snakemake.
    Returns: the page, and one line on what failed or "". Raises: UserError before anything runs.
    """
    from medrl.studies import comparison

    wanted = points(study, grid)
    comparison.check(grid.axes)
    folder = folder_of(study, grid)
    new = not folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "grid.json").write_text(grid.model_dump_json(indent=2) + "\n")
    if any(_stale(study, grid, point) for point in wanted):
        targets = [made(study, point.folder.name) for point in wanted]
        runs = {one.folder.name: (grid.notebook, one.values) for one in wanted}
        try:
            snakemake(study, targets, options, grid=(folder / "grid.json", runs))
        except RunFailed:
            pass  # the page shows which run failed and why
        except UserError:
            if new:
                shutil.rmtree(folder)
            raise
    rows = [_outcome(study, grid, point) for point in wanted]
    comparison.write(folder, study, grid.notebook, grid.axes, grid.command(named(study)), rows)
    missing = sum(row.outcome != "finished" for row in rows)
    return (
        folder / "index.html",
        f"{missing} of {len(rows)} runs did not finish; the page says why" * bool(missing),
    )


def _stale(study: plan.Study, grid: Grid, point: Point) -> bool:
    there = point.folder.is_dir()
    return not there or bool(changes(study, grid.notebook, point.values, point.folder))


def _outcome(study: plan.Study, grid: Grid, point: Point) -> Row:
    """Return what became of a point; a run of older code or data does not count as finished."""
    from medrl.studies.comparison import Row

    command = command_line(study, grid.notebook, point.values)
    if not _stale(study, grid, point):
        return Row(point.settings, point.folder, command, "finished")
    kept = failed_folder(point.folder)
    if failure := manifest.read_failure(kept):
        return Row(point.settings, kept, command, "failed", failure.error)
    return Row(
        point.settings, point.folder, command, "not run", "a run that it needs failed, or a stop"
    )
