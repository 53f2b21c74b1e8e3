"""One row of a question as an item: its text, options, gold answers and pictures, each checked."""

from __future__ import annotations

import ast
import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from PIL import Image

from medrl_core.data.items import LETTERS, Item
from medrl_core.data.pictures import Bad

# Benchmark -> (its dataset_name in MedVLThinker-Eval, modality as a question names it).
BENCHMARKS = {
    "PMC-VQA": ("pmc_vqa", "medical figure"),
    "MMMU-medical": ("MMMU-medical", "medical image"),
    "MedXpertQA-MM": ("MedXpertQA-MM", "medical image"),
    "PathVQA": ("pathvqa_closed", "pathology image"),
    "SLAKE": ("slake_closed", "radiology image"),
    "VQA-RAD": ("vqa_rad_closed", "radiology image"),
}
YES_NO = ("yes", "no")
MODALITY = "medical image"
# An option's text is compared with the answer beside its letter without these.
_EDGES = re.compile(r"^[\W_]+|[\W_]+$")


def text_of(value: Any) -> str | None:
    """A value of JSON or a table as text; None for what is empty: null, NaN, white space.

    A boolean answers a question: yes or no. 3.0 is "3", as a spreadsheet means it.
    Raises: Bad for lists, mappings and texts that no file could contain.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return YES_NO[not value]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, (str, int, float)):
        raise Bad(f"{str(value)[:40]!r} is neither text nor number")
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Bad("half a surrogate pair in the text") from error
    return " ".join(text.split()) or None


def _needed(row: Mapping[str, Any], field: str) -> str:
    try:
        text = text_of(row.get(field))
    except Bad as bad:
        raise Bad(f"{field}: {bad}") from bad
    if text is None:
        raise Bad(f"no {field}")
    return text


def literal(text: str) -> Any:
    """A list or mapping that a text has, as JSON or as Python writes it; runs no code."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return ast.literal_eval(text)


