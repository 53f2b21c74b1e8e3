"""Figures of RL by dose and support: the law, first hits, calibration, controls, traps, reasoning.

Each takes runs in the columns of `medrl_core.report.grids` (live or recorded), and each has a title
that is computed from them. Its test: `pytest tests/report/test_doses.py`.
"""

from __future__ import annotations

from typing import Any, cast

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from medrl_core.report.bookfigure import WIDTH, BookFigure, style
from medrl_core.report.doses import ENOUGH, HOPELESS
from medrl_core.report.figures import GREY
from medrl_core.report.grids import with_room
from medrl_core.report.palette import ARM_COLOUR, ARM_MARKER, CONTROLS, UNTRAINED
from medrl_core.score.law import Law
from medrl_core.train.arms import ARMS

SOURCES = {"live": "live", "recorded": "recorded", "twin": "twin, live"}


def axes(height: float = 3.8, columns: int = 1) -> tuple[BookFigure, list[Axes]]:
    """Give an empty figure of the book's width with its legend above."""
    fig = BookFigure(figsize=(WIDTH, height), layout="constrained")
    return fig, list(fig.subplots(1, columns, squeeze=False)[0])


def legend(fig: BookFigure, columns: int = 2) -> BookFigure:
    """Put one legend of all axes below the figure."""
    entries: dict[str, Artist] = {}
    for ax in fig.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        fig.legend(
            list(entries.values()), list(entries), loc="outside lower center", ncols=columns
        )
    return fig


def plain_logs(ax: Axes, *, y: bool = False) -> None:
    """Number a logarithmic axis in plain numbers, without powers of ten."""
    for axis in (ax.xaxis, ax.yaxis)[: 1 + y]:
        axis.set_major_locator(LogLocator(base=10, numticks=6))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def percent(ax: Axes, *, y: bool = True) -> None:
    """Number an axis in percent."""
    formatter = PercentFormatter(1.0, decimals=0, symbol="")
    (ax.yaxis if y else ax.xaxis).set_major_formatter(formatter)


def law_figure(
    runs: pd.DataFrame, law: Law | None, n: int, rivals: pd.DataFrame | None = None
) -> BookFigure:
    """Draw the gain of every run against its expected hits, and the law's chance of take-off.

    Arguments: `runs` with a column source (a key of `SOURCES`); `law`; `n` completions, that its
        curve is for; `rivals` as `Doses.rivals` gives them.
    """
    with mpl.rc_context(style()):
        fig, (ax,) = axes(4.6)
        sources = [one for one in SOURCES if (runs["source"] == one).any()]
        for arm in [one for one in ARM_COLOUR if (runs["arm"] == one).any()]:
            for source in sources:
                here = runs[(runs["arm"] == arm) & (runs["source"] == source)]
                if here.empty:
                    continue
                plain = source == "recorded"
                marker = "^" if source == "twin" else ARM_MARKER[arm]
                face = "none" if arm in CONTROLS else ARM_COLOUR[arm]
                ax.scatter(
                    here["hits"], here["gain"], marker=marker, edgecolors=ARM_COLOUR[arm],
                    facecolors=face, s=14 if plain else 42, alpha=0.45 if plain else 0.9,
                    linewidths=1.2, label=f"{ARMS[arm]} ({SOURCES[source]})", zorder=3,
                )  # fmt: skip
        if rivals is not None and len(rivals):
            ax.scatter(
                rivals["p"] * n, rivals["gain"], marker="_", s=160, color="k", label=UNTRAINED,
                zorder=4,
            )
        if law is not None:
            _curve(ax, law, n)
        ax.axvspan(ENOUGH, ax.get_xlim()[1] * 10, color=GREY, alpha=0.07, linewidth=0)
        ax.set_xscale("log")
        lowest, most = runs["hits"].min(), runs["hits"].max()
        ax.set_xlim(max(lowest / 2, 1e-4), most * 2)
        ax.set_ylim(min(-0.05, runs["gain"].min() - 0.03), 1.04)
        percent(ax)
        plain_logs(ax)
        ax.set_xlabel("expected hits: completions x p of the base")
        ax.set_ylabel("gain in Acc@1 (points), chance (%)")
        legend(fig)
    return fig


