"""All results of the book for machines, and the JSON schema that says what stands where.

`medrl book` writes both into the book: files/results.json and files/results.schema.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from medrl.book import samples, scoreboard
from medrl.book.chapter import Chapter
from medrl.studies import manifest
from medrl.studies import parameters as params
from medrl_core.report import results
from medrl_core.report.results import Number
from medrl_core.score import verdicts

SAID = (*verdicts.VERDICTS, scoreboard.NOT_RUN)


class Part(BaseModel):
    """What all parts of the catalogue share: nothing more than what is named, and no change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Verdict(Part):
    """How one study judges a claim."""

    study: str
    verdict: Literal[SAID]  # pyright: ignore[reportInvalidTypeForm]
    number: Number | None = Field(description="null where nothing was measured")
    control: Number | None = Field(description="decides nothing; null where not measured")
    detectable: float | None = Field(
        description="smallest effect that these runs would have found in four cases of five"
    )


class Claim(Part):
    """A claim, the check that decides it, and the verdict of each study."""

    id: str = Field(description="H1 to H7 of the paper, N1 and N2 of this book")
    title: str
    claim: str
    criterion: str = Field(description="written down before the run that it judges")
    notebook: str
    number: str = Field(description="name of the deciding number in that notebook's run")
    threshold: float
    margin: float = Field(description="what lies between plus and minus this is no effect")
    direction: Literal["above", "below"]
    verdicts: list[Verdict]


class Drawn(Part):
    """A figure: its alternative text and the plotted numbers."""

    alt: str
    csv: str = Field(description="path relative to this list")


class Run(Part):
    """One run or record: where it came from and what it found."""

    study: str
    label: str = Field(description="which data and model")
    notebook: str
    command: str = Field(description="makes the run again")
    parameters: dict[str, Any]
    seeds: list[int]
    commit: str | None = Field(description="git commit; null: not under git")
    dirty: bool | None = Field(description="tracked files differed from the commit")
    data_hashes: dict[str, str] = Field(description="MD5 of each image set")
    model_hashes: dict[str, str] = Field(description="SHA-256 of each model's weights")
    packages: dict[str, str]
    started: str = Field(description="ISO 8601")
    wall_seconds: float
    numbers: dict[str, Number]
    figures: dict[str, Drawn]
    tables: dict[str, str] = Field(description="name of a table to the path of its CSV file")
    rollouts: str | None = Field(
        description="Parquet file of all answers; null: none sampled, or too many"
    )


class Catalogue(Part):
    """All results that the book shows. A reader should refuse a version it does not know."""

    version: Literal[2] = Field(description="of this format; a breaking change raises it")
    title: str
    software_version: str
    study: str = Field(description="the study of this build; others are records")
    claims: list[Claim]
    runs: list[Run]


def collect(chapter: Chapter, title: str) -> Catalogue:
    """Collect all runs and verdicts that a book shows."""
    claims: dict[str, tuple[Any, list[Verdict]]] = {}
    for row in chapter.deciding():
        claims.setdefault(row.claim.id, (row.claim, []))[1].append(
            Verdict.model_validate(
                {
                    "study": row.study,
                    "verdict": row.verdict,
                    "number": row.entry,
                    "control": row.control,
                    "detectable": row.detectable if row.detectable == row.detectable else None,
                }
            )
        )
    return Catalogue(
        version=2,
        title=title,
        software_version=manifest.version(),
        study=chapter.study,
        claims=[
            Claim(
                id=claim.id,
                title=claim.title,
                claim=claim.claim,
                criterion=claim.decides.criterion,
                notebook=claim.run,
                number=claim.decides.number,
                threshold=claim.decides.threshold,
                margin=claim.decides.margin,
                direction=claim.decides.direction,
                verdicts=judged,
            )
            for claim, judged in claims.values()
        ],
        runs=[
            _run(folder, f"{study}/{notebook}")
            for study in chapter.studies()
            for notebook in params.NOTEBOOKS
            if (folder := chapter.folder(notebook, study)).is_dir()
        ],
    )


def write(catalogue: Catalogue, folder: Path) -> None:
    """Write results.json and results.schema.json into a new folder."""
    folder.mkdir(parents=True, exist_ok=True)
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Catalogue.model_json_schema(),
    }
    for name, text in (
        ("results.json", catalogue.model_dump_json(indent=1)),
        ("results.schema.json", json.dumps(schema, indent=1)),
    ):
        (folder / name).write_text(text + "\n")


def _run(folder: Path, place: str) -> Run:
    found, made = results.read(folder), manifest.read(folder)
    answers = folder / "rollouts.parquet"
    kept_answers = answers.is_file() and answers.stat().st_size <= samples.LARGEST
    kept = set(Run.model_fields) & set(manifest.Manifest.model_fields)
    return Run(
        **made.model_dump(include=kept),
        numbers=found["numbers"],
        figures={
            name: Drawn(alt=entry["alt"], csv=f"{place}/figures/{name}.csv")
            for name, entry in found["figures"].items()
        },
        tables={name: f"{place}/tables/{name}.csv" for name in found["tables"]},
        rollouts=f"{place}/rollouts.parquet" if kept_answers else None,
    )
