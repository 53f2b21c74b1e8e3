"""Results of one run: typed numbers, tables and figures in a versioned results.json.

The book takes every number from such a file.
"""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from medrl_core.errors import UserError
from medrl_core.files import write_text
from medrl_core.refusal import first

if TYPE_CHECKING:
    import pandas as pd

    from medrl_core.report.bookfigure import BookFigure
    from medrl_core.score.intervals import Estimate

SCHEMA = 1


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Number(_Part):
    """One number with the 95% interval behind it."""

    value: float | None = Field(description="a fraction for percent and points; null: none")
    low: float | None = Field(description="lower end of the 95% interval; null: no interval")
    high: float | None = Field(description="upper end of the 95% interval; null: no interval")
    n: int | None = Field(description="observations behind it")
    unit: Literal["percent", "points", "number", "count", "seconds"]


class _Figure(_Part):
    alt: str


class _Data(_Part):
    md5: str
    origin: str


class _Content(_Part):
    """What results.json holds."""

    version: Literal[1] = Field(alias="schema")
    notebook: str
    study: str
    numbers: dict[str, Number]
    tables: dict[str, list[dict[str, Any]]]
    figures: dict[str, _Figure]
    data: dict[str, _Data]
    models: dict[str, str]


def _plain(value: Any) -> Any:
    """A JSON value: numpy scalars unwrapped, missing and non-finite numbers as null."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"results hold plain values only, not {type(value).__name__}")


class Results:
    """Collects what a notebook found and writes it into its run folder.

    Arguments:
        out: the run folder.
        notebook: name of the notebook, e.g. `02_support`.
        study: name of the study.
    """

    def __init__(self, out: str | os.PathLike, *, notebook: str, study: str):
        self.folder = Path(out)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._headline = ""
        self._content: dict[str, Any] = {
            "schema": SCHEMA,
            "notebook": notebook,
            "study": study,
            "numbers": {},
            "tables": {},
            "figures": {},
            "data": {},
            "models": {},
        }

    def number(
        self,
        name: str,
        value: float | None,
        *,
        low: float | None = None,
        high: float | None = None,
        n: int | None = None,
        unit: str = "percent",
    ) -> None:
        """Keep one number with its interval.

        Arguments:
            name: how the book asks for it.
            value: the number; fractions for the units percent and points.
            low: lower end of the 95% interval.
            high: upper end.
            n: observations behind it.
            unit: as in `medrl_core.report.tables.number`.

        Raises:
            TypeError: something other than a number or None.
        """
        entry = _plain({"value": value, "low": low, "high": high, "n": n})
        for part, found in entry.items():
            if isinstance(found, bool | str | list | dict):
                raise TypeError(f"{part} of {name} must be a number, not {found!r}")
        self._content["numbers"][name] = {**entry, "unit": unit}

    def estimate(self, name: str, estimate: Estimate, unit: str = "percent") -> None:
        """Keep an estimate of `medrl_core.score.intervals` as a number."""
        self.number(
            name, estimate.value, low=estimate.low, high=estimate.high, n=estimate.n, unit=unit
        )

    def table(self, name: str, frame: pd.DataFrame) -> None:
        """Keep a table, one record a row."""
        self._content["tables"][name] = _plain(frame.to_dict("records"))

    def figure(
        self, fig: BookFigure, name: str, table: pd.DataFrame, *, alt: str
    ) -> BookFigure:
        """Save a figure with its numbers and its alt text; returns it, so that a cell shows it."""
        from medrl_core.report import figures

        figures.save(fig, self.folder / "figures", name, table, alt=alt)
        self._content["figures"][name] = {"alt": alt.strip()}
        self._headline = self._headline or " ".join(fig.get_suptitle().split())
        return fig

    def data_hash(self, name: str, md5: str, origin: str) -> None:
        """Keep which bytes of a data set were used and where they come from."""
        self._content["data"][name] = {"md5": md5, "origin": origin}

    def model_hash(self, name: str, sha256: str) -> None:
        """Keep which weights were used."""
        self._content["models"][name] = sha256

    def save(self) -> Path:
        """Write results.json, equal bytes for equal results; say what its first figure found."""
        path = self.folder / "results.json"
        content = json.dumps(self._content, indent=1, sort_keys=True, allow_nan=False)
        write_text(path, content + "\n")
        if self._headline:
            print(f"{self._content['notebook']}: {self._headline}", file=sys.stderr, flush=True)
        return path


def read(folder: str | os.PathLike) -> dict[str, Any]:
    """Read the results.json of a run folder.

    Raises:
        UserError: it is missing, is no JSON, or is of another version.
    """
    path = Path(folder) / "results.json"
    try:
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict) or content.get("schema") != SCHEMA:
            raise UserError(f"{path}: is not of schema {SCHEMA}; delete its folder and run again")
        _Content.model_validate(content)
    except OSError as error:
        raise UserError(f"{path}: no results there; run the notebook first") from error
    except ValidationError as error:
        raise UserError(f"{path}: {first(error)}; delete its folder and run again") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is no valid JSON; delete its folder and run again") from error
    return content
