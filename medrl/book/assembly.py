"""Assemble the book: chapters filled in from runs, executed notebooks, their files, and labs.

`medrl book --study micro` does this and then builds the pages.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import jinja2
import nbformat
import pandas as pd
import yaml

from medrl.book import api, catalogue, citing, law_player, origin, samples, scale, scoreboard
from medrl.book.chapter import Chapter
from medrl.labs import editions
from medrl.studies import clone, manifest, parameters, plan
from medrl_core import plain
from medrl_core.errors import UserError
from medrl_core.files import mend, partial_of, replace
from medrl_core.report import results
from medrl_core.report.tables import csv
from medrl_core.score import law

SHOWN = {".svg", ".png", ".csv"}
PUBLISHED = {".csv", ".parquet"}
REPOSITORY = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+")


def assemble(
    study: str,
    stage: Path,
    runs: Path = plan.RUNS,
    records: Path = Path("data/records"),
    edition: str = "student",
) -> None:
    """Fill the staging folder with everything that Jupyter Book needs; the source stays clean.

    Arguments: `study` whose runs in `runs`/study the book shows, beside the `records` of others;
    `stage` is replaced as a whole; `edition` of the labs, student or instructor.
    Raises: UserError if a chapter asks for what an existing run does not hold, or a lab is refused.
    """
    stage = Path(stage)
    stage.parent.mkdir(parents=True, exist_ok=True)
    mend(stage)
    partial = partial_of(stage)
    try:
        shutil.copytree("book", partial, ignore=shutil.ignore_patterns("*.md", "*.ipynb"))
        (partial / "_config.yml").write_text(configuration(clone.read_text(Path("_config.yml"))))
        chapter = Chapter(study, runs, records)
        for notebook in parameters.NOTEBOOKS:
            for one in chapter.studies():
                _copy_files(chapter.folder(notebook, one), partial / "files" / one / notebook)
            _add_notebook(chapter, notebook, partial / "runs")
        _add_scoreboard(chapter, partial / "files")
        scale.write(Path("data"), partial / "files")
        samples.write(chapter, partial / "extra/rollouts")
        law_player.write(law_player.data(law.PATH, records), partial / "extra/law")
        _publish(partial / "files", partial / "extra/files")
        found = catalogue.collect(chapter, citing.read()["title"])
        catalogue.write(found, partial / "extra/files")
        editions.add_to_book(edition, partial)
        _fill_chapters(chapter, partial)
        replace(stage, partial)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def configuration(text: str) -> str:
    """Return Jupyter Book's configuration, without launch buttons where there is no repository.

    Raises: UserError for an address that Binder and Colab cannot open, or a file without one.
    """
    config = plain.parse_yaml(text, "_config.yml")
    try:
        address, buttons = config["repository"]["url"], config.pop("launch_buttons")
    except (KeyError, TypeError) as error:
        raise UserError(f"_config.yml is not whole ({error}); get it again from git") from None
    if address:
        config["launch_buttons"] = buttons
    if address and not REPOSITORY.fullmatch(str(address)):
        raise UserError(
            f"_config.yml: repository: {address!r} is not https://github.com/OWNER/NAME, which is "
            'what Binder and Colab open; write url: "" for a book without launch buttons'
        )
    return yaml.safe_dump(config, sort_keys=False)


def render(text: str, where: str, chapter: Chapter) -> str:
    """Fill in one chapter.

    Raises: UserError with the chapter's name for a broken template or an unknown function.
    """
    # Chapters are MyST, and what is put in is escaped for MyST, by `myst` and `tables`.
    environment = jinja2.Environment(  # noqa: S701
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    try:
        return environment.from_string(text).render(chapter.functions())
    except jinja2.TemplateError as error:
        raise UserError(f"{where}: {error}") from None
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop what went to stderr, and fold the parameters like all other code."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
        tags = cell.metadata.setdefault("tags", [])
        if "hide-input" not in tags:
            tags.append("hide-input")
    return notebook


def _fill_chapters(chapter: Chapter, stage: Path) -> None:
    for source in sorted(Path("book").rglob("*.md")):
        target = stage / source.relative_to("book")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(render(clone.read_text(source), source.as_posix(), chapter))


def _add_notebook(chapter: Chapter, notebook: str, target: Path) -> None:
    """Put an executed notebook in the stage, or a page that says how to run it."""
    target.mkdir(exist_ok=True)
    folder = chapter.folder(notebook, chapter.study)
    if not folder.is_dir():
        command = f"medrl run {notebook} --study {chapter.study}"
        badge = origin.badge(chapter.study)
        text = f"# {notebook}: not run\n\nThis notebook has not been run in {badge}."
        (target / f"{notebook}.md").write_text(f"{text}\n\n```\n{command}\n```\n")
        return
    kept: Any = nbformat.from_dict(clone.read_notebook(folder / "executed.ipynb"))
    executed = clean(kept)
    files = f"/files/{chapter.study}/{notebook}"
    links = [f"[all results (JSON)]({files}/results.json)", *chapter.files(notebook, chapter.study)]
    provenance = origin.footer(manifest.read(folder), links)
    label = f"Executed notebook of the study {origin.badge(chapter.study)}"
    executed.cells.insert(1, nbformat.v4.new_markdown_cell(label, id="study"))
    executed.cells.append(nbformat.v4.new_markdown_cell(provenance, id="origin"))
    for place, cell in reversed(list(enumerate(executed.cells))):
        if cell.cell_type == "code" and (said := api.links("".join(cell.source))):
            executed.cells.insert(place + 1, nbformat.v4.new_markdown_cell(said, id=f"api-{place}"))
    nbformat.write(executed, target / f"{notebook}.ipynb")


def _publish(files: Path, target: Path) -> None:
    """Copy what a program reads; unlike what a page links to, it keeps its address in the book."""
    for file in files.rglob("*"):
        if file.suffix in PUBLISHED:
            place = target / file.relative_to(files)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)


def _copy_files(folder: Path, target: Path) -> None:
    """Copy figures and the manifest, and write tables as CSV."""
    if not folder.is_dir():
        return
    manifest.verify(folder)
    (target / "tables").mkdir(parents=True)
    (target / "figures").mkdir()
    shutil.copyfile(folder / "manifest.json", target / "manifest.json")
    for file in sorted(folder.glob("figures/*")):
        if file.suffix in SHOWN:
            shutil.copyfile(file, target / "figures" / file.name)
    shutil.copyfile(folder / "results.json", target / "results.json")
    for name, rows in results.read(folder)["tables"].items():
        path = target / "tables" / f"{name}.csv"
        path.write_text(csv(pd.DataFrame(rows)), encoding="utf-8")
    answers = folder / "rollouts.parquet"
    if answers.is_file() and answers.stat().st_size <= samples.LARGEST:
        shutil.copyfile(answers, target / answers.name)


def _add_scoreboard(chapter: Chapter, target: Path) -> None:
    rows = chapter.deciding()
    fig = scoreboard.picture(rows)
    if fig is None:
        return
    target.mkdir(exist_ok=True)
    (target / "scoreboard.svg").write_bytes(fig.file_bytes("svg"))
    scoreboard.distances(rows).to_csv(target / "scoreboard.csv", index=False)
