"""What every log of answers is read into: completions, items, and what the log lacks.

>>> found = Answers()
>>> found.item("q1", "Which lobe?", options=("Upper", "Lower"), gold="B")
>>> found.completion("q1", "<answer>B</answer>", stored=True, temperature=0.7)
>>> log = found.log("plain table", "answers.csv")
>>> log.items.gold[0], log.completions.n_tokens[0], sorted(log.lacks)
(('B',), nan, ['greedy', 'images', 'model'])
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from medrl_core.errors import UserError
from medrl_core.score.logs.golds import LETTERS, accepted_answers
from medrl_core.score.parsing import normalise

NO_STEP = -1
# As a number of options: an answer that is on no list, where 0 says that the number is not known.
CANNOT_BE_GUESSED = -1
YES_NO = ("yes", "no")
COMPLETION_COLUMNS = [
    "item_id", "sample_index", "step", "text", "answer", "stored", "greedy", "temperature",
    "n_tokens", "finish_reason", "error", "order",
]  # fmt: skip
ITEM_COLUMNS = [
    "item_id", "dataset", "modality", "question", "options", "n_options", "gold", "gold_rule",
    "answer_format", "images", "image_id", "asked",
]  # fmt: skip
LACKS = {
    "texts": "the log has no texts, only answers or verdicts",
    "gold": "the log has no gold answers",
    "options": "the log has no options of the items",
    "verdicts": "the log has no verdict of a single sample",
    "greedy": "the log has no greedy answers",
    "samples": "the log has no sampled answers",
    "temperature": "the log does not say its temperature",
    "images": "the log has no pictures",
    "model": "the log does not name its model",
}


@dataclass
class Log:
    """The answers of one model to one set of items under one sampling, or a series of steps of it.

    Arguments:
        format: name of the format, for example "inspect".
        source: file or folder it came from.
        dataset: task or data set; "" where the log names none.
        model: name of the model; "" where the log names none.
        completions: COMPLETION_COLUMNS, one row a completion. `text` None where the log keeps
            none; `answer` the answer where the log keeps only that; `stored` the tool's verdict
            (True, False, or <NA>); `greedy` <NA> where unknown; `step` of training, NO_STEP
            outside a series; `error` says why a sample is missing (else None); `order` the item's
            options in the order this sample saw them (indices), None for the item's own.
        items: ITEM_COLUMNS, one row an item. `n_options` 0 where unknown; `gold` the accepted
            answers (letters where there are options), empty where unknown; `gold_rule` "any" of
            them is right, or "all" are needed; `answer_format` "mcq", "letter" (options lost,
            letters known), "closed" (yes or no) or "open"; `asked` samples that were asked for, 0
            where unknown.
        lacks: name of what the log lacks (a key of LACKS) to the sentence that says so.
        notes: what else the reader of the numbers has to know, one line each.
        scorer: whose verdicts `stored` are; `scorers` all that the log has.
        sampling: what the log calls its sampling; "" where its temperature is all that is known.
    """

    format: str
    source: str
    dataset: str
    model: str
    completions: pd.DataFrame
    items: pd.DataFrame
    lacks: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    scorer: str = ""
    scorers: tuple[str, ...] = ()
    sampling: str = ""

    @property
    def steps(self) -> list[int]:
        """The training steps of a series, ascending; empty outside one."""
        return sorted(step for step in self.completions.step.unique() if step != NO_STEP)

    @property
    def title(self) -> str:
        """How the log is named in a line of text."""
        about = [part for part in (self.dataset, self.model) if part]
        return f"{self.source} ({self.format}{': ' if about else ''}{', '.join(about)})"


@dataclass(frozen=True)
class Wanted:
    """What the user said about the logs to read.

    Arguments: `scorer` whose verdicts count, where a log has several (None: the log's first);
    `gold` item ids with their gold answers from a file of the user's, for logs without (columns
    item_id, gold, options; None: none was given).
    """

    scorer: str | None = None
    gold: pd.DataFrame | None = None


class Answers:
    """Collects items and completions while a reader goes through a file."""

    def __init__(self) -> None:
        self._completions: dict[str, list] = {name: [] for name in COMPLETION_COLUMNS}
        self._items: dict[str, dict[str, Any]] = {}
        self._next: Counter[tuple[str, int, Any]] = Counter()
        self.unusable_golds: list[str] = []

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._items

    def __len__(self) -> int:
        return len(self._completions["item_id"])

    def item(
        self,
        item_id: str,
        question: str,
        *,
        options: Sequence[str] | None = None,
        gold: Any = None,
        gold_is: str = "either",
        gold_rule: str = "any",
        images: Sequence[str] = (),
        image_id: str = "",
        dataset: str = "",
        modality: str = "",
        n_options: int = 0,
        asked: int = 0,
    ) -> None:
        """Add an item; `gold` is a letter, a text, an index or a list of them (see `golds`)."""
        item_id, question = _storable(item_id) or "", _storable(question) or ""
        options = tuple(_storable(str(option).strip()) or "" for option in options or ()) or None
        usable, answers = accepted_answers(gold, options, gold_is)
        pictures = tuple(map(_storable, images))
        if not usable:
            self.unusable_golds.append(item_id)
        self._items[item_id] = {
            "item_id": item_id,
            "dataset": _storable(dataset),
            "modality": _storable(modality),
            "question": question,
            "options": options,
            "n_options": len(options) if options else n_options,
            "gold": tuple(map(_storable, answers)),
            "gold_rule": gold_rule,
            "images": pictures,
            "image_id": _storable(image_id) or "|".join(pictures) or f"item {item_id}",
            "asked": asked,
        }

    def completion(
        self,
        item_id: str,
        text: str | None,
        *,
        stored: bool | None = None,
        answer: str | None = None,
        greedy: bool | None = None,
        temperature: float | None = None,
        step: int = NO_STEP,
        sample_index: int | None = None,
        n_tokens: float | None = None,
        finish_reason: str | None = None,
        error: str | None = None,
        order: tuple[int, ...] | None = None,
    ) -> None:
        """Add a completion; without `sample_index` it is the next one of its item and step."""
        if greedy is None and temperature is not None:
            greedy = temperature == 0
        if sample_index is None:
            key = (item_id, step, greedy)
            sample_index = self._next[key]
            self._next[key] += 1
        add = self._completions
        add["item_id"].append(_storable(item_id))
        add["sample_index"].append(sample_index)
        add["step"].append(step)
        add["text"].append(text)
        add["answer"].append(_storable(answer))
        add["stored"].append(stored)
        add["greedy"].append(greedy)
        add["temperature"].append(math.nan if temperature is None else temperature)
        add["n_tokens"].append(math.nan if n_tokens is None else n_tokens)
        add["finish_reason"].append(_storable(finish_reason))
        add["error"].append(_storable(error))
        add["order"].append(order)

    def log(
        self,
        format: str,
        source: Any,
        *,
        dataset: str = "",
        model: str = "",
        notes: Sequence[str] = (),
        scorer: str = "",
        scorers: Sequence[str] = (),
    ) -> Log:
        """Put the log together; raises UserError where nothing was collected."""
        if not self._completions["item_id"]:
            raise UserError(f"{source} has no answers in it; the run may have ended before any")
        notes = [_storable(note) for note in notes]
        dataset, model, scorer = _storable(dataset), _storable(model), _storable(scorer)
        if count := len(self.unusable_golds):
            of = self.unusable_golds[0]
            notes.append(
                f"the gold answer of {count} items (first: {of}) is none of their options"
            )
        completions, items = _completions(self._completions, source), _items(self._items)
        notes += _settle_greedy(completions)
        lacks = lacking(completions, items, model)
        return Log(
            format, str(source), dataset, model, completions, items, lacks, notes, scorer,
            tuple(scorers),
        )  # fmt: skip


def _completions(columns: dict[str, list], source: Any) -> pd.DataFrame:
    frame = pd.DataFrame({name: pd.Series(of, dtype=object) for name, of in columns.items()})
    frame = frame.astype({"sample_index": np.int64, "step": np.int64})
    frame = frame.astype({"temperature": float, "n_tokens": float})
    for name in ("stored", "greedy"):
        frame[name] = frame[name].astype("boolean")
    texts = [_storable(text) for text in columns["text"]]
    frame["text"] = pd.Series(texts, dtype=object)  # a column of Python's own texts is read faster
    twice = frame.duplicated(["item_id", "step", "greedy", "sample_index"])
    if twice.any():
        row = frame[twice].iloc[0]
        raise UserError(
            f"{source}: sample {row.sample_index} of item {row.item_id} is there twice; "
            "the log is joined from copies: keep one"
        )
    return frame


def _settle_greedy(frame: pd.DataFrame) -> list[str]:
    """Several answers of an item at temperature 0: sampled where they differ, else one repeated."""
    greedy = frame.greedy.fillna(False).astype(bool)
    each = frame[greedy].groupby(["item_id", "step"], sort=False)
    if not greedy.any() or each.size().max() < 2:
        return []
    if each.text.nunique().max() < 2:
        return ["the log repeats each greedy answer; repeats are no samples"]
    frame.loc[greedy, "greedy"] = False
    return ["the log says temperature 0, yet samples of an item differ: they count as sampled"]


def _storable(text: Any) -> Any:
    """Replace half surrogates, which JSON may hold and no file can; what is no text stays."""
    if not isinstance(text, str) or text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")


def _items(items: dict[str, dict[str, Any]]) -> pd.DataFrame:
    lone = [one for one in items.values() if not one["options"]]
    golds = {answer for one in lone for answer in one["gold"]}
    for one in items.values():
        words = {normalise(answer) for answer in one["gold"]}
        if one["options"]:
            one["answer_format"] = "mcq"
        elif golds and golds <= set(LETTERS):
            one["answer_format"] = "letter"
        else:
            one["answer_format"] = "closed" if words and words <= set(YES_NO) else "open"
            if one["answer_format"] == "closed":
                one["n_options"] = len(YES_NO)
    return pd.DataFrame(list(items.values()), columns=ITEM_COLUMNS)


def lacking(completions: pd.DataFrame, items: pd.DataFrame, model: str) -> dict[str, str]:
    """Name what a log lacks, each with the sentence of LACKS; in part where only some items do."""
    told = completions.error.isna()
    kept = completions[told] if told.any() else completions
    share = {
        "texts": kept.text.isna(),
        "gold": items.gold.map(len) == 0,
        "options": items.n_options == 0,
        "verdicts": kept.stored.isna(),
        "images": items.images.map(len) == 0,
        "temperature": kept.temperature.isna(),
    }
    found = {}
    for name, absent in share.items():
        if absent.all():
            found[name] = LACKS[name]
        elif absent.any() and name in ("texts", "gold", "options"):
            found[f"{name} of some"] = (
                f"{LACKS[name]} for {int(absent.sum())} of {len(absent)}"
            )
    greedy = kept.greedy.fillna(False).astype(bool)
    if not greedy.any():
        found["greedy"] = LACKS["greedy"]
    if greedy.all():
        found["samples"] = LACKS["samples"]
    if not model:
        found["model"] = LACKS["model"]
    return found
