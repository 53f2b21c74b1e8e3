"""The dials of the drawn world, as intended and as a base has them.

    table = dials(lab, groups)      # one row a group: cause, intended, measured, ...
    fig = dial_figure(table)
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator, NullLocator

from medrl_core.data import groups as kinds
from medrl_core.data.drawn.captions import intended_p
from medrl_core.data.groups import CAUSES
from medrl_core.report.bookfigure import FONT, WIDTH, BookFigure, colours, style
from medrl_core.report.experiment import Experiment
from medrl_core.report.figures import GREY
from medrl_core.score.intervals import bootstrap_mean

MARKERS = dict(zip(CAUSES, ("o", "s", "^", "D", "v"), strict=True))
SMALLEST = 1e-7  # a dial at zero is drawn here


def dials(lab: Experiment, groups: Sequence[str]) -> pd.DataFrame:
    """Measure each group and put what its dials intend beside it.

    Returns:
        One row a group: group, cause, intended (nan for real pictures), value, low, high (p with
        its interval over items), forced (p after the right reasoning; nan if p is not exact),
        floor (chance of a guess), acc, commonest, information.
    """
    rows = []
    for group in groups:
        found = lab.base(group)
        modality, numbers = kinds.modality(group), found.numbers()
        p = bootstrap_mean(found.p, seed=lab.seed)
        options = np.array([max(item.n_options, 1) for item in found.items])
        rows.append(
            {
                "group": kinds.label(group),
                "cause": kinds.cause(group) or "real",
                "intended": intended_p(modality) if modality else np.nan,
                "value": p.value,
                "low": p.low,
                "high": p.high,
                "forced": found.chances.forced.mean() if found.chances else np.nan,
                "floor": (1 / options).mean(),
                **{name: numbers.get(name, np.nan) for name in ("acc", "commonest", "information")},
            }
        )
    return pd.DataFrame(rows)


def error(table: pd.DataFrame) -> float:
    """Give the median distance of measured from intended p in powers of ten; nan without dials."""
    there = table[(table.intended > 0) & (table.value > 0)]
    return float(pd.Series(np.log10(there.value / there.intended)).abs().median())


def dial_figure(table: pd.DataFrame) -> BookFigure:
    """Draw measured against intended p on logarithmic axes, a colour and a marker a cause."""
    table = table[table.intended.notna()]
    colour = colours(CAUSES)
    with mpl.rc_context(style()):
        fig = BookFigure(figsize=(WIDTH, 4.2), layout="constrained")
        ax = fig.subplots()
        ax.plot([SMALLEST, 1], [SMALLEST, 1], color=GREY, linewidth=1, label="as intended")
        for cause in CAUSES:
            rows = table[table.cause == cause]
            x = rows.intended.clip(lower=SMALLEST)
            ends = [rows.value - rows.low, rows.high - rows.value]
            ax.errorbar(
                x, rows.value, yerr=np.nan_to_num(np.array(ends)), fmt=MARKERS[cause],
                color=colour[cause], label=cause, linewidth=1.2,
            )  # fmt: skip
        if len(table):
            ax.axhline(table.floor.iloc[0], color=GREY, linestyle="--", label="guess floor")
        ax.set(xscale="log", yscale="log", xlim=(SMALLEST / 2, 2), ylim=(SMALLEST / 2, 2))
        ax.set_xlabel("p as the dials intend it (0 is drawn at the left edge)", fontsize=FONT)
        ax.set_ylabel("p as measured")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(LogLocator(numticks=10))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_locator(NullLocator())
        fig.legend(loc="outside upper center", ncols=3)
    return fig


def one_a_cause(groups: Sequence[str]) -> list[str]:
    """Return the first group of each cause, in the order of `CAUSES`; real groups are left out."""
    first: dict[str, str] = {}
    for group in groups:
        first.setdefault(kinds.cause(group), group)
    return [first[cause] for cause in CAUSES if cause in first]


def title(table: pd.DataFrame) -> str:
    """Say in one sentence how far p reaches and how near it is to the dials."""
    low, high = table.value.min(), table.value.max()
    if not table.intended.notna().any():
        return f"p of these groups reaches from {low:.2g} to {high:.2g}"
    decades = np.log10(high / max(low, SMALLEST))
    within = f"half of the dials are met within {10 ** error(table):.2g}-fold"
    return f"p spans {decades:.1f} powers of ten; {within}"


def finding(table: pd.DataFrame) -> str:
    """Say what was found as Markdown, with the numbers of the table."""
    least, most = table.iloc[table.value.argmin()], table.iloc[table.value.argmax()]
    said = (
        f"One sampled answer is right with a chance of **{least.value:.2g}** ({least.group}) to "
        f"**{most.value:.2g}** ({most.group}). A guess is right with {table.floor.mean():.2g}. "
    )
    under = table[(table.acc < 0.05) & (table.information > 1)]
    if len(under):
        said += (
            f"In {len(under)} of {len(table)} groups the greedy answer is right in fewer than "
            "one item of 20 and still tells more than one bit of the right one: the picture is "
            "read, the convention is not kept."
        )
    return said
