"""Records: the committed results of a study that is too large to run when the book is built.

`medrl record medmnist` keeps them under data/records/
"""

from __future__ import annotations

import shutil
from pathlib import Path

from medrl.studies import manifest, plan
from medrl_core.errors import UserError
from medrl_core.files import mend, partial_of, replace

RECORDS = Path("data/records")
# Executed notebooks and models stay out: a record holds numbers and texts, never an image.
FILES = ("results.json", "manifest.json", "rollouts.parquet")
FIGURES = (".csv", ".svg", ".alt.txt")


def keep(study: plan.Study) -> list[Path]:
    """Copy results, manifest, rollouts and figures of every run of a study to its records.

    Arguments:
        study: a study all of whose runs are there.

    Returns:
        The record folders, one a notebook.

    Raises:
        UserError: a run is not there.
    """
    folders = {name: plan.RUNS / study.name / name for name in study.runs}
    if missing := [name for name, folder in folders.items() if not folder.is_dir()]:
        raise UserError(f"no run of {', '.join(missing)}: make them by medrl study {study.name}")
    for folder in folders.values():
        manifest.verify(folder)
    target = RECORDS / study.name
    mend(target)
    partial = partial_of(target)
    try:
        for name, folder in folders.items():
            _copy(folder, partial / name)
        replace(target, partial)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return [target / name for name in folders]


def _copy(folder: Path, target: Path) -> None:
    (target / "figures").mkdir(parents=True)
    for file in FILES:
        if (folder / file).is_file():
            shutil.copyfile(folder / file, target / file)
    for figure in sorted((folder / "figures").glob("*")):
        if figure.name.endswith(FIGURES):
            shutil.copyfile(figure, target / "figures" / figure.name)
