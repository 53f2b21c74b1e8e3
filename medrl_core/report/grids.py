"""Recorded grids: thousands of trainings that no notebook repeats, read from data/records.

    grid = read("drawn")
    grid.said()          # "recorded: drawn pictures, 212 trainings, commit 39e3421"
    grid.runs            # one row a training; empty, with grid.reason, where nothing is recorded

The tables are those of `medrl_core.train.twin_grid.collect`; `trainings` puts them into the form in
which notebooks keep their own runs. Run its test: `pytest tests/report/test_grids.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from medrl_core.errors import UserError
from medrl_core.report.results import Results
from medrl_core.report.results import read as read_results
from medrl_core.score.intervals import Estimate
from medrl_core.score.law import KL, LEARNT, PATH, TOOK_OFF, Law, load_law, take_off
from medrl_core.score.support import pass_curve

RECORDS = Path("data/records")
TABLES = ("runs", "looks", "facts", "transfer", "law")
NAMES = {"drawn": "drawn pictures", "twin": "twin", "strips": "strips of real pictures"}
MARKS = {"took_off": TOOK_OFF, "learnt": LEARNT}
# Grids whose RL differs from that of the others in its length alone; the longest run counts.
LAW_GRIDS = ("law", "law to 16,384", "law without KL")
COLUMNS = (
    "world", "base", "group", "arm", "objective", "seed", "kl", "labels", "n", "base_p", "hits",
    "first", "acc0", "acc", "acc_validation", "gain", "p", "pass0", "pass", "words", "commonest",
    "information", "thought", "right_thought", "took_off", "learnt", "bonus", "per_group",
    "learning_rate", "n_items", "grid", "run",
)  # fmt: skip


@dataclass(frozen=True)
class Grid:
    """The recorded tables of one world.

    Arguments: `world`; `tables` by name, empty where nothing is recorded; `reason` why not.
    """

    world: str
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    reason: str = ""

    def __bool__(self) -> bool:
        return not self.reason

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name in TABLES:
            return self.tables.get(name, pd.DataFrame())
        raise AttributeError(name)

    def said(self, trainings: int | None = None) -> str:
        """Say in a caption what was recorded, or that nothing was."""
        if not self:
            return self.reason
        count = len(self.runs) if trainings is None else trainings
        commits = ", ".join(sorted({str(one)[:7] for one in self.runs["commit"]}))
        return f"recorded: {NAMES[self.world]}, {count:,} trainings, commit {commits}"


def read(world: str, root: Path = RECORDS) -> Grid:
    """Read the recorded tables of a world: "drawn", "twin" or "strips".

    Raises: UserError: an unknown world, or a file that is no table.
    """
    if world not in NAMES:
        raise UserError(f"there is no recorded world {world!r}: use one of {', '.join(NAMES)}")
    folder = Path(root) / world
    if not (folder / "runs.parquet").is_file():
        return Grid(world, reason=f"{NAMES[world]}: not recorded")
    found = {}
    for name in TABLES:
        path = folder / f"{name}.parquet"
        if path.is_file():
            try:
                found[name] = pd.read_parquet(path)
            except (OSError, ValueError) as error:
                raise UserError(f"{path}: is no Parquet table; collect it again") from error
    return Grid(world, found)


def law(mark: float, path: Path = PATH) -> Law | None:
    """Return the law that was fitted to recorded runs, None where none was fitted yet."""
    return load_law(path, mark=mark) if Path(path).is_file() else None


def plain_law(grid: Grid, mark: float = TOOK_OFF) -> pd.DataFrame:
    """Give recorded runs as `law.fit` takes them, at one mark and the usual weight of KL."""
    table = grid.law
    if table.empty:
        return table
    usual = (table["unit"] == "run") & np.isclose(table["mark"], mark)
    return table[usual & np.isclose(table["kl"], KL)]


def law_said(found: Law | None) -> str:
    """Say which law a notebook uses."""
    if found is None:
        return f"No law was fitted: {PATH} is not there."
    trainings_of = found.about.get("trainings", found.about.get("runs", 0))
    return f"The law is of gains over {100 * found.mark:.0f} points, from {trainings_of} trainings."


def trainings(grid: Grid, arms: Sequence[str] = (), names: Sequence[str] = ()) -> pd.DataFrame:
    """Give recorded trainings in the form of a notebook's own.

    Arguments: `grid`; `arms`, `names` of grids: all where none is named.
    Returns: columns `COLUMNS`; hits are those expected of the whole budget, first the first right
        completion (nan if none), pass0 and pass are Pass@256 before and after, took_off and learnt
        whether Acc@1 gained more than the marks at some look.
    """
    if not grid:
        return pd.DataFrame(columns=list(COLUMNS))
    runs, looks = grid.runs, grid.looks
    if arms:
        runs = runs[runs["arm"].isin(arms)]
    if names:
        runs = runs[runs["grid"].isin(names)]
    if runs.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    acc0 = _untrained(grid)
    rows = []
    for one in cast(Any, runs.itertuples()):
        seen = looks[looks["run"] == one.run] if len(looks) else looks
        before = float(seen["acc"].iloc[0]) if len(seen) and not one.labels else np.nan
        before = acc0.get((one.base, one.modality), before)
        n = int(one.cost_completions)
        row = {
            "world": grid.world, "base": one.base, "group": one.modality, "arm": one.arm,
            "objective": one.objective, "seed": one.seed, "kl": one.kl, "labels": one.labels,
            "n": n, "base_p": float(one.base_p),
            # Of the budget: a run that stops once it has learnt would count fewer.
            "hits": float(one.base_p) * one.completions,
            "first": _number(one.first_right), "acc0": before, "acc": float(one.acc),
            "acc_validation": _number(getattr(one, "acc_validation", None)),
            "gain": float(one.acc) - before, "p": float(one.p),
            "pass0": float(pass_curve(one.base_test_p, [256])[0]),
            "pass": float(pass_curve(one.test_p, [256])[0]), "words": one.words,
            "commonest": _number(one.commonest), "information": _number(one.information),
            "thought": _number(one.thought), "right_thought": _number(one.right_thought),
            "bonus": one.bonus, "per_group": one.group, "learning_rate": one.learning_rate,
            "n_items": len(one.test_p), "grid": one.grid, "run": one.run,
        }  # fmt: skip
        for name, mark in MARKS.items():
            if len(seen) and not one.labels:
                row[name] = bool(np.isfinite(take_off(seen["n"], seen["acc"], mark)[1]))
            else:
                row[name] = row["gain"] > mark
        rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _number(value: Any) -> float:
    return float("nan") if value is None or pd.isna(value) else float(value)


def _untrained(grid: Grid) -> dict[Any, float]:
    """Acc@1 of each base on each modality, from runs without training or the first look."""
    runs = grid.runs
    base = runs[runs["arm"] == "base"]
    found = base.groupby(["base", "modality"])["acc"].mean().to_dict()
    if len(grid.looks):
        first = grid.looks[(grid.looks["n"] == 0) & (grid.looks["labels"] == 0)]
        found = first.groupby(["base", "modality"])["acc"].mean().to_dict() | found
    return found


def law_trainings(grid: Grid) -> pd.DataFrame:
    """Give plain RL from a base, the longest run of each seed and KL weight."""
    found = trainings(grid, ["rl"], [*LAW_GRIDS, "transfer"])
    found = found.sort_values("n", kind="stable")
    return found.drop_duplicates(["base", "group", "seed", "kl"], keep="last")


def with_room(runs: pd.DataFrame) -> pd.DataFrame:
    """Leave out runs on groups of which the base is too often right already to take off."""
    return runs[1 - runs["acc0"] > TOOK_OFF]


def cube(
    table: pd.DataFrame, value: str, rows: Sequence[str], seeds: Sequence[int] | None = None
) -> tuple[pd.Index, np.ndarray]:
    """Put a column into cells by training seed, nan where a seed is missing.

    Arguments: `table`; `value`; `rows` columns that name a cell; `seeds`: all where None.
    Returns: the cells, and (cells, S).
    """
    wide = table.pivot_table(index=list(rows), columns="seed", values=value, sort=False)
    if seeds is not None:
        wide = wide.reindex(columns=list(seeds))
    return wide.index, wide.to_numpy(float)


def keep(
    results: Results,
    recorded: Mapping[str, Estimate | None],
    live: Mapping[str, Estimate | None],
    *,
    numbers: Collection[str] = (),
) -> None:
    """Keep claim numbers of the recorded grids, and those of live runs with the ending "_live".

    Arguments: `results` of a run; `recorded`, `live` name to estimate, None where the situation did
        not occur; `numbers`: names that are plain numbers; all others are differences in points.
    """
    for source, ending in ((recorded, ""), (live, "_live")):
        for name, estimate in source.items():
            unit = "number" if name in numbers else "points"
            if estimate is None:
                results.number(f"{name}{ending}", None, unit=unit)
            else:
                results.estimate(f"{name}{ending}", estimate, unit)


def rows_of(folder: str | None, table: str, **wanted: object) -> pd.DataFrame:
    """Read a table of another notebook's run, in `COLUMNS`; empty where no run is named.

    Arguments: `folder` of the run; `table` its name; `wanted`: values of columns.
    """
    if folder is None:
        return pd.DataFrame(columns=list(COLUMNS))
    found = pd.DataFrame(read_results(folder)["tables"].get(table, []))
    for column, value in wanted.items():
        found = found[found[column] == value] if column in found else found
    return found.reindex(columns=list(COLUMNS)).astype({"gain": float, "base_p": float})
