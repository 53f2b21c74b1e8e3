"""The report of a log as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from medrl_core.errors import printable
from medrl_core.report import tables

METRICS: dict[str, tuple[str, tables.Unit]] = {
    "acc@1": ("Acc@1", "percent"),
    "pass@k": ("Pass@{k}", "percent"),
    "acc_guess_floor": ("uniform floor@1", "percent"),
    "acc_label_floor": ("label floor@1", "percent"),
    "guess_floor@k": ("uniform floor@{k}", "percent"),
    "label_floor@k": ("label floor@{k}", "percent"),
    "excess_support@k": ("excess support@{k}", "number"),
    "gap@k": ("Pass@{k} - Acc@1", "points"),
    "gap_to_pass@1": ("Pass@{k} - Pass@1", "points"),
    "majority_vote": ("majority vote", "percent"),
}


def lines(report: dict[str, Any]) -> Iterator[str]:
    """Give the report of `log_report.report` line by line."""
    counts = report["counts"]
    about = [report["format"], report["dataset"], report["model"], report["sampling"]]
    yield f"{report['source']}: " + ", ".join(part for part in about if part)
    yield report["headline"]
    yield (
        f"{counts['items']} items, {counts['samples']} sampled and {counts['greedy']} greedy "
        "answers" + (f", {counts['missing']} missing" if counts["missing"] else "")
    )
    for lack in [*report["lacks"], *report["withheld"]]:
        yield f"- {lack}"
    for note in report["notes"]:
        yield f"- {note}"
    yield from _verdicts(report["verdicts"])
    if report["series"]:
        yield ""
        yield _series(report["series"])
    yield ""
    yield _scores(report)
    yield from more_scores(report)
    yield from _answers(report)
    yield from decision_lines(report)


def _verdicts(found: dict[str, Any]) -> Iterator[str]:
    named = f" ({found['scorer']})" if found["scorer"] else ""
    if not found["compared"]:
        yield f"Verdicts: {found['counts']}; nothing to hold them against"
        return
    yield (
        f"Verdicts: {found['counts']} count. The log's{named} and our reading differ in "
        f"{found['differing']} of {found['compared']}: {found['only_read_right']} only our reading "
        f"calls right, {found['only_stored_right']} only the log"
    )
    for one in found["examples"]:
        side = "log right" if one["stored_right"] else "log wrong"
        read = one["read"] or "no answer"
        about = f"{one['item_id']}: {side}, read as {read}, gold {one['gold']}"
        yield printable(f"  {about}: {one['text']}")


def _series(rows: list[dict[str, Any]]) -> str:
    k = rows[0]["k"]
    frame = pd.DataFrame(rows)

    def column(name: str) -> list[str]:
        return [
            tables.interval(_nan(row[name]), _nan(row[f"{name}_low"]), _nan(row[f"{name}_high"]))
            for row in rows
        ]

    table = pd.DataFrame(
        {
            "step": frame.step,
            "items": frame.n_items,
            f"Pass@{k}": column("pass@k"),
            "Pass@1": column("pass@1"),
            "no answer": [tables.number(_nan(row["no_answer"])) for row in rows],
            "mixed groups": [tables.number(_nan(row["signal"])) for row in rows],
        }
    )
    if frame["acc@1"].notna().any():
        table.insert(4, "Acc@1", column("acc@1"))
    for name in ("kept", "lost", "new"):
        table[name] = ["" if row[name] is None else f"{row[name]:g}" for row in rows]
    chance = [
        "" if row["lost_by_chance"] is None
        else f"{row['lost_by_chance']:.1f} / {row['new_by_chance']:.1f}" for row in rows
    ]  # fmt: skip
    table["lost / new by chance"] = chance
    return table.to_string(index=False)


def _nan(value: float | None) -> float:
    return float("nan") if value is None else value


def score_table(report: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The main statistics in words: all items and, where there are several, each data set.

    Returns: for each name the cells by title, in one order.
    """
    most = report["counts"]["k"]
    small = report["decisions"]["k"] or most
    sets = {row["name"] for row in report["scores"] if row["scope"] == "dataset"}
    cells: dict[str, dict[str, str]] = {}
    for row in report["scores"]:
        metric, k = row["metric"], row["k"]
        wanted = row["scope"] == "overall" or (row["scope"] == "dataset" and len(sets) > 1)
        if metric not in METRICS or not wanted:
            continue
        if metric == "excess_support@k":
            shown = k == small
        elif metric == "pass@k":
            shown = k in (1, most)
        else:
            alone = ("acc@1", "acc_guess_floor", "acc_label_floor", "majority_vote")
            shown = metric in alone or (k == most and k > 1)
        if not shown:
            continue
        title, unit = METRICS[metric]
        name = "all items" if row["scope"] == "overall" else printable(row["name"])
        value, low, high = (_nan(row[one]) for one in ("value", "low", "high"))
        known = "floor" in metric  # an item's floor has no error
        line = cells.setdefault(name, {"items": str(row["n_items"])})
        line[title.format(k=k)] = (
            tables.number(value) if known else tables.interval(value, low, high, unit)
        )
    return cells


