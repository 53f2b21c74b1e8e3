"""Small run folders that hold whatever the chapters ask for; for tests of the book."""

from __future__ import annotations

import re
import shutil
import tempfile
from functools import cache
from pathlib import Path

import nbformat
import pandas as pd
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from medrl.book import scoreboard
from medrl.studies import manifest as provenance
from medrl.studies import parameters
from medrl_core.report import figures
from medrl_core.report.results import Results
from medrl_core.sample.rollouts import RolloutStore

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = re.compile(r"columns=\[(.*?)\]", re.S)
UNITS = re.compile(r"units=\{(.*?)\}", re.S)
CALL = re.compile(r'(number|table|figure)\("(\d\d_\w+)",\s*"(\w+)"')
RAW = re.compile(r"```\{raw\} html\n(.*?)```", re.S)
HOSTILE = "<script>alert(1)</script> | {{ x }} `a` [b](c) # $d$\n:::"


def asked() -> dict[str, dict[str, set[str]]]:
    """Return notebook -> kind -> names that the chapters and the claims ask for."""
    kinds = ("number", "table", "figure")
    found = {name: {kind: set() for kind in kinds} for name in parameters.NOTEBOOKS}
    for chapter in (ROOT / "book").glob("*.md"):
        for kind, notebook, name in CALL.findall(chapter.read_text()):
            found[notebook][kind].add(name)
    for claim in scoreboard.read_claims(ROOT / "data/claims.yaml"):
        found[claim.run]["number"].add(claim.decides.number)
    return found


def asked_columns() -> list[str]:
    """Return the columns that chapters name for their tables."""
    return [name for call in _in_chapters(COLUMNS) for name in re.findall(r'"([^"]+)"', call)]


def with_unit() -> set[str]:
    """Return the columns that chapters show with a unit: numbers."""
    return {name for call in _in_chapters(UNITS) for name in re.findall(r'"([^"]+)":', call)}


def _in_chapters(pattern: re.Pattern) -> list[str]:
    texts = [chapter.read_text() for chapter in sorted((ROOT / "book").glob("*.md"))]
    return [call for text in texts for call in pattern.findall(text)]


def write_run(folder: Path, study: str, notebook: str, origin: str = "drawn") -> None:
    """Write a complete run folder: results, figures, executed notebook and manifest."""
    shutil.copytree(_made(study, notebook, origin).name, folder, dirs_exist_ok=True)


@cache
def _made(study: str, notebook: str, origin: str) -> tempfile.TemporaryDirectory:
    """The same run for each test that asks for it: figures take long to draw."""
    folder = tempfile.TemporaryDirectory(prefix="made-run-")
    _write_run(Path(folder.name), study, notebook, origin)
    return folder


def _write_run(folder: Path, study: str, notebook: str, origin: str) -> None:
    names = asked()[notebook]
    res = Results(folder, notebook=notebook, study=study)
    frame = pd.DataFrame(
        {
            "answer_format": ["open", "mcq"],
            "dataset": ["bloodmnist", HOSTILE],
            "metric": ["acc@1", "pass@k"],
            "value": [0.5, 0.25],
            "low": [0.4, 0.2],
            "high": [0.6, 0.3],
            "n": [40, 50],
            "extra": [0.123456, None],
        }
    )
    numbers = with_unit()
    for column in set(asked_columns()) - set(frame):
        frame[column] = 0.25 if column in numbers else "text"
    for name in names["number"]:
        res.number(name, 0.2, low=0.15, high=0.25, n=60, unit="points")
    for name in names["table"]:
        res.table(name, frame)
    drawn = frame.assign(dataset=["bloodmnist", "other"])
    for name in names["figure"]:
        fig = figures.points(drawn, zero=True)
        res.figure(fig, name, drawn, alt=f'Dots: "{name}", a <b>tag</b> & 2 intervals.')
    res.data_hash("bloodmnist", "0" * 32, origin)
    res.model_hash("base", "a" * 64)
    res.save()
    cells = [
        new_markdown_cell(f"# Notebook {notebook}", id="title"),
        new_code_cell("k = 4", id="parameters", metadata={"tags": ["parameters"]}),
        new_code_cell(
            "print(k)",
            id="code",
            execution_count=1,
            outputs=[
                new_output("stream", name="stdout", text="4\n"),
                new_output("stream", name="stderr", text="a warning that no reader needs\n"),
            ],
        ),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=cells, metadata=kernel), folder / "executed.ipynb")
    write_manifest(folder, study, notebook)


def write_manifest(folder: Path, study: str, notebook: str) -> None:
    """Write a manifest that keeps the hashes of the files that the run folder holds now."""
    manifest = provenance.Manifest(
        study=study,
        label="made for a test",
        notebook=notebook,
        command=f"medrl run {notebook} --study {study}",
        parameters={"k": 4},
        seeds=[0],
        commit="0123456789abcdef",
        dirty=False,
        sources={},
        data_hashes={"bloodmnist": "0" * 32},
        model_hashes={"base": "a" * 64},
        packages={"python": "3.11"},
        hardware={"cores": 2},
        started="2026-03-01T00:00:00+00:00",
        wall_seconds=3.0,
        peak_memory_mb=100,
    )
    provenance.write(manifest, folder)


def raw_html(page: str) -> str:
    """Return the HTML that a page of the book holds as it is."""
    return "\n".join(RAW.findall((ROOT / "book" / page).read_text()))


def write_rollouts(folder: Path, datasets: dict[str, list[list[int]]], model: str = "base") -> None:
    """Add rollouts to a run folder.

    Arguments: `datasets` name to items, each the truth (1, 0) of its greedy answer and then of its
    samples. Every text is hostile.
    """
    store = RolloutStore(folder)
    rows = []
    for dataset, items in datasets.items():
        for index, truths in enumerate(items):
            for sample, correct in enumerate(truths, start=-1):
                rows.append(
                    {
                        "item_id": f"{dataset}/test/{index}/open",
                        "image_id": f"{dataset}/test/{index}",
                        "dataset": dataset,
                        "modality": "blood smear",
                        "answer_format": "open",
                        "n_options": 4,
                        "gold": "yes",
                        "model": model,
                        "model_hash": "a" * 64,
                        "prompt_hash": "b" * 16,
                        "sample_index": sample,
                        "seed": 0,
                        "decoding": "greedy" if sample < 0 else "temperature=1,top_p=1,top_k=0",
                        "text": f"{HOSTILE} <img src=x onerror='window.hit = 1'> {index}",
                        "parsed": "yes" if correct else None,
                        "parse_rule": "tag_text" if correct else "none",
                        "correct": bool(correct),
                        "n_tokens": 5,
                        "finish_reason": "stop",
                        "logprob": -1.0,
                    }
                )
    store.append(rows)
    store.compact()
