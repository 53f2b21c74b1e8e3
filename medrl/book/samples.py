"""A sample of the rollouts for the page that reads them, and a list of the files that hold all.

The rows go into a script as data; the page shows texts as texts, never as markup.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.parquet as pq

from medrl.book import origin
from medrl.studies import manifest, parameters
from medrl_core.data.drawn.items import question
from medrl_core.data.items import ANSWER_FORMATS, question_of
from medrl_core.sample import rollouts
from medrl_core.score.statistics import GREEDY

if TYPE_CHECKING:
    from medrl.book.chapter import Chapter

# Rows of a run on the page; more would make it heavy.
PER_RUN = 160
# A larger file is not copied into the book.
LARGEST = 5_000_000
COLUMNS = (
    "study", "notebook", "modality", "model", "asked", "verdict", "rule", "drawn", "question",
    "gold", "read", "text",
)  # fmt: skip
KINDS = ["dataset", "model", "answer_format", "correct", "parse_rule"]


def write(chapter: Chapter, folder: Path) -> None:
    """Write the sample into a folder of the book's pages, as a script that only holds data.

    Arguments: `chapter` of the book, which knows its studies and runs; `folder` is made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = [_rows(chapter, study, notebook) for study, notebook in _runs(chapter)]
    table = pd.concat(tables or [pd.DataFrame(columns=COLUMNS)])
    # Texts come often: each is written once, and a row names it by its place.
    codes, texts = pd.factorize(table[list(COLUMNS)].to_numpy(dtype=object).ravel())
    rows = codes.reshape(-1, len(COLUMNS)).tolist()
    content = {"columns": COLUMNS, "texts": list(texts), "rows": rows}
    data = json.dumps(content, separators=(",", ":"))
    (folder / "rows.js").write_text(f"window.medrlRollouts = {data};\n")


def listing(chapter: Chapter) -> str:
    """Return one line a run that sampled: how many rows, how many of them here, and the file."""
    lines = []
    for study, notebook in _runs(chapter):
        path = chapter.folder(notebook, study) / "rollouts.parquet"
        n, size = pq.ParquetFile(path).metadata.num_rows, path.stat().st_size
        file = "too large for the book"
        if size <= LARGEST:
            link = f"files/{study}/{notebook}/rollouts.parquet"
            file = f"[all rows (Parquet, {max(1, round(size / 1000))} kB)]({link})"
        lines.append(
            f"- `{notebook}` {origin.badge(study)}: {min(n, PER_RUN)} of {n} rows here; {file}"
        )
    return "\n" + "\n".join(lines or ["No run has sampled yet."]) + "\n"


def draw(frame: pd.DataFrame, n: int = PER_RUN) -> pd.DataFrame:
    """Draw at most n rows, the same ones each time, as even over their kinds as they allow."""
    frame = frame.sample(frac=1, random_state=0)
    return frame.iloc[frame.groupby(KINDS).cumcount().argsort(kind="stable")][:n].sort_index()


def _runs(chapter: Chapter) -> list[tuple[str, str]]:
    return [
        (study, notebook)
        for study in chapter.studies()
        for notebook in parameters.NOTEBOOKS
        if (chapter.folder(notebook, study) / "rollouts.parquet").is_file()
    ]


def _rows(chapter: Chapter, study: str, notebook: str) -> pd.DataFrame:
    folder = chapter.folder(notebook, study)
    seed = manifest.read(folder).parameters.get("seed", 0)
    found = draw(rollouts.read(folder))
    names = {name: chapter.named(name, notebook, study) for name in found.dataset.unique()}
    table = pd.DataFrame(
        {
            "study": study,
            "notebook": notebook,
            "modality": found.modality + " (" + found.dataset.map(names) + ")",
            "model": found.model,
            "asked": found.answer_format,
            "verdict": found.correct.map({True: "right", False: "wrong"}),
            "rule": found.parse_rule,
            "drawn": [
                "greedy" if index == GREEDY else f"sample {index + 1}"
                for index in found.sample_index
            ],
            "question": [_question(row, seed) for row in found.itertuples()],
            "gold": found.gold,
            "read": found.parsed.where(found.parsed.notna(), "no answer"),
            "text": found.text,
        }
    )
    return table[list(COLUMNS)]


def _question(row: Any, seed: int) -> str:
    """Ask again what was asked: rollouts keep no question, but ours follow from seed and image."""
    if row.answer_format == "report":  # drawn pictures and strips
        return question(row.modality)
    parts = row.item_id.split("/")
    if len(parts) != 4 or parts[-1] not in ANSWER_FORMATS:
        return f"not kept in the rollouts ({row.item_id})"
    asked = question_of(row.modality, int(parts[2]), row.answer_format, seed)
    return f"{asked} (options not kept in the rollouts)" if row.answer_format == "mcq" else asked
