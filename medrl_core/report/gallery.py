"""The gallery: a picture, the right report, and what a model says of it.

    shown = said(lab, groups, n=2)      # one row a picture
    fig = gallery(shown)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import matplotlib as mpl
import pandas as pd

from medrl_core.data import groups as kinds
from medrl_core.report.bookfigure import FONT, WIDTH, BookFigure, style
from medrl_core.report.experiment import Experiment
from medrl_core.train.rewards import reading_of

WRONG, RIGHT = "#c0392b", "#1b7837"
MONO = {"family": "DejaVu Sans Mono", "fontsize": FONT - 1}
TEXT = 0.81  # of the width
CHARACTER = 0.602 * (FONT - 1) / 72 / (TEXT * WIDTH)  # width of one in a text's axes


def said(lab: Experiment, groups: Sequence[str], n: int) -> pd.DataFrame:
    """Put the first items of each group beside the greedy answer to each.

    Only drawn groups are taken: real pictures are not the project's to show.

    Returns:
        One row a picture: group, cause, item_id, picture, question, right, says, thinks.
    """
    rows = []
    for group in groups:
        if kinds.kind(group) not in ("drawn", "books"):
            continue
        found = lab.base(group)
        greedy = found.greedy().set_index("item_id")
        for item in found.items[:n]:
            row: Any = greedy.loc[item.item_id]
            rows.append(
                {
                    "group": kinds.label(group),
                    "cause": kinds.cause(group),
                    "item_id": item.item_id,
                    "picture": item.images[0],
                    "question": item.question,
                    "right": item.gold,
                    "says": row.parsed or "",
                    "thinks": reading_of(row.text) or "",
                }
            )
    return pd.DataFrame(rows)


def gallery(shown: pd.DataFrame) -> BookFigure:
    """Draw each picture with the right report and, word by word, what the model says.

    Arguments: `shown` from `said`; wrong words are red and in brackets, which print shows too.
    """
    with mpl.rc_context(style()):
        fig = BookFigure(figsize=(WIDTH, 1.12 * len(shown)))
        for place, row in enumerate(cast(Any, shown.itertuples())):
            top = 1 - (place + 0.96) / len(shown)
            ax = fig.add_axes((0.0, top, 0.17, 0.88 / len(shown)))
            ax.imshow(row.picture, interpolation="nearest")
            ax.set_axis_off()
            text = fig.add_axes((0.19, top, TEXT, 0.88 / len(shown)))
            text.set_axis_off()
            text.text(0, 0.92, f"{row.question}  ({row.cause})", fontweight="bold", va="top")
            text.text(0, 0.62, f"right: {row.right}", va="top", **MONO)
            text.text(0, 0.34, "says:", va="top", **MONO)
            _words(text, 0.34, row.says.split() or ["(no report)"], row.right.split())
    return fig


def _words(ax, y: float, words: Sequence[str], right: Sequence[str]) -> None:
    """Write words side by side, the wrong ones red and in brackets."""
    place = len("right: ")
    for i, word in enumerate(words):
        good = i < len(right) and word == right[i]
        shown = word if good else f"[{word}]"
        colour = RIGHT if good else WRONG
        ax.text(CHARACTER * place, y, shown, color=colour, va="top", **MONO)
        place += len(shown) + 1
