"""Items: questions on images, with options or a label set and a gold answer."""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from medrl_core.errors import UserError

if TYPE_CHECKING:
    from medrl_core.data.images import ImageSet

ANSWER_FORMATS = ("open", "mcq")
LETTERS = string.ascii_uppercase

_QUESTIONS = (
    "What does this {modality} show?",
    "Which finding does this {modality} show?",
    "What is seen in this {modality}?",
)


@dataclass(frozen=True)
class Item:
    """One question on one image (or several), with its gold answer.

    Arguments:
        item_id: unique over all data sets, splits and answer formats.
        image_id: the same for all items that ask about the same image; intervals cluster by it.
        images: PIL images in RGB, in the order in which the prompt shows them; may be empty.
        dataset: name of the image set or benchmark.
        modality: imaging modality, as the question names it.
        question: the question without options.
        options: option texts in order A, B, C, ... or None for `open` and `report` items.
        label_set: all answers that the item's task knows; the guess floor of an `open` item
            counts them.
        gold: option letter for `mcq`, else the answer's text; the whole report for `report`.
        answer_format: `mcq`; `closed` where a set says that its answers are known without being
            listed (yes or no, classes); `report`: reasoning and answer stand in their tags, and all
            words of the answer must be right; else `open`.
        split: `train`, `val` or `test`.
        label: index of the class in the image set, None where there is none.
        synonyms: other spellings of an answer and the answer they stand for.
        n_answers: how many answers there are where they are too many to list; 0: see `label_set`.
        reading: the right reasoning of a `report` item, in picture terms; "" where there is none.
    """

    item_id: str
    image_id: str
    images: tuple[Image.Image, ...]
    dataset: str
    modality: str
    question: str
    options: tuple[str, ...] | None
    label_set: tuple[str, ...]
    gold: str
    answer_format: str
    split: str
    label: int | None = None
    synonyms: dict[str, str] = field(default_factory=dict)
    n_answers: int = 0
    reading: str = ""

    def __post_init__(self) -> None:
        if self.options and len(self.options) > len(LETTERS):
            raise UserError(
                f"{self.item_id} has {len(self.options)} options, at most {len(LETTERS)} have a "
                "letter: ask it as an open item with a label set"
            )

    @property
    def n_options(self) -> int:
        """Number of answers a guesser would choose among (options, or the label set)."""
        return len(self.options) if self.options else self.n_answers or len(self.label_set)

    @property
    def gold_text(self) -> str:
        """The gold answer as text, whatever the answer format."""
        return self.options[LETTERS.index(self.gold)] if self.options else self.gold


def some(items: list[Item], n: int | None, seed: int) -> list[Item]:
    """Draw at most n items, and keep their order; None takes all."""
    if n is None or n >= len(items):
        return items
    order = np.random.default_rng(seed).permutation(len(items))[:n]
    return [items[i] for i in sorted(order)]


def question_texts(modality: str) -> tuple[str, ...]:
    """All wordings of the question on an image of a modality."""
    return tuple(text.format(modality=modality) for text in _QUESTIONS)


def question_of(modality: str, index: int, answer_format: str, seed: int) -> str:
    """The question that `build_items` asks about image `index` of a split of a modality."""
    return _question(modality, _rng(index, answer_format, seed))


def _rng(index: int, answer_format: str, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, index, ANSWER_FORMATS.index(answer_format)])


def _question(modality: str, rng: np.random.Generator) -> str:
    texts = question_texts(modality)
    return texts[rng.integers(len(texts))]


def _draw_indices(image_set: ImageSet, split: str, n: int | None, seed: int) -> np.ndarray:
    """At most `n` image indices, as equal over classes as the split allows, in a seeded order."""
    labels = image_set.labels[split]
    rng = np.random.default_rng([seed, len(labels)])
    order = rng.permutation(len(labels))
    if n is None or n >= len(labels):
        return np.sort(order)
    # Rank of each image within its own class: taking the lowest ranks first balances classes.
    rank = np.zeros(len(labels), dtype=np.int64)
    for value in np.unique(labels[order]):
        members = order[labels[order] == value]
        rank[members] = np.arange(len(members))
    return np.sort(order[np.argsort(rank[order], kind="stable")][:n])


def build_items(
    image_set: ImageSet,
    split: str,
    answer_format: str = "open",
    *,
    n: int | None = None,
    max_options: int = 4,
    seed: int = 0,
) -> list[Item]:
    """Ask one question on each of `n` images of a split.

    Arguments:
        image_set: images and labels.
        split: `train`, `val` or `test`.
        answer_format: `open` asks for the class name, `mcq` for the letter of an option.
        n: number of items, as equal over classes as possible; None takes every image.
        max_options: most options of an `mcq` item, the gold one among them.
        seed: fixes the images drawn, the wording and the order of options; an item's wording and
            options depend on the image and the seed alone, not on `n`.

    Returns:
        The items, in the order of the images in the split.

    Raises:
        UserError: unknown split or answer format, or a multi-label set with `mcq` or `open`.
    """
    if answer_format not in ANSWER_FORMATS:
        raise UserError(
            f"answer_format {answer_format!r} is unknown: use one of {', '.join(ANSWER_FORMATS)}"
        )
    if not 2 <= max_options <= len(LETTERS):
        raise UserError(f"max_options {max_options}: use 2 to {len(LETTERS)}, one a letter")
    if split not in image_set.labels:
        raise UserError(f"{image_set.name} has no split {split!r}: use train, val or test")
    if image_set.task == "multilabel":
        raise UserError(
            f"{image_set.name} is multi-label: an item needs one gold answer; probe it instead"
        )
    items = []
    for index in _draw_indices(image_set, split, n, seed):
        rng = _rng(int(index), answer_format, seed)
        label = int(image_set.labels[split][index])
        question = _question(image_set.modality, rng)
        gold = image_set.classes[label]
        options = None
        if answer_format == "mcq":
            others = [c for c in image_set.classes if c != gold]
            picked = rng.permutation(len(others))[: max_options - 1]
            shuffled = [gold, *(others[i] for i in picked)]
            options = tuple(shuffled[i] for i in rng.permutation(len(shuffled)))
            gold = LETTERS[options.index(gold)]
        image_id = f"{image_set.name}/{split}/{index}"
        items.append(
            Item(
                item_id=f"{image_id}/{answer_format}",
                image_id=image_id,
                images=(Image.fromarray(image_set.images[split][index]).convert("RGB"),),
                dataset=image_set.name,
                modality=image_set.modality,
                question=question,
                options=options,
                label_set=tuple(image_set.classes),
                gold=gold,
                answer_format=answer_format,
                split=split,
                label=label,
            )
        )
    return items