def _curve(ax: Axes, law: Law, n: int) -> None:
    p = np.geomspace(1e-7, 1, 200)
    ax.plot(
        p * n, law.chance(p, n), color="k", linewidth=1.4,
        label=f"law: chance of take-off in {n:,}", zorder=2,
    )  # fmt: skip
    if law.draws:
        some = np.array([Law(law.mark, law.unit, law.kl, *one).chance(p, n) for one in law.draws])
        low, high = np.quantile(some, [0.025, 0.975], axis=0)
        ax.fill_between(p * n, low, high, color="k", alpha=0.15, linewidth=0)


def law_title(runs: pd.DataFrame) -> str:
    """Say how many runs that had room took off with enough expected hits, and with hardly any."""
    true = with_room(runs[runs["arm"] == "rl"])
    parts = []
    for name, part in (
        (f"{ENOUGH:g} expected hits or more", true[true["hits"] >= ENOUGH]),
        (f"{HOPELESS:g} or fewer", true[true["hits"] <= HOPELESS]),
    ):
        if len(part):
            parts.append(f"{int(part['took_off'].sum())} of {len(part)} with {name}")
    return f"RL took off in {', in '.join(parts) or 'no run that speaks to it'}"


def firsts_figure(runs: pd.DataFrame) -> BookFigure:
    """Draw the number of the first right completion against 1 / p, with what chance alone gives."""
    met = runs[runs["first"].notna()]
    with mpl.rc_context(style()):
        fig, (ax,) = axes(3.6)
        for source in [one for one in SOURCES if (met["source"] == one).any()]:
            here = met[met["source"] == source]
            plain = source == "recorded"
            ax.scatter(
                1 / here["base_p"], here["first"], s=14 if plain else 42,
                alpha=0.5 if plain else 0.9, marker="^" if source == "twin" else "o",
                color=ARM_COLOUR["rl"], label=f"RL ({SOURCES[source]})",
            )  # fmt: skip
        expected = np.geomspace(1, max(1e4, (1 / met["base_p"]).max() * 2 if len(met) else 1e4), 50)
        ax.plot(expected, expected, color="k", linewidth=1.2, label="1 / p")
        low, high = -np.log(0.975), -np.log(0.025)
        ax.fill_between(
            expected, np.maximum(expected * low, 1), np.maximum(expected * high, 1), color="k",
            alpha=0.1, linewidth=0, label="95% of waits by chance",
        )  # fmt: skip
        ax.set(xscale="log", yscale="log", xlabel="1 / p of the base",
               ylabel="first right completion (number)")  # fmt: skip
        plain_logs(ax, y=True)
        legend(fig)
    return fig


def firsts_title(runs: pd.DataFrame) -> str:
    """Say how many runs met a right answer, and how many should have."""
    expected = float(-np.expm1(-runs["base_p"] * runs["n"]).sum())
    met = runs[runs["first"].notna()]
    without = runs[runs["first"].isna()]
    still = int((without["gain"].abs() < 1e-9).sum())
    tail = f"; {still} of {len(without)} that met none stayed the base" if len(without) else ""
    return f"{len(met)} of {len(runs)} runs met a right answer, {expected:.0f} by chance{tail}"


