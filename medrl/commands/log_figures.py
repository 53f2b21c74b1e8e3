"""Figures of the log report as inline SVG: numbers and fixed words only, colours by CSS classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup, escape

WIDTH, HEIGHT = 440, 270
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 16, 46

Point = tuple[float, float]


def _y(share: float) -> float:
    """Place of a share on the axis from 0 to 1."""
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - min(max(share, 0.0), 1.0))


def _x(at: float) -> float:
    """Place of a number from 0 to 1 along the horizontal axis."""
    return LEFT + (WIDTH - LEFT - RIGHT) * at


def _text(x: float, y: float, words: str, anchor: str = "middle", kind: str = "") -> str:
    of = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{of}>{escape(words)}</text>'


def _frame(ticks: Sequence[tuple[float, str]], label: str) -> list[str]:
    """Axes: shares in percent upwards, ticks (place from 0 to 1, words) along."""
    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = _y(share)
        ends = f'x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"'
        parts.append(f'<line {ends} class="grid"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{100 * share:.0f}%", "end"))
    for place, words in ticks:
        parts.append(_text(_x(place), HEIGHT - BOTTOM + 18, words))
    parts.append(_text(_x(0.5), HEIGHT - 6, label))
    return parts


def _line(points: Sequence[Point], kind: str) -> str:
    if len(points) == 1:
        return f'<circle cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="4" class="{kind} dot"/>'
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" class="{kind}"/>'


def _band(low: Sequence[Point], high: Sequence[Point], kind: str) -> str:
    if len(low) == 1:
        (x, bottom), (_, top) = low[0], high[0]
        return f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{bottom:.1f}" y2="{top:.1f}" class="{kind}"/>'
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*low, *reversed(high)])
    return f'<polygon points="{path}" class="{kind} band"/>'


def _whole(parts: Sequence[str], title: str) -> Markup:
    inside = "".join(parts)
    # Every text in the parts went through escape, and the rest is numbers and fixed words.
    about = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}"'
    return Markup(f"<svg {about}>{inside}</svg>")  # noqa: S704


def _of(rows: Sequence[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [row for row in rows if row.get(name) is not None]


def pass_at_k(scores: Sequence[dict[str, Any]]) -> Markup | None:
    """Pass@K against K above its floors, with its interval; None where there is one K only.

    Arguments: `scores` rows of a report over all items.
    """
    whole = [row for row in scores if row["scope"] == "overall"]
    curves = {
        metric: sorted((row for row in whole if row["metric"] == metric), key=lambda row: row["k"])
        for metric in ("pass@k", "guess_floor@k", "label_floor@k")
    }
    ks = [row["k"] for row in curves["pass@k"]]
    if len(ks) < 2:
        return None
    along = math.log2(ks[-1])

    def place(k: int) -> float:
        return _x(math.log2(k) / along)

    def points(rows: Sequence[dict[str, Any]], name: str) -> list[Point]:
        return [(place(row["k"]), _y(row[name])) for row in _of(rows, name)]

    shown = sorted({2**i for i in range(int(along) + 1)} | {ks[-1]})
    if len(shown) > 1 and math.log2(shown[-1] / shown[-2]) < 0.5:
        shown.pop(-2)
    parts = _frame([(math.log2(k) / along, str(k)) for k in shown], "K, answers an item")
    for metric, kind in (("label_floor@k", "labels"), ("guess_floor@k", "floor")):
        if curves[metric]:
            parts.append(_line(points(curves[metric], "value"), kind))
    rows = curves["pass@k"]
    parts.append(_band(points(rows, "low"), points(rows, "high"), "pass"))
    parts.append(_line(points(rows, "value"), "pass"))
    greedy = [row for row in whole if row["metric"] == "acc@1"]
    for row in greedy:
        x = place(1)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_y(row["low"]):.1f}" '
                     f'y2="{_y(row["high"]):.1f}" class="greedy"/>')  # fmt: skip
        parts.append(_line([(x, _y(row["value"]))], "greedy"))
    return _whole(parts, "Pass@K against K")


def over_steps(rows: Sequence[dict[str, Any]]) -> Markup | None:
    """Pass@K, Pass@1 and answers without an answer at each training step of a series."""
    if len(rows) < 2:
        return None
    first, last = rows[0]["step"], rows[-1]["step"]

    def place(step: float) -> float:
        return (step - first) / (last - first)

    def points(name: str) -> list[Point]:
        return [(_x(place(row["step"])), _y(row[name])) for row in _of(rows, name)]

    every = max(1, math.ceil(len(rows) / 6))
    ticks = [(place(row["step"]), str(row["step"])) for row in rows[::every]]
    parts = _frame(ticks, "training step")
    for name, kind in (("pass@k", "pass"), ("pass@1", "greedy")):
        if points(name):
            parts.append(_band(points(f"{name}_low"), points(f"{name}_high"), kind))
            parts.append(_line(points(name), kind))
    for name, kind in (("no_answer", "unread"), ("signal", "labels")):
        if points(name):
            parts.append(_line(points(name), kind))
    return _whole(parts, "Pass@K, Pass@1, mixed groups and answers without an answer by step")


def right_of_k(counts: Sequence[int], k: int) -> Markup | None:
    """How many items have 0, 1, ..., K right samples: where support is and where it is not.

    Arguments: `counts` items by right samples, K + 1 numbers.
    """
    total = sum(counts)
    if not total or k < 2:
        return None
    most = max(counts) / total
    width = 1 / len(counts)
    parts = []
    for right, count in enumerate(counts):
        x, y = _x(right * width + width * 0.1), _y(count / total / most)
        bar = (WIDTH - LEFT - RIGHT) * width * 0.8
        kind = "never" if right == 0 else "always" if right == k else "sometimes"
        parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{bar:.1f}" '
                     f'height="{max(_y(0) - y, 0):.1f}" class="{kind}"/>')  # fmt: skip
        if count and len(counts) <= 20:
            parts.append(_text(x + bar / 2, max(y - 4, 10), str(count)))
    step = max(1, math.ceil(len(counts) / 12))
    for right in range(0, len(counts), step):
        parts.append(_text(_x((right + 0.5) * width), HEIGHT - BOTTOM + 18, str(right)))
    parts.append(_text(_x(0.5), HEIGHT - 6, f"right answers of {k}"))
    return _whole(parts, "Items by their number of right answers")
