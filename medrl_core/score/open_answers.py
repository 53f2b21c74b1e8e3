"""Open answers scored as the field does: token recall and token F1, beside exact match.

    token_scores("a large liver cyst", "liver cyst")    # recall 1.0, precision .67, F1 .8

Three columns, never mixed with each other or with Acc@1 of closed items:

- **exact match**: `matching.is_correct` of the parsed answer; it counts plurals, number words and
  lists in another order as the same answer. The reward uses it.
- **token recall**, **token F1**: shared words of what the completion says and the gold answer.

Two definitions of the words are in use, and differ. `llava-med` (the eval_metrics of microsoft/
LLaVA-Med): punctuation and articles go, number words are digits; each word of the completion counts
as often as it occurs, so repeating a right word raises precision; the whole completion is scored.
`medevalkit` (judge_open_end_vqa of MedEvalKit): sets of lower-case words split at white space,
punctuation and all, of the answer tag, box or what follows "answer:". Ours takes the words of
`words.normalise` for the first, and scores what was said after the reasoning for both. In neither
is recall a share of right answers: a completion that says every word has recall 1.
`pytest tests/score/test_open_answers.py` runs the tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from medrl_core.errors import UserError
from medrl_core.score.folding import fold
from medrl_core.score.intervals import bootstrap_mean
from medrl_core.score.markup import END_THINK, clean, last_box, last_tag, without_special
from medrl_core.score.matching import Gold, as_texts
from medrl_core.score.words import normalise, number_words

DEFINITIONS = ("llava-med", "medevalkit")
METRICS = {"exact": "exact match", "recall": "token recall", "f1": "token F1"}
COLUMNS = ["metric", "definition", "value", "low", "high", "n_items", "n_images"]


class TokenScores(NamedTuple):
    """How much of the gold answer a text says, and how much of the text that is."""

    recall: float
    precision: float
    f1: float


def said(text: str) -> str:
    """Give what a completion says after its reasoning: the answer tag, the box, or all of it."""
    folded = fold(without_special(text))
    *_, end = [None, *END_THINK.finditer(folded)]
    folded = folded[end.end() :] if end else folded
    tag = last_tag(folded)
    box = None if tag else last_box(folded)
    return clean(tag[0] if tag else folded if box is None else box)


def _words(text: str, definition: str) -> Counter[str]:
    if definition == "medevalkit":
        return Counter(set(text.lower().split()))
    words = number_words(normalise(text)).split()
    return Counter(word for word in words if word not in ("a", "an", "the"))


def token_scores(text: str, gold: str, definition: str = "llava-med") -> TokenScores:
    """Compare the words of a text and of a gold answer.

    Arguments: `text` what was said, `gold` the answer; `definition` one of DEFINITIONS.
    Returns: recall, the share of the gold answer's words that the text has; precision, the share of
    the text's words that the gold answer has; F1 of both. All 0 where either has no words.
    Raises: UserError for an unknown definition.
    """
    if definition not in DEFINITIONS:
        raise UserError(f"definition {definition!r} is unknown: use {' or '.join(DEFINITIONS)}")
    mine, right = _words(text, definition), _words(gold, definition)
    hits = sum(count for word, count in mine.items() if word in right)
    if not hits:
        return TokenScores(0.0, 0.0, 0.0)
    # As LLaVA-Med counts: what is hit counts as often as the text says it, what is missed as often
    # as the gold answer does. With sets, this is the usual recall.
    missed = sum(count for word, count in right.items() if word not in mine)
    recall, precision = hits / (hits + missed), hits / mine.total()
    return TokenScores(recall, precision, 2 * precision * recall / (precision + recall))


def best_scores(text: str, golds: Iterable[str], definition: str = "llava-med") -> TokenScores:
    """Compare with each accepted answer and give the scores of the one with the best F1."""
    scores = [token_scores(text, gold, definition) for gold in golds]
    return max(scores, key=lambda one: (one.f1, one.recall), default=TokenScores(0.0, 0.0, 0.0))


def open_table(
    rollouts: pd.DataFrame,
    golds: Sequence[Gold | Sequence[Gold]] | None = None,
    definition: str = "llava-med",
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Score completions of open items by all three columns.

    Arguments: `rollouts` rows with item_id, image_id, text, correct and gold, of open items;
    `golds` (N,) accepted answers where `gold` is one of several; `definition` of the words; `seed`.
    Returns: COLUMNS, a row a metric: means over items (of an item's completions), with the
    interval over images. The definition of exact match is "is_correct".
    Raises: UserError without rows, or for an unknown definition.
    """
    if rollouts.empty:
        raise UserError("there are no completions of open items to score")
    accepted = list(rollouts.gold) if golds is None else list(golds)
    scores = [
        best_scores(said(text), as_texts(gold), definition)
        for text, gold in zip(rollouts.text, accepted, strict=True)
    ]
    frame = pd.DataFrame(
        {
            "item_id": rollouts.item_id.to_numpy(),
            "image_id": rollouts.image_id.to_numpy(),
            "exact": rollouts.correct.to_numpy(dtype=float),
            "recall": [one.recall for one in scores],
            "f1": [one.f1 for one in scores],
        }
    )
    items = frame.groupby("item_id", sort=True).agg(
        {"image_id": "first", **dict.fromkeys(METRICS, "mean")}
    )
    rows: list[list[str | float | int]] = []
    for name, metric in METRICS.items():
        found = bootstrap_mean(items[name].to_numpy(), items.image_id.to_numpy(), seed=seed)
        counted = "is_correct" if name == "exact" else definition
        images = int(np.unique(items.image_id).size)
        rows.append([metric, counted, found.value, found.low, found.high, len(items), images])
    return pd.DataFrame(rows, columns=COLUMNS)
