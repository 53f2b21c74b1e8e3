"""What is said about a log, as one dict: made once, then printed, written as JSON or as a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pandas as pd

from medrl.commands.log_measures import open_answers, ordinal
from medrl_core.errors import UserError
from medrl_core.report import tables
from medrl_core.score import boundary, hits, rule
from medrl_core.score.curves import k_to_reach
from medrl_core.score.law import LEARNT, load_law
from medrl_core.score.law import PATH as LAW
from medrl_core.score.logs import recognise
from medrl_core.score.logs.grading import Graded, grade, per_item_counts
from medrl_core.score.logs.log import NO_STEP
from medrl_core.score.logs.pairing import with_greedy
from medrl_core.score.series import over_steps
from medrl_core.score.statistics import GREEDY, all_ks, per_item, score
from medrl_core.score.thresholds import DELTA_GAP, SUPPORT_K, TAU_SUPPORT

LEVELS = (0.5, 0.9)
EXAMPLES = 5
EXAMPLE_LENGTH = 160
# What goes unsaid without a thing, by the name of what the log lacks.
WITHHELD = {
    "greedy": "Acc@1 is withheld (no greedy answers); Pass@1 takes its place. Give --greedy LOG",
    "samples": "Pass@K, support and the decision are withheld (no sampled answers)",
    "options": "the uniform guess floor is withheld (no options); the floor of label frequencies "
    "stays",
    "gold": "our reading is withheld where the log has no gold answer; its verdicts count",
}


def read_and_grade(
    place: Path, *, format: str | None = None, scorer: str | None = None,
    trust: str | None = None, gold: Path | None = None,
) -> list[Graded]:  # fmt: skip
    """Read the logs of a place and give a verdict on each completion.

    Arguments: as the options of `medrl score`; `gold` a table of gold answers.
    Raises: UserError as `recognise.read` and `grade`.
    """
    golds = recognise.read_golds(gold) if gold else None
    logs = recognise.read(place, format=format, scorer=scorer, gold=golds)
    return [grade(log, trust) for log in logs]


def greedy_of(place: Path, **how: Any) -> Graded:
    """Read the log that --greedy names, which must be one."""
    found = read_and_grade(place, **how)
    if len(found) > 1:
        raise UserError(f"{place} holds {len(found)} logs; name the one with the greedy answers")
    return found[0]


def report(
    graded: Graded,
    *,
    greedy: Graded | None = None,
    step: int | None = None,
    k: int | None = None,
    budget: hits.Budget | None = None,
    tau_support: float = TAU_SUPPORT,
    delta_gap: float = DELTA_GAP,
    grades: Sequence[str] = (),
    seed: int = 0,
) -> dict[str, Any]:
    """Make all statistics of a log, and the sentences about it.

    Arguments: `graded`; `greedy` a log with the greedy answers; `step` of a series (None: its
    last); `k` of the decision (None: SUPPORT_K, or the largest K below it that all items have);
    `budget` of the expected hits; thresholds of the decision; `grades` of an ordered scale, from
    least to most; `seed` of the intervals.
    Returns: a dict that JSON can hold: format, source, dataset, model, counts, lacks, withheld,
    notes, verdicts, headline, scores, open_answers, ordinal, shares, solved, decisions, hits,
    series, items.
    Raises: UserError where a step or K is not there, or as `with_greedy` and `ordinal_table`.
    """
    log, notes = graded.log, [*graded.log.notes, *graded.notes]
    rows = graded.rollouts
    series = None
    if log.steps:
        series = over_steps(rows, seed=seed)
        step = _step(log.steps, step, log.source)
        rows = rows[rows.step == step]
        if len(log.steps) > 1:
            notes.append(
                f"a series of {len(log.steps)} training steps, each another policy; what follows "
                f"the table of steps is of step {step}"
            )
    elif step is not None:
        raise UserError(f"{log.source} is no series of training steps: leave --step out")
    lacks = dict(log.lacks)
    if greedy is not None:
        part = Graded(log, rows, *[getattr(graded, name) for name in (
            "trusted", "compared", "differing", "missing", "ungraded")])  # fmt: skip
        rows, said = with_greedy(part, greedy)
        notes += said
        lacks.pop("greedy", None)
    items = per_item(rows)
    ks = all_ks(items)
    scores = score(rows, ks, seed) if ks else score(rows, [], seed)
    scores = pd.concat([scores, *(k_to_reach(scores, level) for level in LEVELS)])
    found = {
        "format": log.format,
        "source": log.source,
        "dataset": log.dataset,
        "model": log.model,
        "sampling": _sampling(rows),
        "counts": _counts(graded, items, ks),
        "lacks": [said for name, said in lacks.items() if name not in WITHHELD],
        "withheld": [WITHHELD[name] for name in WITHHELD if name in lacks],
        "notes": notes + _uneven(graded, items),
        "verdicts": _verdicts(graded),
        "headline": _headline(scores, items, ks),
        "scores": _plain(scores),
        "open_answers": _plain(open_answers(rows, log.items, seed)),
        "ordinal": _plain(ordinal(rows, log.items, grades, seed)),
        "shares": _shares(items),
        "solved": _solved(items),
        "decisions": _decisions(
            scores, items, ks, k, tau_support=tau_support, delta_gap=delta_gap
        ),
        "hits": met(items, budget, seed),
        "series": None if series is None else _plain(series),
        "step": step,
        "items": _plain(per_item_counts(graded)),
    }
    return found


def _step(steps: list[int], wanted: int | None, source: str) -> int:
    if wanted is None:
        return steps[-1]
    if wanted not in steps:
        raise UserError(f"{source} has no step {wanted}; it has {', '.join(map(str, steps))}")
    return wanted


def _sampling(rows: pd.DataFrame) -> str:
    named = sorted(set(rows.decoding[rows.sample_index != GREEDY])) or ["greedy"]
    return ", ".join(named)


def _counts(graded: Graded, items: pd.DataFrame, ks: list[int]) -> dict[str, int]:
    sampled = items.n[items.n > 0]
    return {
        "items": len(items),
        "images": items.image_id.nunique(),
        "samples": int(items.n.sum()),
        "greedy": int(items.greedy.notna().sum()),
        "fewest": int(sampled.min()) if len(sampled) else 0,
        "most": int(sampled.max()) if len(sampled) else 0,
        "k": ks[-1] if ks else 0,
        "missing": graded.missing,
        "ungraded": graded.ungraded,
    }


def _uneven(graded: Graded, items: pd.DataFrame) -> list[str]:
    """What there is to say about samples that are missing or beyond the common K."""
    notes, sampled = [], items.n[items.n > 0]
    if graded.missing:
        notes.append(f"{graded.missing} samples ended in an error: missing, not wrong")
    if graded.ungraded:
        notes.append(f"{graded.ungraded} samples have neither a verdict nor a gold answer")
    if len(sampled) and sampled.max() > sampled.min():
        more = int((sampled > sampled.min()).sum())
        notes.append(
            f"items have {sampled.min()} to {sampled.max()} samples: K ends at {sampled.min()}, "
            f"which all have; {more} of {len(sampled)} items have more, which count in Pass@K"
        )
    asked = graded.log.items.set_index("item_id").asked.reindex(items.index)
    short = int(((asked > items.n) & (items.n > 0)).sum())
    if short and not graded.missing:
        notes.append(f"{short} items have fewer samples than were asked for")
    return notes


def _verdicts(graded: Graded) -> dict[str, Any]:
    rows = graded.differing
    examples = [
        {
            "item_id": row.item_id,
            "text": _short(row.text),
            "gold": " | ".join(row.gold),
            "read": row.parsed if isinstance(row.parsed, str) else None,
            "stored_right": bool(row.stored),
        }
        for row in cast(Any, _varied(rows)).itertuples()
    ]
    return {
        "counts": graded.trusted,
        "scorer": graded.log.scorer,
        "compared": graded.compared,
        "differing": len(rows),
        "only_stored_right": int(rows.stored.sum()) if len(rows) else 0,
        "only_read_right": int(rows.read.sum()) if len(rows) else 0,
        "examples": examples,
    }


def _varied(rows: pd.DataFrame) -> pd.DataFrame:
    """A few differing rows: of both directions, and of items by turns."""
    if rows.empty:
        return rows
    order = rows.assign(turn=rows.groupby(["stored", "item_id"]).cumcount())
    order["rank"] = order.sort_values("turn", kind="stable").groupby("stored").cumcount()
    return order.sort_values("rank", kind="stable").head(EXAMPLES)


def _short(text: Any) -> str:
    """The end of a text, where its answer is."""
    text = " ".join(str(text).split()) if isinstance(text, str) else ""
    return text if len(text) <= EXAMPLE_LENGTH else "..." + text[-EXAMPLE_LENGTH:]


def value(scores: pd.DataFrame, metric: str, k: int, name: str = "all") -> Any:
    """One row of the scores over all items, or None."""
    found = scores[(scores.scope == "overall") & (scores.metric == metric) & (scores.k == k)]
    return found.iloc[0] if len(found) else None


def _said(row: Any, unit: tables.Unit = "percent") -> str:
    return tables.interval(row.value, row.low, row.high, unit)


def _headline(scores: pd.DataFrame, items: pd.DataFrame, ks: list[int]) -> str:
    greedy = value(scores, "acc@1", 1)
    right = ""
    if greedy is not None:
        right = f"The greedy answer is right for {_said(greedy)} of the items"
    if not ks:
        floor = value(scores, "acc_guess_floor", 1)
        above = ""
        if floor is not None:
            above = f", where guessing reaches {tables.number(floor.value)}"
        return f"{right} ({len(items)} items){above}." if right else "There is nothing to score."
    k = ks[-1]
    pass_k = value(scores, "pass@k", k)
    if k == 1:
        one = f"One sampled answer an item is right for {_said(pass_k)} of {len(items)} items"
        return f"{one}." if not right else f"{one}. {right}."
    floor = value(scores, "guess_floor@k", k)
    floor = value(scores, "label_floor@k", k) if floor is None else floor
    above = f", where guessing reaches {tables.number(floor.value)}" if floor is not None else ""
    first = (
        f"With {k} answers an item, {_said(pass_k)} of {len(items)} items have a right one "
        f"(Pass@{k}){above}"
    )
    if right:
        return f"{first}. {right} (Acc@1)."
    one = value(scores, "pass@k", 1)
    one = f"One sampled answer is right {_said(one)} of the time (Pass@1, in place of Acc@1)"
    return f"{first}. {one}."


def _shares(items: pd.DataFrame) -> dict[str, float] | None:
    """What the sampled answers are: shares of right, wrong, unread and cut-off ones."""
    sampled = items[items.n > 0]
    if sampled.empty:
        return None
    total = int(sampled.n.sum())
    right = int(sampled.c.sum()) / total
    unread = float((sampled.no_answer * sampled.n).sum() / total)
    return {
        "right": right,
        "wrong": max(0.0, 1 - right - unread),
        "no_answer": unread,
        "cut_off": float((sampled.truncated * sampled.n).sum() / total),
    }


def _solved(items: pd.DataFrame) -> dict[str, int] | None:
    """How many items are always, sometimes and never right in their samples."""
    sampled = items[items.n > 0]
    if sampled.empty:
        return None
    always, never = sampled.c == sampled.n, sampled.c == 0
    return {
        "always": int(always.sum()),
        "sometimes": int((~always & ~never).sum()),
        "never": int(never.sum()),
    }


def _decisions(
    scores: pd.DataFrame, items: pd.DataFrame, ks: list[int], k: int | None, *,
    tau_support: float, delta_gap: float,
) -> dict[str, Any]:  # fmt: skip
    """The decision for all items and for each data set, or why there is none."""
    if not ks or ks[-1] < 2:
        has = "one sample an item" if ks else "no samples"
        return {"k": None, "withheld": f"no decision: the log has {has}", "rows": []}
    if k is not None and k > ks[-1]:
        raise UserError(f"-k {k}: some item has only {ks[-1]} samples; ask for a smaller K")
    k = k or max(one for one in ks if one <= SUPPORT_K)
    both = items[(items.n > 0) & items.greedy.notna()]
    rival = "Acc@1" if len(both) else "Pass@1"
    wanted = ["overall"] if scores.name[scores.scope == "dataset"].nunique() < 2 else [
        "overall", "dataset"]  # fmt: skip
    part = scores[scores.scope.isin(wanted)]
    has = part[(part.k == k) & part.metric.isin(["excess_support@k", "label_excess@k"])]
    if has.empty:
        return {"k": k, "withheld": "no decision: the log has no guess floor", "rows": []}
    part = part[part.name.isin(has.name)]
    found = boundary.diagnose(
        part, k, tau_support=tau_support, delta_gap=delta_gap, strict=True, rival=rival
    )
    return {
        "k": k, "rival": rival, "tau_support": tau_support, "delta_gap": delta_gap,
        "withheld": None, "rows": _plain(found),
    }  # fmt: skip


def met(
    items: pd.DataFrame, budget: hits.Budget | None = None, seed: int = 0
) -> dict[str, Any] | None:
    """What a budget is expected to meet on items, as numbers; None where none has samples."""
    if not (items.n > 0).any():
        return None
    budget = budget or hits.Budget(steps=200, prompts=64, group=8)
    found = hits.expected(items, budget, seed)
    few = int(items.n[items.n > 0].min()) < budget.group
    return {
        "steps": budget.steps, "prompts": budget.prompts, "group": budget.group,
        "completions": budget.completions, "signal_at_least": few,
        **{name: [one.value, one.low, one.high] for name, one in found.items()},
        "law": by_law(items, budget, seed),
    }  # fmt: skip


def by_law(items: pd.DataFrame, budget: hits.Budget, seed: int = 0) -> dict[str, Any] | None:
    """What the law of the controlled world says of RL on these items; None where it is not here.

    All items count as what one change of the model would fix. Arguments as for `met`.
    """
    if not LAW.is_file():
        return None
    sampled = items[items.n > 0]
    chances = sampled.c / sampled.n
    acc = sampled.greedy.mean() if sampled.greedy.notna().any() else chances.mean()
    said = rule.choose(
        chances, load_law(LAW, mark=LEARNT), budget, samples=int(sampled.n.median()),
        acc=float(acc), seed=seed,
    )  # fmt: skip
    ends = [said.chance.value, said.chance.low, said.chance.high]
    return {"action": said.action, "why": said.why, "chance": ends, "more": said.more_items}


def _plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON can hold them: nan is None, numbers are Python's."""
    rows = cast(Any, frame).to_dict("records")
    return [{name: _json(cell) for name, cell in row.items()} for row in rows]


def _json(cell: Any) -> Any:
    cell = cell.item() if hasattr(cell, "item") else cell
    if isinstance(cell, float):
        return None if math.isnan(cell) or math.isinf(cell) else cell
    return cell if isinstance(cell, (str, int, bool, type(None))) else str(cell)


def per_item_table(graded: Graded, step: int | None = None) -> pd.DataFrame:
    """The table of --per-item: item_id, n, correct, missing and, of a series, its step."""
    counts = per_item_counts(graded)
    if "step" in counts and (graded.rollouts.step != NO_STEP).any():
        counts = counts[counts.step == _step(graded.log.steps, step, graded.log.source)]
    return counts.reset_index(drop=True)