def options_of(row: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Option texts in order A, B, ...; None where there are none.

    They are given as a mapping of letters, a list, a text that has either, a text with "|" between
    them, or in columns A, B, C, ... Empty ones at the end are not counted.
    Raises: Bad for anything else.
    """
    value = row.get("options")
    if "options" not in row and "A" in row:
        value = {letter: row[letter] for letter in LETTERS if letter in row}
    if isinstance(value, float) and math.isnan(value):
        value = None
    if isinstance(value, str) and value.strip():
        try:
            value = literal(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
            if "|" not in value:
                raise Bad("options are a string that holds no dict or list, and no |") from error
            value = value.split("|")
    if value is None or value == "" or value == {} or value == []:
        return None
    if isinstance(value, Mapping):
        if list(value) != list(LETTERS[: len(value)]):
            raise Bad(f"options are lettered {str(list(value))[:80]}: need A, B, C, ...")
        value = list(value.values())
    if not isinstance(value, (list, tuple)):
        raise Bad("options are no dict or list of texts")
    texts = [text_of(one) for one in value]
    while texts and texts[-1] is None:
        texts.pop()
    if not texts:
        return None
    if None in texts:
        raise Bad(f"option {LETTERS[texts.index(None) % 26]} is empty, a later one is not")
    if not 2 <= len(texts) <= len(LETTERS):
        raise Bad(f"{len(texts)} options: need 2 to {len(LETTERS)}")
    return tuple(one for one in texts if one is not None)


def same(one: str, other: str) -> bool:
    """Whether two short texts differ in case, spaces, entities or punctuation around them alone.

    Numbers are compared as numbers, so a sign or a point counts.
    """
    one, other = (" ".join(html.unescape(text).casefold().split()) for text in (one, other))
    try:
        return float(one) == float(other)
    except ValueError:
        pass
    bare = [_EDGES.sub("", text) for text in (one, other)]
    signed = any(re.match(r"[-+<>≤≥±.]\s*\d", text) for text in (one, other))
    return one == other or (bare[0] == bare[1] != "" and not signed)


def _letter(text: str, n: int) -> str | None:
    """The letter of one of n options, written alone: "B", "(b)", "B."."""
    bare = text.strip(" ().:").upper()
    return bare if len(bare) == 1 and bare in LETTERS[:n] else None


def _gold_letter(row: Mapping[str, Any], options: Sequence[str]) -> str:
    """The gold option's letter; where letter and text are both given, they have to agree."""
    told = text_of(row.get("answer_label"))
    answer = text_of(row.get("answer"))
    if told is None and answer is None:
        raise Bad("no answer_label")
    fits = [LETTERS[i] for i, option in enumerate(options) if answer and same(answer, option)]
    if told is None:
        if len(fits) > 1:
            raise Bad(f"answer {answer!r} is option {' and '.join(fits)}: give answer_label")
        gold = fits[0] if fits else _letter(answer or "", len(options))
        if gold is None:
            raise Bad(f"answer {answer!r} is none of the {len(options)} options")
        return gold
    gold = _letter(told, len(options))
    if gold is None:
        raise Bad(f"answer_label {told!r} is no letter of {len(options)} options")
    if answer is not None and gold not in fits and _letter(answer or "", len(options)) != gold:
        raise Bad(f"answer {answer!r} is not option {gold} ({options[LETTERS.index(gold)]!r})")
    return gold


def _gold_texts(row: Mapping[str, Any]) -> list[str]:
    """The accepted answers of an item without options, the first one first."""
    value = row.get("answer")
    if isinstance(value, str) and value.strip().startswith("["):
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            value = literal(value.strip())
    several = value if isinstance(value, (list, tuple)) else [value]
    texts = [text_of(one) for one in several]
    golds = list(dict.fromkeys(text.lower() for text in texts if text is not None))
    if not golds:
        raise Bad("no answer")
    return golds


def _is_closed(row: Mapping[str, Any], gold: str) -> bool:
    """Whether a question is closed: as its set says, else where the answer is yes or no."""
    told = text_of(row.get("answer_type"))
    if told is None or told.upper() not in ("CLOSED", "OPEN"):
        return gold in YES_NO
    return told.upper() == "CLOSED"


def item_of(
    row: Mapping[str, Any],
    *,
    index: str,
    pictures: Sequence[tuple[str, Image.Image]],
    dataset: str,
    split: str,
    modality: str = MODALITY,
    classes: Sequence[str] = (),
) -> Item:
    """Build one item from a row in our columns (see `layouts`).

    Arguments:
        row: question, options, answer_label, answer, answer_type.
        index: of the row in its set; with set and split it names the item.
        pictures: ids and images, in the order in which the prompt shows them.
        dataset, split, modality: of the item.
        classes: all answers, where the questions share them.

    Raises:
        Bad: something is missing, or does not agree with something else.
    """
    question, options = _needed(row, "question"), options_of(row)
    synonyms: dict[str, str] = {}
    if options:
        gold, answer_format, labels = _gold_letter(row, options), "mcq", options
    else:
        gold, *others = _gold_texts(row)
        closed = _is_closed(row, gold)
        labels = YES_NO if closed and gold in YES_NO else ()
        if classes:
            known = [name for name in classes if same(name, gold)]
            if not known:
                raise Bad(f"answer {gold!r} is none of the {len(classes)} classes")
            gold, closed, labels = known[0], True, tuple(classes)
        synonyms = {other: gold for other in others}
        answer_format = "closed" if closed else "open"
    item_id = f"{dataset}/{split}/{index}"
    ids = "+".join(one for one, _ in pictures)
    return Item(
        item_id=item_id,
        image_id=f"{dataset}/{ids}" if ids else item_id,
        images=tuple(image for _, image in pictures),
        dataset=dataset,
        modality=modality,
        question=question,
        options=options,
        label_set=labels,
        gold=gold,
        answer_format=answer_format,
        split=split,
        label=list(classes).index(gold) if classes and not options else None,
        synonyms=synonyms,
    )
