"""The report of logs as one HTML file that asks nothing of the network and works from a disk.

Texts of models are data: Jinja escapes what is in the page, the items lie in a JSON block whose
signs cannot end it, the script writes them as text only, and the page's policy runs no other script
than its own (by hash) and loads nothing.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from medrl.commands import log_figures
from medrl.commands.log_text import score_table
from medrl_core.data.pictures import data_url
from medrl_core.report import tables
from medrl_core.score.logs.golds import LETTERS
from medrl_core.score.logs.grading import Graded
from medrl_core.score.statistics import GREEDY

HERE = Path(__file__).parent
# What one page holds: beyond it, fewer items are shown, and the page says so.
MOST_ITEMS = 400
MOST_SIGNS = 8_000_000
LONGEST = 6_000  # signs of one answer; the middle of a longer one is left out
PICTURE = 320  # pixels of a thumbnail's longer side
_RASTER = re.compile(r"data:image/(?:png|jpe?g|gif|webp);base64,[A-Za-z0-9+/=\s]+")


def page(logs: Sequence[tuple[Graded, dict[str, Any]]]) -> str:
    """Make the page.

    Arguments: `logs` what was graded, each with its dict of `log_report.report`.
    Returns: HTML.
    """
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["percent"] = lambda value: tables.number(value)
    script = (HERE / "log_page.js").read_text(encoding="utf-8")
    style = (HERE / "log_page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("log_page.html").render(
        logs=[_section(graded, report) for graded, report in logs],
        script=Markup(script),  # noqa: S704  (a file of this package)
        style=Markup(style),  # noqa: S704
        digest=digest,
    )


def _section(graded: Graded, report: dict[str, Any]) -> dict[str, Any]:
    items, said = _items(graded, report)
    n = report["counts"]["fewest"]
    counts = [0] * (n + 1)
    for row in report["items"]:
        at_step = report["step"] is None or row.get("step") in (None, report["step"])
        if row["n"] == n and n and at_step:
            counts[row["correct"]] += 1
    return {
        "report": report,
        "tiles": _tiles(report),
        "curve": log_figures.pass_at_k(report["scores"]),
        "steps": log_figures.over_steps(report["series"] or []),
        "bars": log_figures.right_of_k(counts, n),
        "table": score_table(report),
        "greedy": report["counts"]["greedy"] > 0,
        "data": embedded(items),
        "step_greedy": any(row["acc@1"] is not None for row in report["series"] or []),
        "shown": said,
    }


def embedded(value: Any) -> Markup:
    """Give JSON that can stand inside a script element: no sign of it can end the element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704


def _tiles(report: dict[str, Any]) -> list[dict[str, str]]:
    """The numbers to see first, each with its interval."""
    whole = {
        (row["metric"], row["k"]): row for row in report["scores"] if row["scope"] == "overall"
    }
    k = report["counts"]["k"]
    wanted = [("pass@k", k, f"Pass@{k}"), ("acc@1", 1, "Acc@1")]
    if ("acc@1", 1) not in whole and k > 1:
        wanted[1] = ("pass@k", 1, "Pass@1, in place of Acc@1")
    wanted.append(("majority_vote", 0, "majority vote"))
    found = []
    for metric, at, title in wanted:
        row = whole.get((metric, at))
        if row is not None and row["value"] is not None:
            ends = [tables.number(row[end]).removesuffix("%") for end in ("low", "high")]
            found.append(
                {"title": title, "value": tables.number(row["value"]), "ends": " to ".join(ends)}
            )
    for metric, title in (("guess_floor@k", "guessing reaches"),
                          ("label_floor@k", "knowing label frequencies reaches")):  # fmt: skip
        if (metric, k) in whole:
            found.append(
                {"title": title, "value": tables.number(whole[metric, k]["value"]), "ends": ""}
            )
    return found


def _items(graded: Graded, report: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """The items of the browser with all their answers, and how many are shown."""
    rows = graded.rollouts
    if report["step"] is not None:
        rows = rows[rows.step == report["step"]]
    about = graded.log.items.set_index("item_id")
    groups = {str(name): part for name, part in rows.groupby("item_id", sort=False)}
    order = _order(graded, list(groups))
    found: list[dict[str, Any]] = []
    signs = 0
    for item_id in order[:MOST_ITEMS]:
        one = _item(item_id, cast(Any, about.loc[item_id]), groups[item_id], graded)
        size = len(json.dumps(one))
        if found and signs + size > MOST_SIGNS:
            break
        signs += size
        found.append(one)
    if len(found) == len(groups):
        return found, f"All {len(found):,} items are here."
    differ = ", those first whose two verdicts differ" if len(graded.differing) else ""
    return found, f"{len(found):,} of {len(groups):,} items are here{differ}."


def _order(graded: Graded, ids: list[str]) -> list[str]:
    """Items as the log has them; of too many, those whose verdicts differ, and some of the rest."""
    if len(ids) <= MOST_ITEMS:
        return ids
    differ = set(graded.differing.item_id)
    first = [one for one in ids if one in differ][: MOST_ITEMS // 2]
    rest = [one for one in ids if one not in set(first)]
    wanted = MOST_ITEMS - len(first)
    return first + [rest[at * len(rest) // wanted] for at in range(wanted)]


def _item(item_id: str, about: pd.Series, rows: pd.DataFrame, graded: Graded) -> dict[str, Any]:
    sampled = rows[rows.sample_index != GREEDY]
    options = list(about.options or ())
    gold = rows.gold.iloc[0]
    return {
        "id": item_id,
        "set": about.dataset,
        "question": _cut(about.question),
        "options": [[LETTERS[at % 26], _cut(text)] for at, text in enumerate(options)],
        "gold": gold,
        "pictures": [_picture(image, graded.log.source) for image in about.images[:4]],
        "n": len(sampled),
        "c": int(sampled.correct.sum()),
        "answers": [
            {
                "text": _cut(row.text) if isinstance(row.text, str) else None,
                "answer": row.parsed if isinstance(row.parsed, str) else None,
                "right": bool(row.correct),
                "stored": None if pd.isna(row.stored) else bool(row.stored),
                "read": None if pd.isna(row.read) else bool(row.read),
                "greedy": row.sample_index == GREEDY,
                "cut": row.finish_reason == "length",
            }
            for row in cast(Any, rows).itertuples()
        ],
    }


def _cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\n[... {len(text) - LONGEST:,} signs left out ...]\n{text[-half:]}"


def _picture(image: str, source: str) -> dict[str, str]:
    """A thumbnail as a data URL, or what the log says instead of a picture."""
    if image.startswith("data:"):
        if not _RASTER.fullmatch(image):
            return {"said": "a picture of a kind that is not shown"}
        data = base64.b64decode(image.partition(",")[2])
        return _thumbnail(data) or {"said": "a picture that cannot be read"}
    if re.match(r"[a-z]+://", image):
        return {"said": f"picture at {image}, which this page does not load"}
    for place in (Path(image), Path(source).parent / image):
        if place.is_file():
            found = _thumbnail(place.read_bytes())
            if found:
                return found
    return {"said": f"picture {image}, which is not beside the log"}


def _thumbnail(data: bytes) -> dict[str, str] | None:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as picture:
            small = picture.convert("RGB")
            small.thumbnail((PICTURE, PICTURE))
            written = io.BytesIO()
            small.save(written, "PNG" if max(small.size) <= 64 else "JPEG", quality=80)
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    return {"url": data_url(written.getvalue())}
