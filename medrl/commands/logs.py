"""`medrl score`, `diagnose` and `compare`: from the logs a user names to text and files.

medrl score runs/mcq.eval --greedy runs/mcq_greedy.eval --html report.html
medrl diagnose completions/ --group 8 --steps 200 --prompts 64
medrl compare before.eval after.eval
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import pandas as pd

from medrl.commands import log_comparison, log_measures, log_report, log_text
from medrl_core.errors import UserError
from medrl_core.files import write_text
from medrl_core.score.hits import Budget
from medrl_core.score.logs import own
from medrl_core.score.logs.grading import Graded
from medrl_core.score.matching import as_texts
from medrl_core.score.statistics import per_item
from medrl_core.score.thresholds import SUPPORT_K


def score(
    places: list[Path],
    *,
    greedy: Path | None,
    step: int | None,
    per_item: Path | None,
    html: Path | None,
    json_file: Path | None,
    grades: str | None = None,
    **how: Any,
) -> None:
    """Print the statistics of each log and write the files that were asked for.

    Arguments: as the options of `medrl score`; `how` format, trust, scorer and gold.
    """
    order = [one.strip() for one in grades.split(",")] if grades else []
    beside = log_report.greedy_of(greedy, **how) if greedy else None
    outputs = [path for path in (per_item, json_file, html) if path is not None]
    # Folders of our own rollouts have a summary of their own, and are logs only for files.
    read = [place for place in places if outputs or order or not _ours(place, how)]
    graded = [(place, one) for place in read for one in log_report.read_and_grade(place, **how)]
    if beside is not None and len(graded) > 1:
        raise UserError(f"--greedy goes with one log, and there are {len(graded)}: name one")
    logs = [(one, log_report.report(one, greedy=beside, step=step, grades=order))
            for _, one in graded]  # fmt: skip
    blocks = [
        "\n".join(log_text.lines(found))
        for (place, _), (_, found) in zip(graded, logs, strict=True)
        if order or not _ours(place, how)
    ]
    for place in places:
        if _ours(place, how):
            from medrl.commands.scores import score_folder, summary

            kinds = list(own.kinds(place))
            scores = summary(score_folder(place, kinds=kinds))
            lines = [scores, *_own_open(kinds), str(place / "scores.csv")]
            blocks.append("\n".join(lines))
    if per_item is not None:
        _write(per_item, _item_table([graded for graded, _ in logs], step))
    if json_file is not None:
        content = {"logs": [found for _, found in logs]}
        _write(json_file, json.dumps(content, indent=1, allow_nan=False) + "\n")
    if html is not None:
        from medrl.commands.log_page import page

        _write(html, page(logs))
    print("\n\n".join(blocks))
    print(*outputs, sep="\n", end="\n" if outputs else "")


def _own_open(kinds: Iterable[tuple[dict[str, str], pd.DataFrame]]) -> Iterator[str]:
    """What free answers of our own rollouts score beside exact match."""
    for kind, rows in kinds:
        if kind["answer_format"] == "open":
            golds = rows.drop_duplicates("item_id")[["item_id", "gold"]]
            items = golds.assign(gold=golds.gold.map(as_texts))
            table = log_measures.open_answers(rows, items)
            yield from log_text.open_lines(cast(Any, table.to_dict("records")))


def _ours(place: Path, how: dict[str, Any]) -> bool:
    return place.is_dir() and own.is_folder(place) and how["format"] in (None, own.NAME)


def _item_table(graded: list[Graded], step: int | None) -> str:
    """item_id, n, correct of each item; of several logs with the name of each."""
    parts = []
    for one in graded:
        part = log_report.per_item_table(one, step)
        if len(graded) > 1:
            part.insert(0, "log", one.log.dataset or one.log.source)
        parts.append(part)
    return pd.concat(parts, ignore_index=True).to_csv(index=False, lineterminator="\n")


def diagnose(
    places: list[Path],
    k: int | None,
    budget: tuple[int, int, int],
    *,
    greedy: Path | None,
    step: int | None,
    json_file: Path | None,
    tau_support: float,
    delta_gap: float,
    **how: Any,
) -> None:
    """Print the decision for each log, and what a run of RL of that budget would meet.

    Arguments: as the options of `medrl diagnose`; `budget` steps, prompts, group.
    """
    limits: dict[str, Any] = {"tau_support": tau_support, "delta_gap": delta_gap}
    asked = Budget(*budget)
    reports = []
    beside = log_report.greedy_of(greedy, **how) if greedy else None
    for place in places:
        if _ours(place, how):
            from medrl.commands.scores import diagnose_folder

            for row in diagnose_folder(place, k or SUPPORT_K, **limits).itertuples():
                about = f"{row.name} ({row.model}, {row.answer_format}, {row.decoding})"
                print(f"{about}: {row.action}, because {row.why}")
                paper = f"{row.paper_action}, as {row.paper_why}"
                print(f"  the paper's rule, without guess floor: {paper}")
            for _, rows in own.kinds(place):
                if found := log_report.met(per_item(rows), asked):
                    print(log_text.hits_line(found))
            print(place / "diagnosis.json")
            continue
        for one in log_report.read_and_grade(place, **how):
            found = log_report.report(
                one, greedy=beside, step=step, k=k, budget=asked, **limits
            )
            reports.append(found)
            print(f"{one.log.title}\n" + "\n".join(_said(found)))
    if json_file is not None:
        kept = ("source", "format", "model", "counts", "withheld", "decisions", "hits")
        content = [{name: found[name] for name in kept} for found in reports]
        _write(json_file, json.dumps({"logs": content}, indent=1, allow_nan=False) + "\n")
        print(json_file)


def _said(found: dict[str, Any]) -> Iterator[str]:
    yield from (f"- {one}" for one in found["withheld"])
    yield from log_text.decision_lines(found)


def compare(a: Path, b: Path, *, json_file: Path | None, **how: Any) -> None:
    """Print how two logs differ on the items that both answered.

    Arguments: as those of `medrl compare`.
    """
    sides = [log_report.read_and_grade(place, **how) for place in (a, b)]
    blocks, found = [], {}
    for name, first, second in log_comparison.pairs(*sides):
        text, found[name] = log_comparison.table(name, first, second)
        blocks.append(text)
    print("\n\n".join(blocks))
    if json_file is not None:
        _write(json_file, pd.Series([found]).to_json(orient="records", indent=1)[1:-1] + "\n")
        print(json_file)


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    if not path.parent.is_dir():
        raise UserError(f"there is no folder {path.parent} for {path.name}; make it first")
    if path.is_dir():
        raise UserError(f"{path} is a folder: name a file")
    write_text(path, text)
