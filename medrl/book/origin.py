"""Where a number of the book came from: the badge of its study, and the box below each page."""

from __future__ import annotations

import json
from functools import cache

from medrl.studies import plan
from medrl.studies.manifest import Manifest
from medrl_core.report import myst, tables


@cache
def _kind(study: str) -> str:
    """Return what a study's numbers rest on, the first words of its label: "embedded"."""
    if not (plan.STUDIES / f"{study}.yaml").is_file():
        return ""
    return f" ({plan.load_study(study).label.split(':')[0]})"


def badge(study: str, more: str = "") -> str:
    """Return the label that says which study made a number, and on what: "micro (embedded)"."""
    return f"[{myst.escape(study + _kind(study) + more)}]{{.study}}"


def command(notebook: str, study: str) -> str:
    """Return what a reader types to make a run."""
    return f"medrl run {notebook} --study {study}"


def footer(manifest: Manifest, files: list[str]) -> str:
    """Return MyST text that tells where a page's results came from and how to make them again.

    The text names study, notebook, parameters, seeds, commit, hashes, versions, wall time and the
    command. Arguments: `files` are links to the numbers, the rollouts and the executed notebook.
    """
    commit = myst.code(manifest.commit[:12]) if manifest.commit else "not under git"
    if manifest.dirty:
        commit += " with uncommitted changes"
    machine = ", ".join(f"{name} {value}" for name, value in manifest.hardware.items())
    versions = ", ".join(f"{name} {version}" for name, version in manifest.packages.items())
    rows = [
        ("Study", tables.cell(f"{manifest.study} ({manifest.label})")),
        ("Notebook", myst.code(manifest.notebook)),
        ("Seeds", ", ".join(str(seed) for seed in manifest.seeds)),
        ("Commit", commit),
        ("Started", tables.cell(manifest.started)),
        (
            "Time",
            f"{manifest.wall_seconds:.0f} s, {manifest.cpu_seconds:.0f} CPU-seconds, "
            f"{manifest.peak_memory_mb} MB at most",
        ),
        ("Machine", tables.cell(machine)),
        *((f"Data: {name}", myst.code(value)) for name, value in manifest.data_hashes.items()),
        *((f"Model: {name}", myst.code(value)) for name, value in manifest.model_hashes.items()),
    ]
    return "\n".join(
        [
            ":::{dropdown} Where this came from",
            " · ".join(files),
            "",
            "| | |",
            "|---|---|",
            *(f"| {tables.cell(name)} | {text} |" for name, text in rows),
            "",
            "Make it again:",
            myst.fenced(" ".join(manifest.command.split()), "text"),
            "Parameters:",
            myst.fenced(json.dumps(manifest.parameters, indent=1, sort_keys=True), "json"),
            "Versions: " + tables.cell(versions),
            ":::",
            "",
        ]
    )
