"""Pieces of MyST text: escaped words, labels, numbers and narrow tables."""

from __future__ import annotations

import json
import re
from typing import Any

import pandas as pd

from medrl_core.report import tables

COLUMNS = 5  # more do not fit a phone
ROWS = 36
NAME = re.compile(r"[\w./@:+-]+")
SPECIAL = {ord(sign): f"&#{ord(sign)};" for sign in "&<>|`*_~[](){}#$!\\\"'^:@"}


def escape(text: object) -> str:
    """Return text that Markdown and HTML show as it is, on one line."""
    return " ".join(str(text).split()).translate(SPECIAL)


def number(entry: dict[str, Any]) -> str:
    """Format one number of results.json; brackets escaped, points named."""
    text = tables.interval(entry["value"], entry["low"], entry["high"], entry["unit"])
    unit = " points" if entry["unit"] == "points" and entry["value"] is not None else ""
    return f"[{escape(text)}{unit}]{{.number}}"


def verdict(name: str) -> str:
    """Return a verdict with the class that marks it."""
    return f"[{name}]{{.verdict .{name.replace(' ', '-')}}}"


def slug(*words: str) -> str:
    """Return words as one label: "micro-02-support-passk"."""
    return "-".join(words).replace("_", "-").lower()


def quoted(text: str) -> str:
    """Return a directive option as one quoted line."""
    return json.dumps(" ".join(text.split()), ensure_ascii=False)


def code(text: str) -> str:
    """Return a name as code; one with signs that code cannot hold, as text."""
    return f"`{text}`" if NAME.fullmatch(text) else escape(text)


def fenced(text: str, kind: str = "") -> str:
    """Return a text as a block of code that none of its own lines can end."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{kind}\n{text}\n{fence}"


def published(entry: dict[str, Any], name: str) -> str:
    """Format one value of a group of data/published.yaml."""
    value = entry["values"][name]
    return tables.number(value) if entry["unit"] == "fraction" else f"{value}%"


def with_ends(frame: pd.DataFrame, columns: list[str]) -> list[str]:
    """Put low and high behind value, which tables.markdown turns into one column."""
    ends = [end for end in ("low", "high") if end in frame and end not in columns]
    return [*columns, *ends] if "value" in columns else columns


def narrow(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep the first columns, as many as fit a phone; an interval counts as one and stays."""
    ends = {"value", "low", "high"} & set(frame.columns)
    plain = [name for name in frame.columns if name not in ends]
    kept = set(plain[: COLUMNS - bool(ends)]) | ends
    return frame[[name for name in frame.columns if name in kept]]


def pipe(
    frame: pd.DataFrame,
    units: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> str:
    """Return a pipe table; numbers without a unit get three digits."""
    units = dict(units or {})
    for name in frame.select_dtypes("float").columns:
        if name not in ("value", "low", "high"):
            units.setdefault(name, "number")
    return tables.markdown(frame, units=units, headers=headers, max_columns=COLUMNS)
