"""The verdict on each completion: the log's own, our reading of its text, and where they differ.

    >>> graded = grade(log)
    >>> graded.rollouts.correct.sum(), graded.differing

What counts (`--trust`): our reading where options, yes/no or letters say what an answer is, since
tools read answers in ways of their own; the log's verdict for free answers, since whether two free
texts say the same is its scorer's work, and where there is no gold answer.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pandas as pd

from medrl_core.errors import UserError
from medrl_core.score.logs.golds import LETTERS
from medrl_core.score.logs.log import CANNOT_BE_GUESSED, NO_STEP, YES_NO, Log
from medrl_core.score.parsing import is_correct, normalise, parse
from medrl_core.score.statistics import GREEDY

TRUST = ("read", "stored")
# Letters that an item may have whose options are lost: at least so many.
FEWEST_LETTERS = 5
_GIVEN = "given"  # parse_rule of an answer that the log already took out of its text


@dataclass
class Graded:
    """A log with a verdict on each completion.

    Arguments:
        log: what was read.
        rollouts: a row a completion that counts, with the columns of `statistics.per_item` and
            text, step, stored, read.
        trusted: "read", "stored", or "read and stored" where items differ in what counts.
        compared: completions that have both verdicts; `differing` those where they differ.
        missing: completions that have an error instead of an answer, and do not count.
        ungraded: completions that neither verdict could be found for, and do not count.
        notes: what else to say, one line each.
    """

    log: Log
    rollouts: pd.DataFrame
    trusted: str
    compared: int
    differing: pd.DataFrame
    missing: int
    ungraded: int
    notes: list[str] = field(default_factory=list)


def grade(log: Log, trust: str | None = None) -> Graded:
    """Read every completion and decide which verdict counts.

    Arguments: `log`; `trust` "read" or "stored" for all completions, None as the module says.
    Raises: UserError where that verdict is nowhere to be had.
    """
    if trust not in (None, *TRUST):
        raise UserError(f"--trust {trust} is unknown: use read or stored")
    answered = log.completions.error.isna()
    frame = log.completions if answered.all() else log.completions[answered]
    frame = frame.reset_index(drop=True)
    if frame.empty:
        raise UserError(f"every sample of {log.source} ended in an error: {_first_error(log)}")
    items = log.items.set_index("item_id")
    parsed, rules = _answers(frame, items)
    frame["parsed"] = pd.Series(parsed, dtype=object)
    frame["parse_rule"] = pd.Series(rules, dtype=object)
    golds, inferred = _golds(frame, items)
    frame["read"] = _read(frame, items, golds)
    formats = frame.item_id.map(items.answer_format)
    prefer_stored = formats.eq("open") | frame.item_id.map(items.gold_rule).eq("all")
    if trust is not None:
        prefer_stored = pd.Series(trust == "stored", frame.index)
    first = frame.stored.where(prefer_stored, frame.read)
    second = frame.read.where(prefer_stored, frame.stored)
    verdicts = first if trust else first.fillna(second)
    if verdicts.isna().all():
        raise UserError(_no_verdict(log, trust))
    by_stored = frame.stored.notna() & (prefer_stored | frame.read.isna())
    counted = verdicts.notna()
    used = {"stored" if one else "read" for one in by_stored[counted].unique()}
    both = frame.stored.notna() & frame.read.notna()
    differ = both & (frame.stored != frame.read).fillna(False)
    notes = []
    if inferred:
        notes.append(
            f"gold answers of {inferred} items are not in the log and follow from the answers that "
            "it calls right"
        )
    rows = _rollouts(frame.assign(correct=verdicts)[counted], log, items, golds)
    return Graded(
        log, rows, " and ".join(sorted(used)), int(both.sum()),
        frame[differ].assign(gold=cast(Any, [golds[one] for one in frame.item_id[differ]])),
        len(log.completions) - len(frame), int((~counted).sum()), notes,
    )  # fmt: skip


def _first_error(log: Log) -> str:
    return str(log.completions.error.dropna().iloc[0])[:200]


def _no_verdict(log: Log, trust: str | None) -> str:
    if trust == "stored":
        return f"{log.source} has no verdict of a single sample: use --trust read"
    if trust == "read":
        return f"{log.source} has no gold answers to read by: use --trust stored or --gold FILE"
    return (
        f"{log.source} has neither gold answers nor verdicts: give --gold FILE, a table with the "
        "columns item_id, gold and, if there are any, options"
    )


def _answers(frame: pd.DataFrame, items: pd.DataFrame) -> tuple[list, list]:
    """The answer of each completion and the rule that found it; each different text once."""
    if frame.answer.notna().any():
        # The log keeps answers: log-likelihoods have no text, and medrl's own are read already.
        return frame.answer.tolist(), ["none" if one is None else _GIVEN for one in frame.answer]
    known: dict[tuple, tuple[Any, str]] = {}
    options, formats = items.options.to_dict(), items.answer_format.to_dict()
    letters = _letters(items)
    parsed, rules = [], []
    columns = (frame[name].tolist() for name in ("item_id", "text", "order"))
    for item_id, text, order in zip(*columns, strict=True):
        unread = formats[item_id] == "mcq" and not options[item_id]
        if not isinstance(text, str) or unread:
            parsed.append(None)
            rules.append("none")
            continue
        key = (item_id, text, order)
        found = known.get(key)
        if found is None:
            found = _parsed(text, formats[item_id], options[item_id], order, letters)
            known[key] = found
        parsed.append(found[0])
        rules.append(found[1])
    return parsed, rules


def _parsed(
    text: str, answer_format: str, options: tuple[str, ...] | None, order: Any, letters: int
) -> tuple[str | None, str]:
    if answer_format == "mcq":
        told: tuple[str, ...] = options or ()
        shown = tuple(told[int(at)] for at in order) if order else told
        found = parse(text, answer_format="mcq", options=shown[:26])
        if found.answer is None or not order:
            return found
        return LETTERS[order[LETTERS.index(found.answer)]], found.rule
    if answer_format == "letter":
        return parse(text, answer_format="mcq", options=("",) * letters)
    labels = YES_NO if answer_format == "closed" else ()
    return parse(text, answer_format="open", label_set=labels)


def _letters(items: pd.DataFrame) -> int:
    """How many letters items may have whose options are lost: up to the last that is a gold."""
    golds = [one for gold in items.gold[items.answer_format == "letter"] for one in gold]
    return max([FEWEST_LETTERS, *(LETTERS.index(one) + 1 for one in golds if one in LETTERS)])


def _golds(frame: pd.DataFrame, items: pd.DataFrame) -> tuple[dict[str, tuple[str, ...]], int]:
    """Gold answers by item; where the log has none, the one answer that all its right ones name."""
    golds = cast("dict[str, tuple[str, ...]]", items.gold.to_dict())
    bare = [one for one, gold in golds.items() if not gold and items.answer_format[one] == "mcq"]
    if not bare:
        return golds, 0
    rows = frame[frame.item_id.isin(bare) & frame.stored.fillna(False).astype(bool)]
    named: dict[str, set[str]] = defaultdict(set)
    for item_id, answer in zip(rows.item_id, rows.parsed, strict=True):
        if isinstance(answer, str):
            named[item_id].add(answer)
    found = {item_id: tuple(answers) for item_id, answers in named.items() if len(answers) == 1}
    return {**golds, **found}, len(found)


def _read(frame: pd.DataFrame, items: pd.DataFrame, golds: dict) -> pd.Series:
    """Our verdict; <NA> without a gold answer, or where several letters are needed at once."""
    whole = items.gold_rule.eq("any").to_dict()
    known: dict[tuple[str, Any], bool | None] = {}
    verdicts = []
    for item_id, answer in zip(frame.item_id.tolist(), frame.parsed.tolist(), strict=True):
        key = (item_id, answer if isinstance(answer, str) else None)
        if key not in known:
            gold = golds[item_id]
            readable = bool(gold) and whole[item_id]
            known[key] = any(is_correct(key[1], one) for one in gold) if readable else None
        verdicts.append(known[key])
    found = pd.Series(verdicts, frame.index, dtype="boolean")
    # Without a text or an answer there is nothing to read.
    return found.mask(frame.text.isna() & frame.answer.isna())


def _rollouts(
    frame: pd.DataFrame, log: Log, items: pd.DataFrame, golds: dict
) -> pd.DataFrame:
    """The columns that `statistics` needs, of the completions that count."""
    greedy = frame.greedy.fillna(False).astype(bool)
    of = frame.item_id.map
    sampling = log.sampling or _sampling(frame[~greedy])
    rows = pd.DataFrame(
        {
            "item_id": frame.item_id.astype(str),
            "image_id": of(items.image_id),
            "dataset": of(items.dataset).replace("", log.dataset or "all"),
            "modality": of(items.modality),
            "answer_format": of(items.answer_format),
            # Statistics have it the other way round: below 0 no floor is known, 0 has the floor 0.
            "n_options": of(items.n_options).replace({0: -1, CANNOT_BE_GUESSED: 0}),
            "gold": of({one: " | ".join(gold) for one, gold in golds.items()}),
            "label": _labels(frame, items, golds),
            "model_hash": log.model,
            "decoding": np.where(greedy, "greedy", sampling),
            "sample_index": np.where(greedy, GREEDY, frame.sample_index),
            "parsed": pd.Series(frame.parsed, dtype=object),
            "parse_rule": frame.parse_rule,
            "correct": frame.correct.astype(bool),
            "finish_reason": frame.finish_reason,
            "step": frame.step,
            "text": frame.text,
            "stored": frame.stored,
            "read": frame.read,
        }
    )
    # A greedy answer that is repeated is one answer.
    repeated = greedy & frame.duplicated(["item_id", "step", "greedy"])
    return rows[~repeated].reset_index(drop=True)


def _sampling(sampled: pd.DataFrame) -> str:
    told = sorted(sampled.temperature.dropna().unique())
    return "temperature " + ", ".join(f"{one:g}" for one in told) if told else "sampled"


def _labels(frame: pd.DataFrame, items: pd.DataFrame, golds: dict) -> pd.Series:
    """What an answerer who knows only label frequencies would have to say: see `floors`.

    The gold's text where all items share one set of options, in any order; else its letter.
    """
    sets = {frozenset(map(normalise, options)) for options in items.options if options}
    shared = len(sets) == 1 and items.options.notna().all()
    options = items.options.to_dict()
    labels = {}
    for item_id, gold in golds.items():
        label = gold[0] if gold else ""
        if shared and label in LETTERS and label:
            label = normalise(options[item_id][LETTERS.index(label)])
        labels[item_id] = label if items.answer_format[item_id] == "mcq" else normalise(label)
    return frame.item_id.map(labels)


def per_item_counts(graded: Graded) -> pd.DataFrame:
    """N and correct of each item, of its samples, or of its greedy answers where it has no samples.

    Returns: columns item_id, n, correct, missing and, of a series, step.
    """
    rows = graded.rollouts
    sampled = rows[rows.sample_index != GREEDY]
    used = sampled if len(sampled) else rows
    keys = ["item_id", "step"] if (rows.step != NO_STEP).any() else ["item_id"]
    counts = used.groupby(keys, sort=False).correct.agg(n="size", correct="sum").reset_index()
    failed = graded.log.completions[graded.log.completions.error.notna()]
    missing = failed.groupby("item_id").size()
    whole = counts.assign(missing=counts.item_id.map(missing).fillna(0).astype(int))
    lost = [one for one in missing.index if one not in set(whole.item_id)]
    nothing = pd.DataFrame({"item_id": lost, "n": 0, "correct": 0, "missing": missing[lost].values})
    return pd.concat([whole, nothing], ignore_index=True) if lost else whole
