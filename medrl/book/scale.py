"""What the book says of machines: faults, architectures, speed, overhead of sweeps, and estimates.

Measured by `python -m benchmarks.throughput` and `python -m benchmarks.sweep_overhead`, estimated
by `medrl_core.train.estimate`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from medrl.book import architectures, faults, measurements
from medrl.book.measurements import Measured
from medrl.studies import forecast, plan
from medrl_core.report import figures, myst
from medrl_core.report.bookfigure import BookFigure
from medrl_core.train import estimate

OVERHEAD = "sweep-overhead"

SIZES = {
    "3B": "Qwen/Qwen2.5-VL-3B-Instruct",
    "7B": "Qwen/Qwen2.5-VL-7B-Instruct",
    "72B": "Qwen/Qwen2.5-VL-72B-Instruct",
}
GPUS = (1, 8, 64)
MEMORY = 80e9  # bytes of an H100
ROOM = 0.8  # share of it that may be planned with; the rest is for what the estimate leaves out


def functions(data: Path) -> dict[str, Callable[[], str]]:
    """Return what a chapter's template can name; the measurements lie in the folder `data`."""

    def of(name: str) -> Measured:
        return measurements.read(data / f"{name}.json")

    return {
        "architectures": lambda: architectures.table(of("architectures")),
        "faults": lambda: faults.table(of("faults")),
        "throughput": lambda: throughput(of("throughput")),
        "sweep_overhead": lambda: _overhead_box(of(OVERHEAD)),
        "costs": costs,
    }


def write(data: Path, target: Path) -> None:
    """Write the figure that `sweep_overhead` shows as SVG and PNG, with its numbers as CSV."""
    found = measurements.read(data / f"{OVERHEAD}.json")
    target.mkdir(exist_ok=True)
    fig = overhead_picture(found)
    for kind in ("svg", "png"):
        (target / f"{OVERHEAD}.{kind}").write_bytes(fig.file_bytes(kind))
    overhead(found).to_csv(target / f"{OVERHEAD}.csv", index=False)


def throughput(found: Measured) -> str:
    """Return a table of what the micro model does in a second, and of the memory it takes."""
    lines = ["| stage | counted | a second, median [lowest, highest] | memory |"]
    lines.append("|:---|:---|---:|---:|")
    lines += [
        f"| {myst.escape(row['stage'])} | {myst.escape(row['unit'])} | {row['value']:,.0f} "
        f"&#91;{row['low']:,.0f}, {row['high']:,.0f}&#93; | {row['peak_mb']:,} MB |"
        for row in found.rows
    ]
    return "\n" + "\n".join(lines) + f"\n\n{found.origin()}\n"


def overhead(found: Measured) -> pd.DataFrame:
    """Return what `overhead_picture` draws: seconds that each point of a sweep costs on top.

    That is the wall time of the sweep less the time inside the notebooks' own cells, over the
    points; with several notebooks at a time their own work is shared by so many.
    """
    rows = []
    groups: Any = pd.DataFrame(found.rows).groupby(["cores", "points"])
    for (cores, points), group in groups:
        each = (group.wall_seconds - group.own_seconds / cores) / points
        rows.append((points, cores, each.median(), each.min(), each.max(), len(group)))
    table = pd.DataFrame(rows, columns=["points", "at a time", "value", "low", "high", "n"])
    return table.assign(number="seconds a point beyond its notebook", unit="s")


def overhead_picture(found: Measured) -> BookFigure:
    """Return the figure of the overhead against the number of points, one series a width."""
    table = overhead(found)
    fig = figures.multiples(table, x="points", panel="number", by="at a time")
    fig.alt = f"Seconds that a point of a sweep costs beyond its notebook. {_said(table)}"
    return fig


def _said(table: pd.DataFrame) -> str:
    """Say in words what the largest sweeps cost a point."""
    last = table[table.points == table.points.max()]
    each = "; ".join(
        f"{value:.2f} s with {cores} at a time"
        for cores, value in zip(last["at a time"], last.value, strict=True)
    )
    return f"At {last.points.iloc[0]} points: {each}."


def _overhead_box(found: Measured) -> str:
    said = f"{_said(overhead(found))} Median of the rounds, with their ends. {found.origin()}"
    file = f"files/{OVERHEAD}"
    return (
        f"\n:::{{figure}} {file}.svg\n:alt: {myst.quoted(overhead_picture(found).alt)}\n"
        f":width: 100%\n\n{said} [numbers (CSV)]({file}.csv) [SVG]({file}.svg)\n:::\n"
    )


def costs() -> str:
    """Return worked estimates of the paper's RL for three model sizes on 1, 8 and 64 GPUs.

    The recipe is that of 04_rl in the study paper: its budget, batch, answers and images. Hours
    take every GPU as used without a pause, so they are the least that it can take.
    """
    study = plan.load_study("paper")
    values = plan.resolve(study, "04_rl")
    (_, _, recipe), *_ = forecast.trainings("04_rl", values)
    lines = ["| model | GPUs | weights trained | memory of each | fits | sampling | training |"]
    lines.append("|:---|---:|:---|---:|:---|---:|---:|")
    for size, ref in SIZES.items():
        for gpus in GPUS:
            for lora in (False, True):
                # Adapters are not split: each GPU holds the frozen model whole.
                one = replace(
                    recipe, model=estimate.shape(ref), gpus=gpus, lora=lora, width=2,
                    split=gpus > 1 and not lora, sampler=False, rows=1,
                )  # fmt: skip
                peak, work = estimate.peak(one), estimate.work(one)
                hours = [work[f"GPU-hours of {of}"][0] / gpus for of in ("sampling", "training")]
                fits = "yes" if peak <= ROOM * MEMORY else "no"
                lines.append(
                    f"| {size} | {gpus} | {'adapter' if lora else 'all'} | {peak / 1e9:,.0f} GB "
                    f"| {fits} | {hours[0]:,.1f} h | {hours[1]:,.1f} h |"
                )
    weights = estimate.shape(SIZES["72B"]).weights * 2 / 1e9
    assumed = [
        f"Recipe: 04_rl of the study paper, {recipe.steps:,} steps of {recipe.completions} "
        f"completions of at most {recipe.answer:,} tokens after prompts of {recipe.prompt:,}, a "
        "moving-average reference, activations computed again in the backward pass, one row a GPU "
        "at a time.",
        "Weights, gradients, both AdamW means and the reference in float32, a working copy in "
        "bfloat16. With more than one GPU all are split over them; not with an adapter, where the "
        "frozen model lies whole on each.",
        f"Fits: at most {ROOM:.0%} of the {MEMORY / 1e9:.0f} GB of an H100. The rest is for "
        f"{forecast.NOT_COUNTED}.",
        f"Sampling by vLLM on as many other GPUs, {estimate.SAMPLED_PER_SECOND:,} tokens a second "
        "and GPU for 7B (assumed, an H100), other sizes in proportion to their weights. Of 72B "
        f"the weights alone are {weights:.0f} GB in bfloat16: it needs two GPUs at least.",
        f"Training: {myst.escape(work['GPU-hours of training'][1])}. An adapter needs less.",
        "No time is lost in talk between GPUs, in waiting for the longest answer of a batch, or in "
        "loading. With 64 GPUs and 64 completions a step each GPU has one: a larger batch would "
        "use them better, and be another recipe.",
    ]
    return "\n" + "\n".join(lines) + "\n\n" + "\n".join(f"- {line}" for line in assumed) + "\n"
