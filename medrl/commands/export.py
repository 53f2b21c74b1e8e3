"""`medrl export`: the answers of any log, with their verdicts, in another tool's format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medrl.commands.log_report import read_and_grade
from medrl_core.errors import UserError
from medrl_core.score.export import hub_dataset, inspect_log, instance_records, sample_rows
from medrl_core.score.export.parts import parts

WRITERS = {
    "inspect": inspect_log.write,
    "eee": instance_records.write,
    "hf": hub_dataset.write,
    "lm-eval": sample_rows.write,
}


def export(log: Path, to: str, out: Path, licence: str | None = None, **how: Any) -> list[Path]:
    """Write each part of a log into a folder.

    Arguments: `log` of any known format; `to` a key of WRITERS; `out` the folder, made if missing;
    `licence` of a data set's card; `how` format, trust, scorer and gold, as for `medrl score`.
    Returns: the files that were written.
    Raises: UserError where the format is unknown, or as `read_and_grade`.
    """
    if to not in WRITERS:
        raise UserError(f"--to {to} is unknown: use {', '.join(WRITERS)}")
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file: name a folder")
    graded = read_and_grade(log, **how)
    out.mkdir(parents=True, exist_ok=True)
    more = {"licence": licence} if to == "hf" and licence else {}
    found = [part for one in graded for part in parts(one)]
    return [path for part in found for path in WRITERS[to](part, out, **more)]
