"""What a chapter of the book may ask for: numbers, tables, figures and verdicts of runs.

Every answer names its study. A run that is not there gives "not run" and the command that makes it;
a number that a run lacks ends the build.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from medrl.book import (
    api,
    citing,
    listed,
    literature,
    origin,
    reading,
    samples,
    scale,
    scoreboard,
    status,
)
from medrl.studies import manifest, parameters
from medrl_core.errors import UserError
from medrl_core.report import myst, results, tables
from medrl_core.report.tables import Unit

# Studies that are recorded: too long for the making of the book.
RECORDED = ("medmnist",)


class Chapter:
    """The functions that chapters call, bound to the runs of one study and the records of others.

    Arguments: `study` whose runs lie in `runs`/study; other studies are looked up in `records`.
    """

    def __init__(self, study: str, runs: Path, records: Path, data: Path = Path("data")):
        self.study, self._runs, self._records = study, runs, records
        self._data, self._labels = data, set()
        self._published = listed.published(data / "published.yaml")
        self._recorded = listed.recorded(data / "recorded.yaml")
        self._claims = scoreboard.read_claims(data / "claims.yaml")
        self._judged: list[scoreboard.Judged] | None = None
        self._names = list(parameters.NOTEBOOKS)

    def functions(self) -> dict[str, Any]:
        """Return what a chapter's template can name."""
        names = ["number", "table", "figure", "published", "published_table", "scoreboard"]
        names += ["scoreboard_figure", "judged", "params_table", "status", "real_data"]
        names += ["rollout_files", "cite", "literature"]
        plain = {"study": self.study, "badge": origin.badge}
        plain["notebooks"] = list(parameters.NOTEBOOKS)
        made = scale.functions(self._data) | reading.functions(self._data) | api.functions()
        return plain | made | {
            name: getattr(self, name) for name in [*names, "about", "has", "claims_in_words"]
        }

    def folder(self, notebook: str, study: str) -> Path:
        """Return where the results of a notebook lie: a run of this study, or a record."""
        if notebook not in parameters.NOTEBOOKS:
            raise UserError(f"a chapter names the notebook {notebook!r}, which does not exist")
        return (self._runs if study == self.study else self._records) / study / notebook

    def about(self) -> str:
        """Return the book's study with its own label, e.g. "too small to judge by"."""
        for notebook in parameters.NOTEBOOKS:
            if (folder := self.folder(notebook, self.study)).is_dir():
                return f"{origin.badge(self.study)} {myst.escape(manifest.read(folder).label)}"
        return f"{origin.badge(self.study)} not run yet"

    def has(self, notebook: str, kind: str, name: str, study: str = "") -> bool:
        """Return whether a run is there and holds a number, table or figure (`kind` in plural)."""
        folder = self.folder(notebook, study or self.study)
        return folder.is_dir() and name in results.read(folder)[kind]

    def number(self, notebook: str, name: str, study: str = "") -> str:
        """Return one number with its interval and its study.

        That of recorded trainings, where a run tells both; where none decide it, that of the run's
        own.
        """
        study = study or self.study
        if not self.folder(notebook, study).is_dir():
            return self._not_run(notebook, study)
        self._part(notebook, study, "numbers", name)  # a name that no run has ends the build
        found, alone = self._chosen(notebook, name, study)
        said = f"{myst.number(found)}{', live runs alone' * alone}" if found else "(not measured)"
        return f"{said} {self._label(notebook, study)}"

    def entry(self, notebook: str, name: str, study: str = "") -> dict[str, Any] | None:
        """Return a number as `number` chooses it; None where the run is not there or has none."""
        study = study or self.study
        there = self.folder(notebook, study).is_dir()
        return self._chosen(notebook, name, study)[0] if there else None

    def _chosen(
        self, notebook: str, name: str, study: str
    ) -> tuple[dict[str, Any] | None, bool]:
        """Return a number's first source that has a value, and whether it is the live one."""
        numbers = results.read(self.folder(notebook, study))["numbers"]
        for one in (name, f"{name}_live"):
            if one in numbers and numbers[one]["value"] is not None:
                return numbers[one], one != name
        return None, False

    def table(
        self,
        notebook: str,
        name: str,
        caption: str,
        columns: list[str] | None = None,
        units: dict[str, Unit] | None = None,
        headers: dict[str, str] | None = None,
        study: str = "",
    ) -> str:
        """Return a table of a run: `columns` (value, low and high count as one), or the first ones.

        The whole table is one click away as CSV.
        """
        study = study or self.study
        if not self.folder(notebook, study).is_dir():
            return self._box(notebook, study)
        rows = self._part(notebook, study, "tables", name)
        frame = pd.DataFrame(rows)
        for column in columns or []:
            if column not in frame:
                place = self.folder(notebook, study) / "results.json"
                raise UserError(f"{place}: table {name!r} has no column {column!r}")
        chosen = frame[myst.with_ends(frame, columns)] if columns else myst.narrow(frame)
        body = myst.pipe(self._named(chosen.head(myst.ROWS), notebook, study), units, headers)
        left = f"; first {myst.ROWS} of {len(frame)} rows" if len(frame) > myst.ROWS else ""
        link = f"[all numbers (CSV)](files/{study}/{notebook}/tables/{name}.csv)"
        said = f"{myst.escape(caption)}{left} {self._label(notebook, study)} {link}"
        origin = self._footer(notebook, study, link)
        option = self._name("tab", study, notebook, name)
        framed = f":::{{table}} {said}\n{option}\n{body}:::"
        return f"\n::::{{div}} result\n{framed}\n::::\n\n{origin}"

    def figure(self, notebook: str, name: str, caption: str = "", study: str = "") -> str:
        """Return a figure of a run with alt text, caption, study, its numbers and its origin."""
        study = study or self.study
        folder = self.folder(notebook, study)
        if not folder.is_dir():
            return self._box(notebook, study)
        said = self._part(notebook, study, "figures", name)["alt"]
        files = f"files/{study}/{notebook}/figures/{name}"
        links = f"[numbers (CSV)]({files}.csv)"
        shown = f"{myst.escape(caption or said)} {self._label(notebook, study)} {links}"
        origin = self._footer(notebook, study, links)
        if not (folder / "figures" / f"{name}.svg").is_file():  # a record of numbers only
            numbers = pd.read_csv(folder / "figures" / f"{name}.csv")
            body = myst.pipe(self._named(myst.narrow(numbers).head(myst.ROWS), notebook, study))
            return f"\n:::{{div}} result\n{body}\n{shown}\n:::\n\n{origin}"
        picture = f"\n:::{{figure}} {files}.svg\n:alt: {myst.quoted(said)}\n:width: 100%\n"
        picture += self._name("fig", study, notebook, name)
        return f"{picture}\n{shown} [SVG]({files}.svg)\n:::\n\n{origin}"

    def published(self, group: str, name: str) -> str:
        """Return one published number with its source."""
        entry = self._published_group(group)
        if name not in entry["values"]:
            raise UserError(f"data/published.yaml: {group} has no value {name!r}")
        return f"{myst.published(entry, name)} {{cite}}`{entry['source']}`"

    def literature(self) -> str:
        """Return a block a question: what others found, ours beside it, and whether they agree."""
        return literature.blocks(self._data / "literature.yaml", self)

    def published_table(self, group: str) -> str:
        """Return all published numbers of a group with their source and its caution."""
        entry = self._published_group(group)
        rows = "\n".join(
            f"| {myst.escape(name)} | {myst.published(entry, name)} |" for name in entry["values"]
        )
        source = f"Published, not ours {{cite}}`{entry['source']}`. {myst.escape(entry['note'])}"
        return f"\n| name | accuracy |\n|:---|---:|\n{rows}\n\n{source}\n"

    def scoreboard(self) -> str:
        """Return one block a claim: what is claimed, how it is judged, each study's verdict."""
        blocks = []
        for claim in self._claims:
            title = f"### {claim.id}. {myst.escape(claim.title)}"
            lines = [f"(claim-{claim.id.lower()})=\n\n{title}\n\n{myst.escape(claim.claim)}"]
            lines.append(f"\n**Decides:** {myst.escape(claim.decides.criterion)}\n")
            for row in self._rows(claim):
                lines.append(f"- {self._said(row)}{self._behind(row)}")
            lines.append(f"\n**Control:** {myst.escape(claim.control.criterion)}\n")
            lines += [f"- {self._beside(row, claim.control)}" for row in self._rows(claim)]
            for shown in claim.also:
                lines.append(f"\nAlso shown: {myst.escape(shown.criterion)}\n")
                lines += [f"- {self._beside(row, shown)}" for row in self._rows(claim)]
            blocks.append("\n".join(lines))
        return "\n\n".join(blocks) + "\n"

    def _behind(self, row: scoreboard.Judged) -> str:
        """Return links to what a verdict rests on; nothing where the run is not there."""
        run, study = row.claim.run, row.study
        folder = self.folder(run, study)
        if not folder.is_dir():
            return ""
        files = f"files/{study}/{run}"
        found = [f"[notebook](runs/{run})"] if study == self.study else []
        found.append(f"[parameters]({files}/manifest.json)")
        if row.claim.figure in results.read(folder)["figures"]:
            found.append(f"[numbers of its figure]({files}/figures/{row.claim.figure}.csv)")
        if (folder / "rollouts.parquet").is_file():
            found.append(f"rollouts in `{folder.as_posix()}/rollouts.parquet`")
        return f"; {', '.join(found)}"

    def scoreboard_figure(self) -> str:
        """Return the picture of all verdicts, which `assembly.assemble` puts in place."""
        rows = self.deciding()
        if scoreboard.distances(rows).empty:
            missing = self._not_run("all", self.study)
            return f"\n:::{{note}}\nNo claim is judged yet: {missing}\n:::\n"
        caption = (
            "Each claim's number minus its threshold, with its 95% interval. Wholly right of the "
            "line: reproduced, if it stays so after the correction for several claims."
        )
        studies = " ".join(map(origin.badge, dict.fromkeys(row.study for row in rows if row.entry)))
        return (
            f"\n:::{{figure}} files/scoreboard.svg\n:alt: {myst.quoted(scoreboard.alt(rows))}\n"
            f":width: 100%\n\n{caption} {studies} [numbers (CSV)](files/scoreboard.csv)\n:::\n"
        )

    def deciding(self) -> list[scoreboard.Judged]:
        """Return the verdict of each claim for each study that the book shows."""
        if self._judged is None:
            self._judged = [
                row
                for study in self.studies()
                for row in scoreboard.judge(
                    self._claims, study, {name: self.folder(name, study) for name in self._names}
                )
            ]
        return self._judged

    def _rows(self, claim: scoreboard.Claim) -> list[scoreboard.Judged]:
        return [row for row in self.deciding() if row.claim == claim]

    def claims_in_words(self) -> str:
        """Return a table with a row a claim: what is claimed, what we find, how sure, verdict."""
        lines = ["| | claim | we find | could have seen | verdict |",
                 "|:--|:------|:--------|----:|:--------|"]  # fmt: skip
        for claim in self._claims:
            link = f"[{claim.id}](#claim-{claim.id.lower()})"
            rows = sorted(self._rows(claim), key=lambda row: row.study != self.study)
            row = next((row for row in rows if row.entry), rows[0])
            here = myst.number(row.entry) if row.entry else "not measured"
            if row.study != self.study:
                here += f" {self._label(claim.run, row.study)}"
            lines.append(
                f"| {link} | {myst.escape(claim.claim.strip())} | {here} | "
                f"{self._detectable(row) or 'not known'} | {myst.verdict(row.verdict)} |"
            )
        about = (
            "*Could have seen*: the smallest effect that these runs show with 80% power. What each "
            f"number is: [scoreboard](scoreboard.md). {origin.badge(self.study)}"
        )
        return "\n" + "\n".join(lines) + f"\n\n{about}\n"

    def judged(self, claim_id: str) -> str:
        """Return one claim with its criterion and verdicts, as a box at the head of a chapter."""
        claim = next(claim for claim in self._claims if claim.id == claim_id)
        said = "; ".join(self._said(row) for row in self._rows(claim))
        return (
            f"\n:::{{admonition}} Claim {claim.id}\n{myst.escape(claim.claim)}\n\n"
            f"Judged by: {myst.escape(claim.decides.criterion)}\n\n{said}\n:::\n"
        )

    def params_table(self, notebook: str) -> str:
        """Return the parameters of a notebook as a definition list."""
        return "\n".join(
            f"`{row['name']}` = `{row['default']}`\n: {myst.escape(row['description'])}. "
            f"Allowed: {myst.escape(row['allowed'])}.\n"
            for row in parameters.table(notebook)
        )

    def status(self) -> str:
        """Return every run of every study, those of sweeps too: outcome, start, time, memory."""
        folders = [
            folder
            for study in self.studies()
            for notebook in parameters.NOTEBOOKS
            if (folder := self._of(notebook).get(study)) is not None
        ]
        return status.table(folders, self.study, self._runs)

    def cite(self) -> str:
        """Return how to cite this book, in words and as BibTeX."""
        return citing.box(Path("book/references.bib"))

    def real_data(self, notebook: str, study: str = "medmnist") -> str:
        """Return which real image sets a record used and what each file is."""
        folder = self.folder(notebook, study)
        if not folder.is_dir():
            return f"\nOn real images: {self._not_run(notebook, study)}\n"
        lines = []
        for name, one in sorted(results.read(folder)["data"].items()):
            if one["origin"] == "official":
                lines.append(f"- {myst.escape(name)}: the official bytes")
                continue
            known = self._recorded.get(name, {"label": name, "note": "not the official bytes"})
            lines.append(f"- {myst.escape(known['label'])}: {myst.escape(known['note'])}")
        return "\n".join(["", *lines, "", origin.badge(study), ""])

    def rollout_files(self) -> str:
        """Return the runs that sampled, with their rows and their files."""
        return samples.listing(self)

    def named(self, dataset: str, notebook: str, study: str) -> str:
        """Return the name of an image set, which says of a file that is not official what it is."""
        odd = self._unofficial(notebook, study) & set(self._recorded)
        return self._recorded[dataset]["label"] if dataset in odd else dataset

    def studies(self) -> list[str]:
        """Return the studies that the book shows: its own and the recorded ones."""
        return list(dict.fromkeys([self.study, *RECORDED]))

    def _of(self, notebook: str) -> dict[str, Path]:
        """Return the folder of each study; a record that leaves the notebook out is left out."""
        folders = {study: self.folder(notebook, study) for study in self.studies()}
        return {
            study: folder
            for study, folder in folders.items()
            if study == self.study or folder.is_dir() or not folder.parent.is_dir()
        }

    def _part(self, notebook: str, study: str, kind: str, name: str) -> Any:
        """Return one entry of an existing results.json; a missing one is a UserError."""
        folder = self.folder(notebook, study)
        known = results.read(folder)[kind]
        if name not in known:
            found = ", ".join(sorted(known)) or "none"
            raise UserError(f"{folder}/results.json: no {kind[:-1]} {name!r}; there: {found}")
        return known[name]

    def _named(self, frame: pd.DataFrame, notebook: str, study: str) -> pd.DataFrame:
        """Name files that are not official as what they are."""
        odd = self._unofficial(notebook, study)
        labels = {name: self._recorded[name]["label"] for name in odd & set(self._recorded)}
        return frame.map(lambda cell: labels.get(cell, cell) if isinstance(cell, str) else cell)

    def _unofficial(self, notebook: str, study: str) -> set[str]:
        """Return the image sets of a run whose files do not have the official bytes."""
        folder = self.folder(notebook, study)
        data = results.read(folder)["data"] if folder.is_dir() else {}
        return {name for name, one in data.items() if one["origin"] == "unverified"}

    def _name(self, kind: str, study: str, notebook: str, name: str) -> str:
        """Return the option that names a figure or table; what stands twice, where it is first."""
        label = f"{kind}-{myst.slug(study, notebook, name)}"
        new = label not in self._labels
        self._labels.add(label)
        return f":name: {label}\n" * new

    def _label(self, notebook: str, study: str) -> str:
        """Return the label of a study, which says when files were rebuilt."""
        return origin.badge(study, ", partly rebuilt" * bool(self._unofficial(notebook, study)))

    def _said(self, row: scoreboard.Judged) -> str:
        number = f", {myst.number(row.entry)}" if row.entry else ""
        if seen := self._detectable(row):
            number += f" (smallest effect it could have seen: {seen})"
        return f"{myst.verdict(row.verdict)}{number} {self._label(row.claim.run, row.study)}"

    def _detectable(self, row: scoreboard.Judged) -> str:
        """Return the smallest effect that a verdict could have seen; "" where none is known."""
        if not row.entry or math.isnan(row.detectable):
            return ""
        return myst.escape(tables.number(row.detectable, row.entry["unit"]))

    def _beside(self, row: scoreboard.Judged, shown: scoreboard.Shown) -> str:
        """Return a number that is shown beside a verdict, or that it was not measured."""
        folder = self.folder(row.claim.run, row.study)
        entry = results.read(folder)["numbers"].get(shown.number) if folder.is_dir() else None
        text = myst.number(entry) if entry and entry["value"] is not None else "not measured"
        return f"{text} {self._label(row.claim.run, row.study)}"

    def _published_group(self, group: str) -> dict[str, Any]:
        if group not in self._published:
            raise UserError(f"data/published.yaml has no group {group!r}")
        return self._published[group]

    def _not_run(self, notebook: str, study: str) -> str:
        command = f"medrl study {study}" if notebook == "all" else origin.command(notebook, study)
        return f"not run (`{command}`) {origin.badge(study)}"

    def _box(self, notebook: str, study: str) -> str:
        return f"\n:::{{note}}\n{notebook}: {self._not_run(notebook, study)}\n:::\n"

    def _footer(self, notebook: str, study: str, numbers: str) -> str:
        folder = self.folder(notebook, study)
        return origin.footer(manifest.read(folder), [numbers, *self.files(notebook, study)])

    def files(self, notebook: str, study: str) -> list[str]:
        """Return links to the rollouts of a run, to all its results and its executed notebook."""
        folder, links = self.folder(notebook, study), []
        answers = folder / "rollouts.parquet"
        if answers.is_file() and answers.stat().st_size <= samples.LARGEST:
            links.append(f"[rollouts (Parquet)](/files/{study}/{notebook}/rollouts.parquet)")
        if study == self.study:
            links.append(f"[executed notebook](/runs/{notebook})")
        else:
            links.append("executed notebook: not kept in a record")
        return links