def controls_figure(runs: pd.DataFrame, rivals: pd.DataFrame | None = None) -> BookFigure:
    """Draw the gain in Acc@1 of the true reward beside its controls, a row a group."""
    names = list(dict.fromkeys(runs.sort_values("base_p", ascending=False)["group"]))
    arms = [arm for arm in ("rl", *CONTROLS) if (runs["arm"] == arm).any()]
    with mpl.rc_context(style()):
        fig, (ax,) = axes(1.6 + 0.55 * len(names))
        shift = np.linspace(-0.28, 0.28, len(arms)) if len(arms) > 1 else [0.0]
        for arm, move in zip(arms, shift, strict=True):
            here = runs[runs["arm"] == arm]
            y = [names.index(name) + move for name in here["group"]]
            face = "none" if arm in CONTROLS else ARM_COLOUR[arm]
            ax.scatter(
                here["gain"], y, marker=ARM_MARKER[arm], edgecolors=ARM_COLOUR[arm],
                facecolors=face, s=36, label=ARMS[arm], alpha=0.8,
            )  # fmt: skip
        if rivals is not None:
            here = rivals[rivals["group"].isin(names)]
            at = [names.index(name) for name in here["group"]]
            ax.vlines(
                here["gain"], np.array(at) - 0.4, np.array(at) + 0.4, color="k", label=UNTRAINED
            )
        ax.axvline(0, color=GREY, linewidth=1)
        ax.set_yticks(range(len(names)), names)
        ax.set_ylim(len(names) - 0.5, -0.5)
        percent(ax, y=False)
        ax.set_xlabel("gain in Acc@1 (points)")
        legend(fig)
    return fig


def controls_title(runs: pd.DataFrame) -> str:
    """Say what the true reward gains and what the best control gains, where hits are enough."""
    here = runs[runs["hits"] >= ENOUGH]
    mean = here.groupby("arm")["gain"].mean()
    others = mean.reindex([arm for arm in CONTROLS if arm in mean and arm != "rate0"])
    if "rl" not in mean or others.empty:
        return "No control ran where there was enough support"
    best = str(others.idxmax())
    return (
        f"The true reward gains {100 * mean['rl']:.0f} points, the best control "
        f"({ARMS[best]}) {100 * others[best]:.0f}"
    )


def trap_figure(runs: pd.DataFrame) -> BookFigure:
    """Draw Acc@1 and Pass@256 lost against what answers tell of the picture, constants marked."""
    with mpl.rc_context(style()):
        fig, (left, right) = axes(3.8, 2)
        weights = sorted(runs["kl"].unique())
        for kl, colour in zip(weights, ("C3", "C0", "C2", "C4"), strict=False):
            for constant in (False, True):
                here = runs[(runs["kl"] == kl) & ((runs["words"] == 1) == constant)]
                if here.empty:
                    continue
                style_of = {
                    "marker": "X" if constant else "o", "s": 44 if constant else 22,
                    "color": colour, "alpha": 0.7,
                    "label": f"KL {kl:g}{', a constant word' if constant else ''}",
                }  # fmt: skip
                left.scatter(here["information"], here["acc"], **style_of)
                right.scatter(here["information"], here["pass"] - here["pass0"], **style_of)
        for ax in (left, right):
            ax.set_xlabel("bits that answers tell")
            percent(ax)
        left.set_ylabel("Acc@1 after RL (%)")
        right.set_ylabel("change of Pass@256 (points)")
        right.axhline(0, color=GREY, linewidth=1)
        legend(fig)
    return fig


def trap_title(runs: pd.DataFrame) -> str:
    """Say how many runs that took off say a constant word, by the weight of KL."""
    gone = runs[runs["took_off"].astype(bool)]
    if gone.empty:
        return "No run took off, so none could be trapped"
    said = [
        f"{int((part['words'] == 1).sum())} of {len(part)} at KL {kl:g}"
        for kl, part in gone.groupby("kl")
    ]
    return f"Of runs that took off, some end in a constant word: {', '.join(said)}"


def care_figure(runs: pd.DataFrame) -> BookFigure:
    """Draw Acc@1 against the share of right answers whose reasoning reads the picture rightly."""
    with mpl.rc_context(style()):
        fig, (ax,) = axes(3.6)
        for arm in [one for one in ("rl", "care") if (runs["arm"] == one).any()]:
            for bonus, here in cast(Any, runs[runs["arm"] == arm].groupby("bonus")):
                label = ARMS[arm] + (f" of {bonus:g}" if arm == "care" else "")
                ax.scatter(
                    here["right_thought"], here["acc"], s=30 + 60 * float(bonus),
                    marker=ARM_MARKER[arm], color=ARM_COLOUR[arm], alpha=0.75, label=label,
                )  # fmt: skip
        ax.set_xlim(-0.03, 1.03)
        ax.set_ylim(-0.03, 1.03)
        percent(ax)
        percent(ax, y=False)
        ax.set_xlabel("right answers whose reasoning says what the picture shows (%)")
        ax.set_ylabel("Acc@1 after RL (%)")
        legend(fig)
    return fig


