"""Items with all models' answers for the page that shows them, and the files that hold all rows.

They go into a script as data; the page shows texts as texts, never as markup.
Run its test: `pytest tests/book/test_samples.py`.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.parquet as pq

from medrl.book import origin
from medrl.studies import manifest, parameters
from medrl_core.data.drawn.items import build_items, question
from medrl_core.data.drawn.modalities import WORLDS
from medrl_core.data.items import ANSWER_FORMATS, Item, question_of
from medrl_core.data.pictures import data_url, png
from medrl_core.sample import rollouts
from medrl_core.score.statistics import GREEDY

if TYPE_CHECKING:
    from medrl.book.chapter import Chapter

# Items of a run on the page; more would make it heavy.
PER_RUN = 14
SAMPLES = 16  # of an item and model
BLOCK = 128  # items that are drawn again together
# A larger file is not copied into the book.
LARGEST = 5_000_000
WRONG, RIGHT, NO_ANSWER = range(3)
DRAWN = re.compile(r"drawn-(\w+)/([^/]+)/(\w+)/(\d+)/(\d+)")


def write(chapter: Chapter, folder: Path) -> None:
    """Write items with all models' answers into a folder of the book's pages, as a script of data.

    Arguments: `chapter` of the book, which knows its studies and runs; `folder` is made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts: dict[str, int] = {}
    pictures: dict[str, int] = {}
    runs = [
        {"name": f"{study}, {notebook}", **_run(chapter, study, notebook, texts, pictures)}
        for study, notebook in _runs(chapter)
    ]
    # Those with several models first: that is what the page is for.
    runs = sorted((run for run in runs if run["items"]), key=lambda run: len(run["models"]) < 2)
    content = {"runs": runs, "texts": list(texts), "pictures": list(pictures)}
    data = json.dumps(content, separators=(",", ":"))
    (folder / "rows.js").write_text(f"window.medrlRollouts = {data};\n")


def listing(chapter: Chapter) -> str:
    """Return one line a run that sampled: how many rows it has, and the file of them."""
    lines = []
    for study, notebook in _runs(chapter):
        path = chapter.folder(notebook, study) / "rollouts.parquet"
        n, size = pq.ParquetFile(path).metadata.num_rows, path.stat().st_size
        file = "too large for the book"
        if size <= LARGEST:
            link = f"files/{study}/{notebook}/rollouts.parquet"
            file = f"[all rows (Parquet, {max(1, round(size / 1000))} kB)]({link})"
        lines.append(
            f"- `{notebook}` {origin.badge(study)}: {n} rows; {file}"
        )
    return "\n" + "\n".join(lines or ["No run has sampled yet."]) + "\n"


def draw(frame: pd.DataFrame, n: int) -> list[str]:
    """Choose at most n items, the same ones each time, as even over groups as they allow.

    Within a group come first the items on whose reach the models differ.
    """
    reach = frame[frame.sample_index != GREEDY].groupby(["item_id", "model_hash"]).correct.any()
    differs = reach.groupby("item_id").nunique() > 1
    items = frame.drop_duplicates("item_id").sample(frac=1, random_state=0)
    items = items.assign(same=~items.item_id.map(differs).fillna(False).astype(bool))
    items = items.sort_values("same", kind="stable")
    turn = items.groupby(["dataset", "modality"]).cumcount()
    return sorted(items.item_id.iloc[turn.argsort(kind="stable")][:n])


def _runs(chapter: Chapter) -> list[tuple[str, str]]:
    return [
        (study, notebook)
        for study in chapter.studies()
        for notebook in parameters.NOTEBOOKS
        if (chapter.folder(notebook, study) / "rollouts.parquet").is_file()
    ]


def _run(
    chapter: Chapter, study: str, notebook: str, texts: dict[str, int], pictures: dict[str, int]
) -> dict[str, Any]:
    """Return models and items of a run; texts and pictures come often, and are named by place."""
    folder = chapter.folder(notebook, study)
    seed = manifest.read(folder).parameters.get("seed", 0)
    frame = rollouts.read(folder)
    frame = frame[frame.sample_index < SAMPLES]
    hashes = dict(zip(frame.model_hash, frame.model, strict=True))
    models = sorted(hashes, key=lambda one: (hashes[one] != "base", hashes[one], one))
    several = {name for name in hashes.values() if list(hashes.values()).count(name) > 1}
    items = []
    for item_id in draw(frame, PER_RUN):
        rows = frame[frame.item_id == item_id]
        first: Any = next(rows.itertuples())
        asked = _drawn(item_id)
        picture = None
        if asked is not None:
            picture = pictures.setdefault(data_url(png(asked.images[0])), len(pictures))
        items.append(
            {
                "id": item_id,
                "group": f"{first.modality} ({chapter.named(first.dataset, notebook, study)})",
                "question": _question(first, seed),
                "gold": first.gold,
                "reading": asked.reading if asked is not None else "",
                "picture": picture,
                "answers": [
                    [_answer(row, texts) for row in rows[rows.model_hash == one].itertuples()]
                    for one in models
                ],
            }
        )
    names = [hashes[one] + f" ({one[:6]})" * (hashes[one] in several) for one in models]
    return {"models": names, "items": items}


def _answer(row: Any, texts: dict[str, int]) -> list[Any]:
    unread = not isinstance(row.parsed, str)
    verdict = RIGHT if row.correct else NO_ANSWER if unread else WRONG
    said = (row.text, "no answer" if unread else row.parsed)
    places = [texts.setdefault(text, len(texts)) for text in said]
    return [*places, verdict, row.sample_index == GREEDY]


def _drawn(item_id: str) -> Item | None:
    """Draw an item of the embedded world again; None for any other."""
    found = DRAWN.match(item_id)
    if found is None or found[1] not in WORLDS:
        return None
    world, modality, split, seed, number = found.groups()
    return _split(world, modality, split, int(seed), int(number) // BLOCK + 1)[int(number)]


@lru_cache(maxsize=64)
def _split(world: str, modality: str, split: str, seed: int, blocks: int) -> list[Item]:
    """The first items of a split: those of one run are among few blocks, each drawn once."""
    return build_items(WORLDS[world], modality, split, n=BLOCK * blocks, seed=seed)


def _question(row: Any, seed: int) -> str:
    """Ask again what was asked: rollouts keep no question, but ours follow from seed and image."""
    if row.answer_format == "report":  # drawn pictures and strips
        return question(row.modality)
    parts = row.item_id.split("/")
    if len(parts) != 4 or parts[-1] not in ANSWER_FORMATS:
        return f"not kept in the rollouts ({row.item_id})"
    asked = question_of(row.modality, int(parts[2]), row.answer_format, seed)
    return f"{asked} (options not kept in the rollouts)" if row.answer_format == "mcq" else asked
