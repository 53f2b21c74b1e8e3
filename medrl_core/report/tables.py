"""Numbers and tables of the book: every rounding rule is here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import pandas as pd

from medrl_core.score.intervals import Estimate

Unit = Literal["percent", "points", "number", "count", "seconds"]
MISSING = "n/a"
# Signs that Markdown, MyST or HTML would read as more than a sign within a table's cell.
MARKUP = {ord(sign): f"&#{ord(sign)};" for sign in "&<>|`*_~[]{}$\\^"}
# A spreadsheet takes a cell that begins with one of these for a formula, which may run commands.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def number(value: float | None, unit: Unit = "percent") -> str:
    """One number as text.

    Args:
        value: the number; fractions for the units percent and points.
        unit: "percent" (0.5 gives 50.0%), "points" (a difference of fractions, signed: +5.0),
            "number" (three significant digits), "count" (1,234) or "seconds" (3.2 s).

    Returns:
        The text; "n/a" for None and nan.
    """
    if value is None or math.isnan(value):
        return MISSING
    match unit:
        case "percent":
            return f"{100 * value:.1f}%"
        case "points":
            return f"{100 * value:+.1f}"
        case "number":
            return f"{value:.3g}"
        case "count":
            return f"{round(value):,}"
        case "seconds":
            return f"{value:.1f} s"
    raise ValueError(f"unknown unit {unit!r}")


def interval(
    value: float | None, low: float | None, high: float | None, unit: Unit = "percent"
) -> str:
    """A number with its interval, "50.0% [45.1, 54.9]"; without ends just the number."""
    text = number(value, unit)
    if MISSING in (text, number(low, unit), number(high, unit)):
        return text
    low_text, high_text = (number(end, unit).removesuffix("%") for end in (low, high))
    return f"{text} [{low_text}, {high_text}]"


def fmt(estimate: Estimate, unit: Unit = "percent") -> str:
    """An estimate with its interval as text."""
    return interval(estimate.value, estimate.low, estimate.high, unit)


def with_intervals(
    table: pd.DataFrame, unit: Unit = "percent", name: str = "value"
) -> pd.DataFrame:
    """The table with value, low and high put together in one text column.

    Args:
        table: columns value, low, high and others.
        unit: unit of the values.
        name: name of the new column, put last.
    """
    text = [
        interval(*ends, unit)
        for ends in table[["value", "low", "high"]].itertuples(index=False, name=None)
    ]
    return table.drop(columns=["value", "low", "high"]).assign(**{name: text})


def pivot(table: pd.DataFrame, *, row: str, column: str, unit: Unit = "percent") -> pd.DataFrame:
    """Rows against columns, each cell "value [low, high]"; empty cells are "n/a"."""
    text = with_intervals(table[[row, column, "value", "low", "high"]], unit)
    rows, columns = (list(dict.fromkeys(table[side])) for side in (row, column))
    wide = text.pivot(index=row, columns=column, values="value").loc[rows, columns]
    return wide.fillna(MISSING).rename_axis(columns=None).reset_index()


def before_and_after(table: pd.DataFrame, *, index: list[str]) -> pd.DataFrame:
    """One column a metric: where a model stands and, behind the semicolon, what training changed.

    Args:
        table: columns of `index`, metric (`acc@1`, `pass@k`, `excess_support@k`), value, low, high,
            and change, change_low, change_high (nan for the model before training).
        index: columns that name a row.

    Returns:
        Columns of `index` and one text column a metric, such as "50.0% [45.1, 54.9]; +5.0
        [1.2, 8.9]": percent and points, but plain numbers for excess support.
    """
    titles = {"acc@1": "Acc@1", "pass@k": "Pass@K", "excess_support@k": "excess support"}
    rows: dict[tuple, dict[str, str]] = {}
    for row in table.to_dict("records"):
        plain = row["metric"] == "excess_support@k"
        text = interval(row["value"], row["low"], row["high"], "number" if plain else "percent")
        ends = (row["change"], row["change_low"], row["change_high"])
        change = interval(*ends, "number" if plain else "points")
        name = tuple(row[column] for column in index)
        rows.setdefault(name, dict(zip(index, name, strict=True)))[titles[row["metric"]]] = (
            text if change == MISSING else f"{text}; {change}"
        )
    return pd.DataFrame(list(rows.values())).sort_values(
        index[0], key=lambda names: names.map(list(dict.fromkeys(names)).index), kind="stable"
    )


def cell(value: object) -> str:
    """A value as the text of a cell, on one line, whatever signs it holds."""
    return " ".join(str(value).split()).translate(MARKUP)


def csv(table: pd.DataFrame, **options: str | bool) -> str:
    """The table as CSV, in which no text is a formula: an apostrophe goes before one that would be.

    Args:
        table: what is written, without its index.
        options: of pandas.

    Returns:
        The text, with lines that end by a newline alone.
    """

    def plain(value: object) -> object:
        if not isinstance(value, str) or not value.startswith(FORMULA):
            return value
        try:
            float(value)  # "-0.5"
        except ValueError:
            return f"'{value}"
        return value

    table = table.rename(columns=plain).map(plain)
    return table.to_csv(index=False, lineterminator="\n", **options)


def markdown(
    table: pd.DataFrame,
    *,
    units: Mapping[str, Unit] | None = None,
    headers: Mapping[str, str] | None = None,
    max_columns: int = 5,
) -> str:
    """A pipe table for MyST; the columns value, low and high become one.

    Args:
        table: what is shown, in this order; texts are shown as texts, whatever they hold.
        units: unit of each numeric column; "value" for the interval. Columns not named are
            printed as they are.
        headers: column titles in place of the column names, as MyST.
        max_columns: more than this does not fit a phone.

    Raises:
        ValueError: too many columns.
    """
    units, headers = dict(units or {}), dict(headers or {})
    ours = set()  # columns of texts that are made here
    if {"value", "low", "high"} <= set(table.columns):
        table = with_intervals(table, units.pop("value", "percent"))
        ours = {"value"}
    if len(table.columns) > max_columns:
        raise ValueError(f"{len(table.columns)} columns; a phone shows at most {max_columns}")
    shown = pd.DataFrame(
        {
            headers.get(name, cell(name.replace("_", " "))): [
                number(one, units[name]) if name in units else one if name in ours else cell(one)
                for one in column
            ]
            for name, column in table.items()
        }
    )
    numeric = [name in units or name == "value" for name in table.columns]
    rule = ["---:" if right else ":---" for right in numeric]
    lines = [list(shown.columns), rule, *shown.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"
