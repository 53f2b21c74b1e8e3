"""What free answers and ordered scales of a log score beside Acc@1.

`pytest tests/commands/test_open_scores.py` runs the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pandas as pd

from medrl_core.errors import UserError
from medrl_core.score.logs.golds import LETTERS
from medrl_core.score.open_answers import open_table
from medrl_core.score.ordinal import ordinal_table
from medrl_core.score.statistics import GREEDY


def open_answers(rows: pd.DataFrame, items: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Score free answers by exact match, token recall and token F1; no row where there are none.

    Arguments: `rows` of rollouts; `items` with item_id and gold, a tuple of accepted answers.
    Returns: as `open_table`, with the column answers: "greedy" where the log has those, else
    "sampled", of which each item counts with its mean.
    """
    free = rows[rows.answer_format.eq("open") & rows.text.map(lambda text: isinstance(text, str))]
    free, answers = _one_kind(free)
    golds = cast("dict[str, tuple[str, ...]]", items.set_index("item_id").gold.to_dict())
    known = [one for one, gold in golds.items() if gold]
    free = free[free.item_id.isin(known)]
    if free.empty:
        return pd.DataFrame()
    table = open_table(free, [golds[one] for one in free.item_id], seed=seed)
    return table.assign(answers=answers)


def _one_kind(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    greedy = rows[rows.sample_index == GREEDY]
    return (greedy, "greedy") if len(greedy) else (rows, "sampled")


def ordinal(
    rows: pd.DataFrame, items: pd.DataFrame, grades: Sequence[str], seed: int
) -> pd.DataFrame:
    """Score answers on an ordered scale; no row where none was named."""
    if not grades:
        return pd.DataFrame()
    rows, answers = _one_kind(rows)
    asked = items.set_index("item_id")

    def text(item_id: str, answer: Any) -> str | None:
        options = asked.options[item_id]
        if not isinstance(answer, str):
            return None
        return str(options[LETTERS.index(answer)]) if options else answer

    gold = [
        text(one, asked.gold[one][0]) if asked.gold[one] else None for one in rows.item_id
    ]
    if None in gold:
        raise UserError("--grades needs the gold answer of each item: give --gold FILE")
    said = [text(*pair) for pair in zip(rows.item_id, rows.parsed, strict=True)]
    found = ordinal_table(cast("list[str]", gold), said, grades, rows.image_id, seed=seed)
    return found.assign(answers=answers)
