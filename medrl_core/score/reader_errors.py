"""How often the reader of answers errs on completions that people judged.

    judged = [json.loads(line) for line in open("tests/score/judged_completions.jsonl")]
    error_table(judged)      # a row for each half and kind of question

Two kinds of errors are two numbers, each with its interval: on answers that are there (read as
another: wrong; not read: missed), and answers read where there is none. As a reward, wrong and read
pay for talking; missed pays for a clear form. `pytest tests/score/test_reader_errors.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from medrl_core.score.intervals import share_of
from medrl_core.score.parsing import is_correct, parse

COLUMNS = [
    "half", "kind", "n", "answers", "right", "wrong", "missed", "wrong_share", "wrong_low",
    "wrong_high", "missed_share", "missed_low", "missed_high", "no_answer", "read", "read_share",
    "read_low", "read_high",
]  # fmt: skip


def outcome(judged: Mapping[str, Any]) -> str:
    """Compare the reader's answer with the judge's.

    Arguments: `judged` a completion: text, options (or None), labels, and `want`, the answer that
    the judge read (None: there is none) or a list of texts that are the same answer.
    Returns: "right", "wrong" or "missed" where there is an answer; else "none" or "read".
    """
    answer = parse(
        judged["text"],
        answer_format="mcq" if judged["options"] else "open",
        options=judged["options"],
        label_set=tuple(judged["labels"]),
    ).answer
    if judged["want"] is None:
        return "none" if answer is None else "read"
    if answer is None:
        return "missed"
    return "right" if is_correct(answer, judged["want"]) else "wrong"


def _share(count: int, of: int) -> tuple[float, float, float]:
    found = share_of(count, of)
    return found.value, found.low, found.high


def error_table(judged: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Count the reader's errors for each half and kind of question.

    Arguments: `judged` completions as `outcome` takes them, with `half` and `kind` ("options",
    "closed" or "open").
    Returns: COLUMNS; the kind "known answers" is options and closed together. Shares of wrong and
    missed are of the completions with an answer, of read of those without; Wilson intervals, 95 %.
    """
    rows = pd.DataFrame(
        [(one["half"], one["kind"], outcome(one)) for one in judged],
        columns=["half", "kind", "outcome"],
    )
    known = rows[rows.kind != "open"].assign(kind="known answers")
    table: list[list[Any]] = []
    for (half, kind), group in pd.concat([rows, known]).groupby(["half", "kind"], sort=True):
        count = group.outcome.value_counts()
        right, wrong, missed, none, read = (
            int(count.get(name, 0)) for name in ("right", "wrong", "missed", "none", "read")
        )
        there = right + wrong + missed
        table.append(
            [half, kind, len(group), there, right, wrong, missed, *_share(wrong, there),
             *_share(missed, there), none + read, read, *_share(read, none + read)]
        )  # fmt: skip
    return pd.DataFrame(table, columns=COLUMNS)
