"""The scoreboard: each claim of data/claims.yaml against the numbers of a study's runs.

A picture of all verdicts: python -m medrl.book.scoreboard micro scoreboard.svg
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medrl.studies import clone, parameters, plan
from medrl_core import refusal
from medrl_core.errors import UserError
from medrl_core.files import write_bytes
from medrl_core.report import figures, results
from medrl_core.report.bookfigure import BookFigure
from medrl_core.score import verdicts

CLAIMS = Path("data/claims.yaml")
NOT_RUN = "not run"


class Shown(BaseModel):
    """One number that is shown beside a claim and decides nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: str
    criterion: str


class Decides(Shown):
    """The number that decides a claim, and what its whole interval is held against."""

    threshold: float = Field(ge=0, allow_inf_nan=False)
    margin: float = Field(gt=0, allow_inf_nan=False)
    direction: Literal["above", "below"]


class Claim(BaseModel):
    """One claim, the run that speaks to it and how it is judged."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern="^[HN][1-9]$")
    run: Literal[tuple(parameters.NOTEBOOKS)]  # pyright: ignore[reportInvalidTypeForm]
    world: Literal["drawn", "twin", "strips"]
    title: str
    claim: str
    figure: str  # of the run, that shows the numbers behind the verdict
    decides: Decides
    control: Shown
    also: list[Shown]


class Claims(BaseModel):
    """What data/claims.yaml contains."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Of the intervals of medrl_core.score.intervals; another level needs other runs.
    confidence: Literal[0.95]  # pyright: ignore[reportInvalidTypeForm]
    # As medrl_core.score.verdicts has it.
    power: Literal[0.8]  # pyright: ignore[reportInvalidTypeForm]
    claims: list[Claim] = Field(min_length=1)


@dataclass(frozen=True)
class Judged:
    """One claim in one study: its verdict, the number behind it, and the smallest visible effect.

    `entry` is the number of results.json (None without one), `control` that of the control.
    """

    claim: Claim
    study: str
    verdict: str
    entry: dict[str, Any] | None
    control: dict[str, Any] | None
    detectable: float


def read_claims(path: Path = CLAIMS) -> list[Claim]:
    """Read the claims, in their order.

    Raises: UserError, one line, if the file is missing or contains something else.
    """
    try:
        return Claims.model_validate(clone.read_yaml(path)).claims
    except ValidationError as error:
        raise UserError(f"{path}: {refusal.first(error)}") from None


def judge(claims: Sequence[Claim], study: str, folders: Mapping[str, Path]) -> list[Judged]:
    """Judge all claims of one study together, as Holm's correction needs it.

    Arguments: `folders` notebook to run folder; a run that is not there is "not run".
    Raises: UserError if a run is there but lacks the number that decides its claim.
    """
    found = [_numbers(claim, folders[claim.run]) for claim in claims]
    findings = [_finding(claim, numbers) for claim, numbers in zip(claims, found, strict=True)]
    table = verdicts.judge(findings)
    rows = []
    told = zip(claims, found, list(table["verdict"]), list(table["detectable"]), strict=True)
    for claim, numbers, verdict, detectable in told:
        verdict = NOT_RUN if numbers is None else verdict
        numbers = numbers or {}
        entry = numbers.get(claim.decides.number)
        tested = entry is not None and entry["value"] is not None
        control = numbers.get(claim.control.number)
        rows.append(
            Judged(claim, study, verdict, entry if tested else None, control, detectable)
        )
    return rows


def _numbers(claim: Claim, folder: Path) -> dict[str, dict[str, Any]] | None:
    """Return the numbers of a run, None if it is not there."""
    if not folder.is_dir():
        return None
    numbers = results.read(folder)["numbers"]
    if claim.decides.number not in numbers:
        name = claim.decides.number
        raise UserError(f"{folder}/results.json has no number {name!r} ({claim.id})")
    return numbers


def _finding(claim: Claim, numbers: dict[str, dict[str, Any]] | None) -> verdicts.Finding:
    entry = (numbers or {}).get(claim.decides.number) or {}
    value, low, high = (entry.get(name) for name in ("value", "low", "high"))
    decides = claim.decides
    above = decides.direction == "above"
    return verdicts.Finding(value, low, high, decides.threshold, decides.margin, above)


def picture(rows: list[Judged]) -> BookFigure | None:
    """Draw the deciding number of each claim with its interval; None if no run is there.

    Arguments: `rows` of one or more studies.
    """
    table = distances(rows)
    if table.empty:
        return None
    fig = figures.points(
        table,
        group="claim",
        by="study",  # named even when alone: a picture is copied without its page
        zero=True,
        xlabel="distance from the threshold (points)",
    )
    fig.alt = alt(rows)
    return fig


def distances(rows: list[Judged]) -> pd.DataFrame:
    """Return what `picture` plots: claim, study, value, low, high, verdict.

    Values are distances from the threshold; a claim of a fall is turned round, so that right of
    zero is always the claimed side.
    """
    found = []
    for row in rows:
        if row.entry is None:
            continue
        sign = 1 if row.claim.decides.direction == "above" else -1
        threshold = row.claim.decides.threshold
        ends = [row.entry["value"], row.entry["low"], row.entry["high"]]
        value, *interval = (
            float("nan") if end is None else sign * end - threshold for end in ends
        )
        low, high = interval if sign == 1 else interval[::-1]
        found.append([row.claim.id, row.study, value, low, high, row.verdict])
    return pd.DataFrame(found, columns=["claim", "study", "value", "low", "high", "verdict"])


def alt(rows: list[Judged]) -> str:
    """Say in words what the picture shows."""
    said = "; ".join(f"{row.claim.id} {row.verdict} ({row.study})" for row in rows)
    return f"Distance of each claim's number from its threshold with a 95% interval: {said}."


def main(study: str, target: Path) -> None:
    """Write the scoreboard's picture of one study's runs as SVG."""
    folders = {notebook: plan.RUNS / study / notebook for notebook in parameters.NOTEBOOKS}
    rows = judge(read_claims(), study, folders)
    fig = picture(rows)
    if fig is None:
        raise UserError(f"no run of {study} that judges a claim; run: medrl study {study}")
    write_bytes(target, fig.file_bytes("svg"))
    print(alt(rows))


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]))
    except UserError as error:
        sys.exit(f"scoreboard: {error}")
