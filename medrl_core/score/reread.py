"""Stored texts read again: where today's verdict differs from the one that was stored.

    print(reread(rollouts.read("runs/..."), items).counts)

A reader that was fixed since, a gold answer that was corrected, or a log of another tool: scores
of stored verdicts are not ours without this. `pytest tests/score/test_reread.py` runs the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from medrl_core.data.items import Item
from medrl_core.errors import UserError
from medrl_core.score.evaluate import parse_item
from medrl_core.score.parsing import is_correct

COUNTS = ["stored", "now", "completions", "items", "share"]
EXAMPLES = [
    "item_id", "sample_index", "gold", "stored", "now", "parsed_stored", "parsed_now", "rule",
    "text",
]  # fmt: skip
_NAMES = {True: "right", False: "wrong"}


class Reread(NamedTuple):
    """What reading again found.

    `counts`: COUNTS, a row for each pair of verdicts, differing pairs first; `examples`: EXAMPLES
    of completions whose verdicts differ; `differing` how many do; `without_item` how many rows are
    of no item given, and were not read.
    """

    counts: pd.DataFrame
    examples: pd.DataFrame
    differing: int
    without_item: int


def reread(frame: pd.DataFrame, items: Sequence[Item], examples: int = 5) -> Reread:
    """Read stored texts again and compare with the stored verdicts.

    Arguments: `frame` rows with item_id, sample_index, text, parsed and correct; `items` what was
    asked, with the gold answers of now; `examples` most examples of each pair of verdicts.
    Raises: UserError where no row is of one of the items.
    """
    asked = {item.item_id: item for item in items}
    there = frame.item_id.isin(asked)
    rows = frame[there]
    if rows.empty:
        raise UserError(f"none of the {len(frame)} completions is of one of the {len(items)} items")
    read = {
        (item_id, text): parse_item(text, asked[item_id])
        for item_id, text in set(zip(rows.item_id, rows.text, strict=True))
    }
    parsed = [read[pair] for pair in zip(rows.item_id, rows.text, strict=True)]
    golds = [asked[item_id].gold for item_id in rows.item_id]
    now = [is_correct(one.answer, gold) for one, gold in zip(parsed, golds, strict=True)]
    table = pd.DataFrame(
        {
            "item_id": rows.item_id.to_numpy(),
            "sample_index": rows.sample_index.to_numpy(),
            "gold": golds,
            "stored": rows.correct.astype(bool).map(_NAMES).to_numpy(),
            "now": pd.Series(now).map(_NAMES).to_numpy(),
            "parsed_stored": rows.parsed.to_numpy(),
            "parsed_now": pd.Series([one.answer for one in parsed], dtype=object),
            "rule": [one.rule for one in parsed],
            "text": rows.text.to_numpy(),
        }
    )
    groups = table.groupby(["stored", "now"])
    counts = groups.agg(completions=("text", "size"), items=("item_id", "nunique")).reset_index()
    counts["share"] = counts.completions / len(table)
    counts["same"] = counts.stored == counts.now
    counts = counts.sort_values(["same", "stored", "now"], ignore_index=True)[COUNTS]
    differ = table[table.stored != table.now]
    shown = differ.groupby(["stored", "now"]).head(examples).reset_index(drop=True)
    return Reread(counts, shown[EXAMPLES], len(differ), int((~there).sum()))