def _scores(report: dict[str, Any]) -> str:
    cells = score_table(report)
    return pd.DataFrame.from_dict(cells, orient="index").fillna(tables.MISSING).T.to_string()


def more_scores(report: dict[str, Any]) -> Iterator[str]:
    """What free answers and grades score beside Acc@1; a block each, none where there are none."""
    yield from open_lines(report["open_answers"])
    if rows := report["ordinal"]:
        unread = rows[0]["n_no_answer"]
        yield f"Grades, {rows[0]['answers']} ({rows[0]['n']} read, {unread} without a grade):"
        for row in rows:
            yield f"  {row['metric']}: {_interval(row, 'number')}"


def open_lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    """What free answers score by each measure, as `log_report.open_answers` gives it."""
    if rows:
        items, images = rows[0]["n_items"], rows[0]["n_images"]
        yield f"Free answers, {rows[0]['answers']} ({items} items on {images} images):"
        for row in rows:
            by = f" ({row['definition']})" if row["metric"] != "exact match" else ""
            yield f"  {row['metric']}{by}: {_interval(row)}"


def _interval(row: dict[str, Any], unit: tables.Unit = "percent") -> str:
    value, low, high = (_nan(row[name]) for name in ("value", "low", "high"))
    return tables.interval(value, low, high, unit)


def _answers(report: dict[str, Any]) -> Iterator[str]:
    shares, solved = report["shares"], report["solved"]
    if shares:
        yield (
            f"Sampled answers: {tables.number(shares['right'])} right, "
            f"{tables.number(shares['wrong'])} wrong, {tables.number(shares['no_answer'])} without "
            f"an answer; {tables.number(shares['cut_off'])} cut off"
        )
        yield (
            f"Items: {solved['always']} always right, {solved['sometimes']} sometimes, "
            f"{solved['never']} never"
        )


def decision_lines(report: dict[str, Any]) -> Iterator[str]:
    """The decision for all items and each data set, and what a run of RL would meet."""
    found = report["decisions"]
    if found["withheld"]:
        yield found["withheld"]
    for row in found["rows"]:
        name = "All items" if row["scope"] == "overall" else printable(row["name"])
        yield f"{name}: {row['action']}, because {row['why']}"
        yield (
            f"  the paper's rule, without guess floor: {row['paper_action']}, as "
            + row["paper_why"].replace("Acc@1", found["rival"])
        )
    if report["hits"]:
        yield hits_line(report["hits"])
        if law := report["hits"]["law"]:
            yield law_line(law)


def law_line(law: dict[str, Any]) -> str:
    """What the rule by expected hits says, and of which world its law is."""
    return (
        f"By expected hits: {law['action']}, because {law['why']} The law is of the controlled "
        "world of this book and its learning rate, and takes all items as one rule to be learnt"
    )


def hits_line(hits: dict[str, Any]) -> str:
    """What a run of RL of the budget asked for would meet."""
    least = "at least " if hits["signal_at_least"] else ""
    return (
        f"A run of {hits['steps']} steps of {hits['prompts']} prompts of {hits['group']} "
        f"answers samples {hits['completions']:,} completions: {_count(hits['hits'])} right "
        f"ones are expected, and {least}{tables.interval(*hits['signal'])} of its groups mixed"
    )


def _count(ends: list[float]) -> str:
    value, low, high = (f"{round(one):,}" for one in ends)
    return f"{value} [{low}, {high}]"
