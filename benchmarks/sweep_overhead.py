"""What a point of `medrl sweep` costs beyond its notebook's own work, and how that grows.

`python -m benchmarks.sweep_overhead --out data/sweep-overhead.json` from the repository's root. The
notebook has one cell that writes one number, in a project of its own in a temporary folder; the
wall time of the sweep is the whole command, page and figures included. Takes about a quarter of an
hour.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import nbformat
import typer

from medrl.book import measurements
from medrl.studies import parameters

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = "02_support"
STUDY = "title: Overhead\nlabel: one number\nruns: {02_support: {}}\n"
CODE = """
from medrl_core.report.results import Results
results = Results(out, notebook="02_support", study=study)
results.number("k", k, unit="count")
results.save()
"""


def project(folder: Path) -> None:
    """Write a study of one notebook."""
    (folder / "notebooks/studies").mkdir(parents=True)
    (folder / "notebooks/studies/overhead.yaml").write_text(STUDY)
    (folder / "Snakefile").symlink_to(ROOT / "Snakefile")
    values = {**parameters.defaults(NOTEBOOK), "out": "runs/dev"}
    source = "\n".join(f"{name} = {value!r}" for name, value in values.items())
    new_code = nbformat.v4.new_code_cell
    cells = [new_code(source, metadata={"tags": ["parameters"]}), new_code(CODE)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    written = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    nbformat.write(written, folder / f"notebooks/{NOTEBOOK}.ipynb")


def own_seconds(folder: Path) -> float:
    """Return the time that all runs spent inside their cells."""
    cells = [
        cell
        for path in folder.glob(f"runs/overhead/{NOTEBOOK}@*/executed.ipynb")
        for cell in json.loads(path.read_text())["cells"]
    ]
    return sum(cell["metadata"].get("papermill", {}).get("duration") or 0 for cell in cells)


def sweep(points: int, cores: int) -> dict[str, float]:
    """Make one sweep of so many points, so many of them side by side, and time it."""
    with tempfile.TemporaryDirectory(prefix="overhead-") as place:
        project(Path(place))
        values = ",".join(str(k) for k in range(1000, 1000 + points))
        command = [sys.executable, "-m", "medrl.commands.main", "sweep", NOTEBOOK]
        command += ["--study", "overhead"]
        start = time.perf_counter()
        subprocess.run(
            [*command, "-p", f"k={values}", "--", "--cores", str(cores)],
            cwd=place, check=True, capture_output=True,
        )  # fmt: skip
        wall = time.perf_counter() - start
        own = own_seconds(Path(place))
    return {"points": points, "cores": cores, "wall_seconds": wall, "own_seconds": own}


def main(
    out: Annotated[Path, typer.Option(help="JSON file of the numbers")],
    points: Annotated[list[int], typer.Option(help="sizes of the grid")] = [1, 10, 50, 200],  # noqa: B006
    rounds: Annotated[int, typer.Option(min=1, help="sweeps of each size")] = 3,
) -> None:
    """Time sweeps of every size, one and two runs at a time, and write the file."""
    rows = []
    for _ in range(rounds):
        for size in points:
            for cores in (1, 2):
                rows.append(row := sweep(size, cores))
                each = (row["wall_seconds"] - row["own_seconds"] / cores) / size
                print(f"{size} points, {cores} side by side: {each:.2f} s on top", flush=True)
    measurements.record(out, rows)


if __name__ == "__main__":
    typer.run(main)
