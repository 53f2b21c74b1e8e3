"""The figure of the book: its style, its colours, how a notebook shows it and how it is saved."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from medrl_core.files import write_bytes
from medrl_core.report import tables

WIDTH = 6.0  # inches; at this width the smallest text is 9 pt
FONT = 10.5  # points


def style() -> dict[str, object]:
    """The matplotlib settings of every figure, as a dictionary for `mpl.rc_context`."""
    small = ["xtick.labelsize", "ytick.labelsize", "legend.fontsize", "legend.title_fontsize"]
    return {
        **sns.axes_style("whitegrid"),
        **dict.fromkeys(["font.size", "axes.titlesize", "axes.labelsize"], FONT),
        **dict.fromkeys(small, FONT - 1),
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same text everywhere
        "legend.frameon": False,
        "lines.linewidth": 1.8,
        "lines.markersize": 5.5,
        "figure.dpi": 100,
        "figure.facecolor": "white",
        "text.parse_math": False,  # a dollar in a name is a dollar
        "svg.hashsalt": "medrl",  # fixed ids: the same numbers give the same bytes
    }


def colours(names: Sequence[str]) -> dict[str, tuple[float, float, float]]:
    """A colour for each name, in the order given, from seaborn's colour-blind safe palette.

    Raises ValueError beyond ten names: more cannot be told apart.
    """
    palette = sns.color_palette("colorblind")
    if len(names) > len(palette):
        raise ValueError(f"{len(names)} series in one figure; at most {len(palette)} can be read")
    return dict(zip(names, palette, strict=False))


class BookFigure(Figure):
    """A figure that a notebook shows as a vector image with its alternative text."""

    alt = ""

    def _repr_html_(self) -> str:
        # matplotlib's own display knows pyplot figures only, and gives no alternative text.
        image = base64.b64encode(self.file_bytes("svg")).decode()
        source = f"data:image/svg+xml;base64,{image}"
        return f'<img alt="{html.escape(self.alt)}" style="width: 40rem" src="{source}">'

    def file_bytes(self, ending: str) -> bytes:
        """The figure as "svg" or "png" (150 dots an inch), without a date."""
        options = {
            "svg": {"metadata": {"Date": None, "Creator": None, "Description": self.alt}},
            "png": {"metadata": {"Software": None}, "dpi": 150},
        }
        stream = io.BytesIO()
        with mpl.rc_context(style()):
            self.savefig(stream, format=ending, **options[ending])
        return stream.getvalue()


def save(fig: BookFigure, folder: str | Path, name: str, table: pd.DataFrame, *, alt: str) -> Path:
    """Write a figure as `name.svg`, `name.png` and `name.csv`, with its text in `name.alt.txt`.

    The bytes depend only on the figure and the table.

    Args:
        fig: figure made by a plotter of this module.
        name: file name without ending.
        table: the numbers that are plotted.
        alt: one or two sentences that say what the figure shows, for readers who cannot see it.

    Returns:
        Path of the SVG.

    Raises:
        ValueError: the alt text is empty.
    """
    fig.alt, folder = alt.strip(), Path(folder)
    if not fig.alt:
        raise ValueError(f"figure {name} has no alt text")
    folder.mkdir(parents=True, exist_ok=True)
    csv = tables.csv(table, float_format="%.6g").encode()
    text = f"{fig.alt}\n".encode()
    files = {"svg": fig.file_bytes("svg"), "png": fig.file_bytes("png"), "csv": csv}
    for ending, content in {**files, "alt.txt": text}.items():
        write_bytes(folder / f"{name}.{ending}", content)
    return folder / f"{name}.svg"
