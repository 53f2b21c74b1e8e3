"""What the book says of the drawn world: its gallery, and p as dialled and as measured.

The numbers are those of the cards that lie beside the shipped bases, under data/.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medrl_core import plain
from medrl_core.data.drawn.items import build_items
from medrl_core.data.drawn.modalities import RULES_WORLD
from medrl_core.report import figures, myst
from medrl_core.report.bookfigure import BookFigure

BASE = "drawn-base"
TWIN = "twin-base/rules-11.json"
FILE = "files/drawn-world"
SHOWN = (
    "chest film", "head CT", "fundus photo", "OCT scan", "tissue slide", "blood smear",
    "mammogram", "skin photo",
)  # fmt: skip


def functions(data: Path) -> dict[str, Callable[[], str]]:
    """Return what a chapter's template can name; the bases lie in the folder `data`."""
    return {"world_gallery": world_gallery, "dials": lambda: dials(data), "base_cost":
            lambda: base_cost(data)}  # fmt: skip


def _card(path: Path) -> dict[str, Any]:
    return plain.parse_yaml(path.read_text(encoding="utf-8"), path.as_posix())


def table(data: Path) -> pd.DataFrame:
    """Return one row a modality: p intended, and measured in pictures and in the twin."""
    drawn = pd.DataFrame(_card(data / BASE / "card.json")["dial"]).set_index("modality")
    twin = pd.DataFrame(_card(data / TWIN)["p"]).T
    return pd.DataFrame(
        {
            "intended": drawn.intended.astype(float),
            "drawn": drawn.measured.astype(float),
            "twin": twin.measured.astype(float).reindex(drawn.index),
        }
    ).sort_values("intended", ascending=False)


def dials(data: Path) -> str:
    """Return the table of dials as MyST, with how far measured p lies from the intended one."""
    found = table(data)
    dialled = found[found.intended > 0]
    ratio = {name: dialled[name] / dialled.intended for name in ("drawn", "twin")}
    said = "; ".join(
        f"{what}: {ratio[name].min():.2f} to {ratio[name].max():.2f} times the intended p"
        for name, what in (("drawn", "drawn pictures"), ("twin", "twin"))
    )
    rows = [
        f"| {myst.escape(row.Index)} | {row.intended:.2g} | {row.drawn:.2g} | {row.twin:.2g} |"
        for row in found.itertuples()
    ]
    head = "| modality | p intended | p measured, pictures | p measured, twin |"
    return "\n".join(["", head, "|:---|---:|---:|---:|", *rows, "", f"{said}.", ""])


def base_cost(data: Path) -> str:
    """Return what the base is and what it cost, from its card."""
    card = _card(data / BASE / "card.json")
    return (
        f"{card['parameters']:,} weights, {card['captions']:,} captions, "
        f"{card['cpu_seconds']:.0f} CPU-seconds, seed {card['seed']}"
    )


def gallery() -> BookFigure:
    """Draw one picture of some modalities, each under its name and right report."""
    items = [
        build_items(RULES_WORLD, name, "test", n=len(SHOWN), seed=11)[number]
        for number, name in enumerate(SHOWN)
    ]
    words = [item.gold.split() for item in items]
    labels = [
        f"{item.modality}\n{' '.join(said[:3])}\n{' '.join(said[3:])}"
        for item, said in zip(items, words, strict=True)
    ]
    images = [np.asarray(item.images[0]) for item in items]
    return figures.image_grid(images, labels, origin="phantom", columns=4)


def world_gallery() -> str:
    """Return the gallery as a figure; `write` puts it in place."""
    alt = "One drawn picture of eight modalities, each with its name and the right report."
    return f"\n:::{{figure}} {FILE}.png\n:alt: {alt}\n:width: 100%\n\n{alt}\n:::\n"


def write(files: Path) -> None:
    """Write the gallery into the folder of the book's files."""
    (files / Path(FILE).name).with_suffix(".png").write_bytes(gallery().file_bytes("png"))