def care_title(runs: pd.DataFrame) -> str:
    """Say what the bonus does to Acc@1 and to the reasoning behind right answers."""
    mean = runs.groupby("arm")[["acc", "right_thought"]].mean()
    if not {"rl", "care"} <= set(mean.index):
        return "The consistency bonus was not compared"
    return (
        f"The bonus moves Acc@1 from {100 * mean.acc['rl']:.0f} to {100 * mean.acc['care']:.0f}%, "
        f"and right reasoning behind right answers from {100 * mean.right_thought['rl']:.0f} to "
        f"{100 * mean.right_thought['care']:.0f}%"
    )


def curve_figure(looks: pd.DataFrame) -> BookFigure:
    """Draw Acc@1 on the way, a line a run, the arms of a group in one panel."""
    names = list(dict.fromkeys(looks["group"]))
    columns = min(3, len(names))
    with mpl.rc_context(style()):
        rows = -(-len(names) // columns)
        fig = BookFigure(figsize=(WIDTH, 1.9 * rows + 1.0), layout="constrained")
        grid = fig.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for spare in grid.flat[len(names) :]:
            spare.remove()
        for ax, name in zip(grid.flat, names, strict=False):
            here = looks[looks["group"] == name]
            for (arm, _), run in here.groupby(["arm", "seed"], sort=False):
                ax.plot(
                    run["n"], run["acc"], marker=ARM_MARKER[arm], markersize=3.5, linewidth=1.3,
                    color=ARM_COLOUR[arm], label=ARMS[arm],
                )  # fmt: skip
            ax.set_title(name, loc="left", fontsize=9.5)
            ax.set_ylim(-0.03, 1.03)
            percent(ax)
        fig.supxlabel("completions", fontsize=10)
        fig.supylabel("Acc@1 (%)", fontsize=10)
        legend(fig)
    return fig


def curve_title(looks: pd.DataFrame) -> str:
    """Say what Acc@1 true rewards end at, group by group."""
    true = looks[looks["arm"] == "rl"]
    last = true.sort_values("n").groupby(["group", "seed"], sort=False)["acc"].last()
    mean = last.groupby("group", sort=False).mean()
    order = [name for name in dict.fromkeys(looks["group"]) if name in mean]
    return "Acc@1 after RL: " + ", ".join(f"{one} {100 * mean[one]:.0f}%" for one in order)


def calibration_figure(table: pd.DataFrame) -> BookFigure:
    """Draw the share of held-out runs that took off against the law's chance, a series a world."""
    with mpl.rc_context(style()):
        fig, (ax,) = axes(3.8)
        ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="perfect")
        worlds = list(dict.fromkeys(table["world"]))
        for name, marker, colour in zip(worlds, "o^s", ("C0", "C3", "C2"), strict=False):
            here = table[table["world"] == name]
            ax.plot(here["predicted"], here["observed"], marker, color=colour, label=name)
            ax.vlines(here["predicted"], here["low"], here["high"], color=colour)
        ax.set_xlim(-0.02, 1.02)
        ax.set_ylim(-0.02, 1.02)
        percent(ax)
        percent(ax, y=False)
        ax.set_xlabel("chance of take-off by the law (%)")
        ax.set_ylabel("runs that took off (%)")
        legend(fig)
    return fig


def calibration_title(table: pd.DataFrame) -> str:
    """Say how far predicted and observed take-off lie apart, on average."""
    said = []
    for name, part in table.groupby("world", sort=False):
        gap = (part["predicted"] - part["observed"]).abs()
        error = float(np.average(gap, weights=part["rows"]))
        said.append(f"{100 * error:.0f} points ({name}, {part['runs'].max()} runs)")
    return f"On seeds it has not seen the law is off by {', '.join(said)}"
