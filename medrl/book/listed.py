"""The YAML files of data/ that the book quotes: published numbers, names of unofficial files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from medrl.studies import clone
from medrl_core import refusal
from medrl_core.errors import UserError


class Published(BaseModel):
    """One group of published numbers, with its source and its caution."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    note: str
    unit: Literal["percent_as_listed", "fraction"]
    values: dict[str, float | None]


class Recorded(BaseModel):
    """How the book names an image file that is not the official one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str
    note: str


def published(path: Path) -> dict[str, dict]:
    """Return the groups of data/published.yaml; a UserError names a file that does not fit."""
    return _read(path, Published)


def recorded(path: Path) -> dict[str, dict]:
    """Return the image sets of data/recorded.yaml; a UserError names a file that does not fit."""
    return _read(path, Recorded)


def _read(path: Path, kind: type[BaseModel]) -> dict[str, dict]:
    content = clone.read_yaml(path)
    try:
        TypeAdapter(dict[str, kind]).validate_python(content)
    except ValidationError as error:
        raise UserError(f"{path}: {refusal.first(error)}; get it again from git") from None
    return content
