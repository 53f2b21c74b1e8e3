"""Figures of the book: one style, a handful of plotters, one way to save.

Every plotter takes a tidy table with the columns `value`, `low` and `high` (fractions, not
percent; `low` and `high` are the ends of the interval) and returns a figure.
Everywhere `by` names the column of the series (colour and marker), `panel` the column of the
small multiples; None means one. Series, rows and panels keep their order in the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill
from typing import Any, Literal, cast

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter, ScalarFormatter

from medrl_core.report.bookfigure import FONT, WIDTH, BookFigure, colours, save, style

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
GREY = "0.35"

__all__ = [
    "bars", "colours", "curves", "heat", "multiples", "points", "save", "style",
    "titled",
    "training_curves",
]  # fmt: skip


def _order(table: pd.DataFrame, column: str | None) -> list:
    """The values of a column in order of appearance; one None when there is no such column."""
    return [None] if column is None else list(dict.fromkeys(table[column]))


def _rows(table: pd.DataFrame, wanted: dict[str | None, object]) -> pd.DataFrame:
    """Rows that hold the wanted values; a column that is None or not in the table is left out."""
    for column in set(wanted) & set(table.columns):
        table = table[table[column] == wanted[column]]
    return table


def _label(series: object) -> str | None:
    return None if series is None else str(series)


def _panels(names: list, height: float, columns: int = 2) -> tuple[BookFigure, list[Axes]]:
    """One axes a name, at most `columns` side by side, unused ones removed; height in inches."""
    columns = min(columns, len(names))
    rows = -(-len(names) // columns)
    fig = BookFigure(figsize=(WIDTH, height * rows), layout="constrained")
    axes = list(fig.subplots(rows, columns, squeeze=False).flat)
    for spare in axes[len(names) :]:
        spare.remove()
    axes = axes[: len(names)]
    for ax, name in zip(axes, names, strict=True):
        ax.set_title("" if name is None else str(name), loc="left", fontsize=FONT - 1)
    return fig, axes


def _legend(
    fig: BookFigure, axes: list[Axes], place: Literal["upper", "lower"] = "upper"
) -> None:
    """One legend over ("upper") or under ("lower") all panels, each label once."""
    entries: dict[str, Artist] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        outside = "outside upper center" if place == "upper" else "outside lower center"
        columns = 3 if max(map(len, entries)) <= 22 else 2
        fig.legend(list(entries.values()), list(entries), loc=outside, ncols=columns)


def _rows_down(ax: Axes, groups: list) -> None:
    """Name the rows from top to bottom, with a thin line between two rows."""
    ax.set_yticks(range(len(groups)), [str(g) for g in groups])
    ax.set_ylim(len(groups) - 0.5, -0.5)
    ax.set_yticks(np.arange(1, len(groups)) - 0.5, minor=True)
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="y", which="minor", linewidth=0.6)


def titled(fig: BookFigure, finding: str) -> BookFigure:
    """Write over a figure what it shows, in a sentence; its legend goes below."""
    with mpl.rc_context(style()):
        for legend in list(fig.legends):
            legend.remove()
            _legend(fig, fig.axes, "lower")
            if below := fig.get_supxlabel():  # it would lie within the legend
                fig.supxlabel("")
                fig.axes[-1].set_xlabel(below)
        fig.suptitle(fill(finding, 58), x=0.01, ha="left", fontsize=FONT + 1, fontweight="bold")
    return fig


def curves(
    table: pd.DataFrame,
    *,
    x: str = "k",
    by: str | None = "name",
    panel: str | None = None,
    acc: pd.DataFrame | None = None,
    floor: pd.DataFrame | None = None,
    xlabel: str = "samples K",
    ylabel: str = "Pass@K (%)",
    log_x: bool = True,
    identity: bool = False,
) -> BookFigure:
    """Lines with interval bands: Pass@K against K, label-fraction or reliability curves.

    Args:
        table: columns x, value, low, high, and `by` and `panel` where named.
        x: column of the horizontal axis.
        by, panel: columns of the series and of the panels.
        acc: greedy accuracy a series (and panel): value, low, high; dotted line, "Acc@1".
        floor: guess floor: columns x and value (and panel); dashed grey line.
        xlabel, ylabel: axis titles with their units.
        log_x: base-2 axis with a tick at each x.
        identity: draw the line y = x (reliability).
    """
    series = _order(table, by)
    colour = colours(series)
    names = _order(table, panel)
    with mpl.rc_context(style()):
        fig, axes = _panels(names, height=3.6 if len(names) == 1 else 2.5)
        for ax, name in zip(axes, names, strict=True):
            for one, marker in zip(series, MARKERS, strict=False):
                wanted = {by: one, panel: name}
                rows = _rows(table, wanted).sort_values(x)
                ax.plot(rows[x], rows.value, color=colour[one], marker=marker, label=_label(one))
                ax.fill_between(
                    rows[x], rows.low, rows.high, color=colour[one], alpha=0.18, linewidth=0
                )
                if acc is not None:
                    for greedy in cast(Any, _rows(acc, wanted)).itertuples():
                        ax.axhline(greedy.value, color=colour[one], linestyle=":")
                        ax.plot([], [], color=GREY, linestyle=":", label="Acc@1 (greedy)")
            if floor is not None:
                rows = _rows(floor, {panel: name}).sort_values(x)
                ax.plot(rows[x], rows.value, color=GREY, linestyle="--", label="guess floor")
            if identity:
                ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="perfect")
            if log_x:
                ticks = sorted(set(table[x]))
                ax.set_xscale("log", base=2)
                ax.xaxis.set_major_locator(FixedLocator(ticks))
                ax.xaxis.set_minor_locator(NullLocator())
                ax.xaxis.set_major_formatter(ScalarFormatter())
            ax.set_ylim(-0.02, 1.02)
            ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
        fig.supxlabel(xlabel, fontsize=FONT)
        fig.supylabel(ylabel, fontsize=FONT)
        _legend(fig, axes)
    return fig


def points(
    table: pd.DataFrame,
    *,
    group: str = "dataset",
    by: str | None = None,
    floor: str | None = None,
    floor_label: str = "guess floor",
    xlabel: str = "accuracy (%)",
    zero: bool = False,
    palette: Mapping[str, object] | None = None,
) -> BookFigure:
    """A dot and its interval for each group and series, groups from top to bottom.

    Args:
        table: columns group, value, low, high, and `by` where named.
        group: column of the rows.
        floor: column with the row's guess floor or majority rate, drawn as a dashed tick.
        floor_label: its name in the legend.
        xlabel: axis title with its unit.
        zero: draw a line at zero (differences).
        palette: colour of each series; None: in their order.
    """
    groups, series = _order(table, group), _order(table, by)
    colour = palette or colours(series)
    with mpl.rc_context(style()):
        height = 1.2 + len(groups) * max(0.3, 0.17 * len(series))
        fig, (ax,) = _panels([None], height=height)
        shift = np.linspace(-0.27, 0.27, len(series)) if len(series) > 1 else [0.0]
        for one, marker, offset in zip(series, MARKERS, shift, strict=False):
            rows = _rows(table, {by: one})
            y = np.array([groups.index(g) for g in rows[group]]) + offset
            ax.hlines(y, rows.low, rows.high, color=colour[one], linewidth=1.8)
            ax.plot(rows.value, y, marker, color=colour[one], label=_label(one))
        if floor is not None:
            first = table.drop_duplicates(group)
            y = np.array([groups.index(g) for g in first[group]])
            ax.vlines(
                first[floor], y - 0.45, y + 0.45, color=GREY, linestyle="--", label=floor_label
            )
        if zero:
            ax.axvline(0, color=GREY, linewidth=1)
        _rows_down(ax, groups)
        ax.set_xlabel(xlabel)
        ax.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
        _legend(fig, [ax])
    return fig


def bars(
    table: pd.DataFrame,
    *,
    group: str,
    by: str | None = None,
    panel: str | None = None,
    xlabel: str = "images",
) -> BookFigure:
    """Horizontal bars for counts, which have no interval.

    Args:
        table: columns group, value, and `by` and `panel` where named.
        group: column of the rows.
        xlabel: axis title with its unit.
    """
    series, names = _order(table, by), _order(table, panel)
    colour = colours(series)
    rows_each = max(_rows(table, {panel: n})[group].nunique() for n in names)
    with mpl.rc_context(style()):
        fig, axes = _panels(names, height=0.9 + 0.28 * rows_each)
        for ax, name in zip(axes, names, strict=True):
            here = _rows(table, {panel: name})
            groups = _order(here, group)
            thick = 0.8 / len(series)
            for i, one in enumerate(series):
                rows = _rows(here, {by: one})
                y = np.array([groups.index(g) for g in rows[group]])
                y = y + (i - (len(series) - 1) / 2) * thick
                ax.barh(
                    y, rows.value, height=thick, color=colour[one], linewidth=0, label=_label(one)
                )
            _rows_down(ax, groups)
        fig.supxlabel(xlabel, fontsize=FONT)
        _legend(fig, axes)
    return fig


def heat(
    table: pd.DataFrame,
    *,
    row: str,
    column: str,
    label: str = "gain (points)",
    gains: bool = True,
) -> BookFigure:
    """A matrix with its numbers; bold where the interval leaves out zero.

    Args:
        table: columns row, column, value (fractions), and low and high for gains.
        row, column: columns of the two sides, in order of appearance.
        label: title of the colour bar with its unit.
        gains: diverging colours centred at zero and signed numbers; else shares from 0 to 1.
    """
    rows, columns = _order(table, row), _order(table, column)
    values = table.pivot(index=row, columns=column, values="value").loc[rows, columns] * 100
    text = values.map(lambda v: "" if pd.isna(v) else f"{v:+.0f}" if gains else f"{v:.0f}")
    reach = max(1.0, float(np.nanmax(np.abs(values.to_numpy()))))
    cmap, least, most = ("vlag_r", -reach, reach) if gains else ("cividis", 0, 100)
    with mpl.rc_context(style()):
        fig, (ax,) = _panels([None], height=1.6 + 0.38 * len(rows))
        sns.heatmap(
            values, ax=ax, annot=text, fmt="", linewidths=0.6, annot_kws={"size": FONT - 1},
            cbar_kws={"label": label}, cmap=cmap, vmin=least, vmax=most,
        )  # fmt: skip
        if gains and {"low", "high"} <= set(table.columns):
            sure = table[(table.low > 0) | (table.high < 0)]
            for cell in ax.texts:
                at = int(cell.get_position()[1]), int(cell.get_position()[0])
                here = (sure[row] == rows[at[0]]) & (sure[column] == columns[at[1]])
                cell.set_fontweight("bold" if here.any() else "normal")
        ax.set(xlabel=column.replace("_", " "), ylabel=row.replace("_", " "))
        ax.tick_params(axis="x", rotation=40)
        for tick in ax.get_xticklabels():
            tick.set(ha="right", rotation_mode="anchor")
        ax.tick_params(axis="y", rotation=0)
    return fig


def training_curves(
    table: pd.DataFrame, *, x: str = "step", by: str | None = None, xlabel: str = "training step"
) -> BookFigure:
    """One panel a metric against the training step.

    Args:
        table: columns x, metric, value, and `by` where named; missing values are left out.
        x: column of the horizontal axis.
        xlabel: axis title with its unit.
    """
    table = table.dropna(subset=["value"])
    metrics, series = _order(table, "metric"), _order(table, by)
    colour = colours(series)
    with mpl.rc_context(style()):
        fig, axes = _panels(metrics, height=2.2)
        for ax, metric in zip(axes, metrics, strict=True):
            for one in series:
                rows = _rows(table, {"metric": metric, by: one}).sort_values(x)
                ax.plot(rows[x], rows.value, color=colour[one], linewidth=1.4, label=_label(one))
        fig.supxlabel(xlabel, fontsize=FONT)
        _legend(fig, axes)
    return fig


def multiples(table: pd.DataFrame, *, x: str, panel: str, by: str | None = None) -> BookFigure:
    """One panel a number, against a parameter of a grid; a cross on the edge where none is there.

    Args:
        table: columns x, panel, unit (of the number), value, low, high, and `by` where named. A row
            without a value is a run that did not finish.
        x: column of the horizontal axis; its values stand side by side in their order.
        panel: column of the panels, each with an axis of its own.
    """
    names, places, series = _order(table, panel), _order(table, x), _order(table, by)
    colour = colours(series)
    shift = np.linspace(-0.15, 0.15, len(series)) if len(series) > 1 else [0.0]
    with mpl.rc_context(style()):
        fig, axes = _panels(names, height=2.1)
        for ax, name in zip(axes, names, strict=True):
            here = _rows(table, {panel: name})
            for one, marker, offset in zip(series, MARKERS, shift, strict=False):
                rows = _rows(here, {by: one})
                at = np.array([places.index(value) for value in rows[x]]) + offset
                ax.plot(
                    at, rows.value.astype(float), marker, linestyle="-", linewidth=0.8,
                    color=colour[one], label=None if by is None else f"{by} = {one}",
                )  # fmt: skip
                ax.vlines(at, rows.low.astype(float), rows.high.astype(float), color=colour[one])
                missing = at[rows.value.isna()]
                crosses = ax.scatter(
                    missing, np.zeros(len(missing)), color=[colour[one]], marker="x",
                    transform=ax.get_xaxis_transform(), clip_on=False,
                )  # fmt: skip
                crosses.set_in_layout(False)
            if here.value.isna().any():
                ax.plot([], [], "x", color=GREY, linestyle="", label="did not finish")
            ax.set_xticks(range(len(places)), [fill(str(place), 16) for place in places])
            ax.set_xlim(-0.5, len(places) - 0.5)
            if here.unit.iloc[0] in ("percent", "points"):
                unit = "%" if here.unit.iloc[0] == "percent" else "points"
                ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol="", decimals=0))
                ax.set_ylabel(unit)
        fig.supxlabel(x.replace("_", " "), fontsize=FONT)
        _legend(fig, axes)
    return fig
