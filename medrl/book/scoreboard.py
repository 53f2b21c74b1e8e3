"""The scoreboard: each claim of data/claims.yaml against the numbers of a study's runs.

The picture of the README: python -m medrl.book.scoreboard micro book/_static/main-result.svg
"""

from __future__ import annotations

import sys
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

CLAIMS = Path("data/claims.yaml")
# H6 is a slope; on the picture it is the gain that goes with ten points more support.
SCALE = {"h6": 0.1}
VERDICTS = ("reproduced", "not reproduced", "undecided", "not run", "not measured")


class Check(BaseModel):
    """One number, and the threshold that its whole interval is held against."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: str
    threshold: float = Field(allow_inf_nan=False)
    direction: Literal["above", "below"]
    criterion: str


class Claim(BaseModel):
    """One claim of the paper, the run that speaks to it and how it is judged."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern="^H[1-9]$")
    run: Literal[tuple(parameters.NOTEBOOKS)]  # pyright: ignore[reportInvalidTypeForm]
    title: str
    claim: str
    figure: str  # of the run, that shows the numbers behind the verdict
    decides: Check
    also: list[Check]


class Claims(BaseModel):
    """What data/claims.yaml holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # The intervals of measure.stats are 95% intervals; another level needs other runs.
    confidence: Literal[0.95]  # pyright: ignore[reportInvalidTypeForm]
    claims: list[Claim] = Field(min_length=1)


@dataclass(frozen=True)
class Judged:
    """One check of one study: its verdict and the number behind it (None without one)."""

    claim: Claim
    check: Check
    study: str
    verdict: str
    entry: dict[str, Any] | None


def read_claims(path: Path = CLAIMS) -> list[Claim]:
    """Read the claims, in their order.

    Raises: UserError, one line, if the file is missing or holds something else.
    """
    try:
        return Claims.model_validate(clone.read_yaml(path)).claims
    except ValidationError as error:
        raise UserError(f"{path}: {refusal.first(error)}") from None


def verdict(entry: dict[str, Any], check: Check) -> str:
    """Judge one number of results.json: by its whole interval, never by its middle.

    Arguments: `entry` has value, low and high (None where there is no interval).
    Returns: "reproduced" if the interval lies wholly on the claimed side of the threshold, "not
    reproduced" if wholly on the other, else "undecided"; an end on the threshold decides nothing.
    """
    low, high = entry["low"], entry["high"]
    if low is None or high is None:
        return "undecided"
    above, below = low > check.threshold, high < check.threshold
    if check.direction == "below":
        above, below = below, above
    return "reproduced" if above else "not reproduced" if below else "undecided"


def judge(claim: Claim, check: Check, study: str, folder: Path) -> Judged:
    """Judge one check by the run folder of a study.

    Raises: UserError if the run is there but lacks the number that decides the claim. A secondary
    number may be missing (a study without an SFT tower has no h1_sft): "not measured".
    """
    if not folder.is_dir():
        return Judged(claim, check, study, "not run", None)
    entry = results.read(folder)["numbers"].get(check.number)
    if entry is None and check == claim.decides:
        raise UserError(f"{folder}/results.json has no number {check.number!r} ({claim.id})")
    if entry is None or entry["value"] is None:
        return Judged(claim, check, study, "not measured", None)
    return Judged(claim, check, study, verdict(entry, check), entry)


def picture(rows: list[Judged]) -> BookFigure | None:
    """Draw how far each deciding number is from its threshold; None if no run is there.

    Arguments: `rows` of one or more studies. Numbers are put on one scale by taking the threshold
    off and turning "below" round: right of zero is on the claimed side. The slope of H6 is scaled.
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
    """Return what `picture` plots: claim, study, value, low, high, verdict."""
    found = []
    for row in rows:
        if row.entry is None:
            continue
        sign = 1 if row.check.direction == "above" else -1
        scale = sign * SCALE.get(row.check.number, 1)
        ends = [row.entry["value"], row.entry["low"], row.entry["high"]]
        value, *interval = (
            float("nan") if end is None else scale * (end - row.check.threshold) for end in ends
        )
        low, high = interval if sign == 1 else interval[::-1]
        found.append([row.claim.id, row.study, value, low, high, row.verdict])
    return pd.DataFrame(found, columns=["claim", "study", "value", "low", "high", "verdict"])


def alt(rows: list[Judged]) -> str:
    """Say in words what the picture shows."""
    said = "; ".join(f"{row.claim.id} {row.verdict} ({row.study})" for row in rows)
    return f"Distance of each claim's number from its threshold with a 95% interval: {said}."


def counts(rows: list[Judged]) -> str:
    """Count verdicts in words, e.g. "3 reproduced, 4 undecided"."""
    seen = [row.verdict for row in rows]
    return ", ".join(f"{seen.count(name)} {name}" for name in VERDICTS if name in seen)


def main(study: str, target: Path) -> None:
    """Write the scoreboard's picture of one study's runs as SVG."""
    rows = [judge(c, c.decides, study, plan.RUNS / study / c.run) for c in read_claims()]
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
