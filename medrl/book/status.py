"""The table of all runs: every notebook of every study, and the runs of sweeps; failed ones too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medrl.book import origin
from medrl.studies import manifest
from medrl_core.report import myst


def table(folders: list[Path], live: str, runs: Path) -> str:
    """Return a table of outcome, start, time and memory of each run.

    Arguments: `folders` of all notebooks of all studies, STUDY/NOTEBOOK, there or not; `live` is
    the study whose runs lie in `runs`.
    """
    lines = ["| run | study | outcome | time and memory |", "|:---|:---|:---|---:|"]
    for folder in folders:
        study, name = folder.parent.name, folder.name
        link = f"[{name}](/runs/{name})" if study == live else name
        lines.append(_line(link, study, folder, runs))
    for folder in _changed(runs, live):
        made: Any = manifest.read(folder) if folder.is_dir() else _failure(folder, runs)
        words = made.command.removeprefix("medrl run ").replace(f" --study {live}", "")
        lines.append(_line(myst.escape(words), live, folder, runs))
    return "\n" + "\n".join(lines) + "\n"


def _line(name: str, study: str, folder: Path, runs: Path) -> str:
    found = "not run | n/a"
    if folder.is_dir():
        made = manifest.read(folder)
        cost = f"{made.wall_seconds:.0f} s, {made.cpu_seconds:.0f} CPU-s, {made.peak_memory_mb} MB"
        found = f"finished {myst.escape(made.started[:10])} | {cost}"
    elif failure := _failure(folder, runs):
        why = myst.escape(failure.error[:200])
        found = f"failed {myst.escape(failure.started[:10])}: {why} | {failure.wall_seconds:.0f} s"
    return f"| {name} | {origin.badge(study)} | {found} |"


def _changed(runs: Path, live: str) -> list[Path]:
    """Return the folders of runs with parameters of their own, finished or failed."""
    found = [*(runs / live).glob("[0-9]*@*/manifest.json")]
    found += (runs / ".failed" / live).glob("[0-9]*@*/failure.json")
    return [runs / live / name for name in sorted({path.parent.name for path in found})]


def _failure(folder: Path, runs: Path) -> manifest.Failure | None:
    return manifest.read_failure(runs / ".failed" / folder.parent.name / folder.name)
