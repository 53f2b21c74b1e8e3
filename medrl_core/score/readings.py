"""Other ways to read the same completions: how much a score depends on its parser.

Nothing but the comparison uses them; rewards and scores read answers by `parsing.parse`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from medrl_core.data.items import LETTERS, Item
from medrl_core.score.evaluate import parse_item
from medrl_core.score.markup import last_tag, normalise
from medrl_core.score.parsing import is_correct

OURS = "ours"


def strict(text: str, item: Item) -> str | None:
    """Read a closed answer tag that holds an answer and nothing else; all else is no answer."""
    found = last_tag(text)
    if found is None or found[1] != "tag":
        return None
    answer = normalise(found[0])
    if not item.options:
        return answer or None
    known = {normalise(option): LETTERS[i] for i, option in enumerate(item.options)}
    if len(answer) == 1 and answer.upper() in known.values():
        return answer.upper()
    return known.get(answer)


def official_order(text: str, item: Item) -> str | None:
    """Read as the official evaluation is known to: an exact tag, or else the first lone letter.

    So a sentence in the tag is no answer, and without a tag "A chest X-ray shows ..." is A. Only
    these two habits are known and shown here; for open items it is `strict`.
    """
    if not item.options or last_tag(text) is not None:
        return strict(text, item)
    letters = LETTERS[: len(item.options)]
    first = re.search(rf"(?<![A-Za-z0-9])[{letters}](?![A-Za-z0-9])", text)
    return first[0] if first else None


PARSERS = {"strict tag": strict, OURS: None, "official order": official_order}


def by_parser(frame: pd.DataFrame, items: Sequence[Item]) -> dict[str, pd.DataFrame]:
    """Give the rollouts as each parser reads them.

    Arguments:
        frame: rollouts of these items.
        items: the items, for their options and labels.

    Returns:
        Name of the parser to a frame like `frame`, in which `parsed` and `correct` are the
        parser's; the other columns, `parse_rule` among them, are left as they are.
    """
    asked = {item.item_id: item for item in items}
    pairs = frame[["item_id", "text"]].drop_duplicates()
    found = {}
    for name, read in PARSERS.items():
        answers = {
            (one.item_id, one.text): parse_item(one.text, asked[one.item_id]).answer
            if read is None
            else read(one.text, asked[one.item_id])
            for one in pairs.itertuples()
        }
        parsed = [answers[pair] for pair in zip(frame.item_id, frame.text, strict=True)]
        correct = [
            is_correct(answer, gold) for answer, gold in zip(parsed, frame.gold, strict=True)
        ]
        found[name] = frame.assign(parsed=pd.Series(parsed, frame.index, object), correct=correct)
    return found


def rule_counts(frame: pd.DataFrame) -> pd.DataFrame:
    """Count which rule of our parser found the answers.

    Arguments: `frame` rollouts.
    Returns: columns rule, answers ("greedy" or "sampled"), value (completions) and share of the
    greedy or sampled ones, most common rule first.
    """
    answers = frame.sample_index.lt(0).map({True: "greedy", False: "sampled"})
    counts = frame.groupby(["parse_rule", answers.rename("answers")]).size().rename("value")
    table = counts.reset_index().rename(columns={"parse_rule": "rule"})
    table["share"] = table.value / table.groupby("answers").value.transform("sum")
    order = table.groupby("rule").value.transform("sum")
    return (
        table.assign(order=-order)
        .sort_values(["order", "rule", "answers"], ignore_index=True)
        .drop(columns="order")
    )
