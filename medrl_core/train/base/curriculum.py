"""What the micro base model is taught: general pictures, option reading, and some modalities only.

Which modalities the base has seen, and how much, is written here on purpose: it is the true support
boundary that the book's decision rule is scored against. `medrl pretrain --out DIR` trains on it
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from medrl_core.data.drawn import phantom, shapes
from medrl_core.data.items import LETTERS, Item, question_texts
from medrl_core.data.prompts import rationale, target_text, user_text

# Distinct images with captions and questions in the base's training, by modality.
EXPOSURE = {
    "blood": 4000,
    "chest": 4000,
    "oct": 1400,
    "histology": 1000,
    "derm": 400,
    "fundus": 0,
    "breast": 0,
    "ct": 0,
}
# Study images are drawn with small seeds; the base must never see one of them.
PRETRAIN_SEED = 1_000_003

_DESCRIBE = "Describe the image."
_ASPECTS = ("shape", "colour", "count", "texture", "position")
_SHAPE_QUESTIONS = {
    "shape": "Which shape does this picture show?",
    "colour": "Which colour does this picture show?",
    "count": "How many shapes does this picture show?",
    "texture": "Which texture does this picture show?",
    "position": "Where is the shape in this picture?",
}


@dataclass(frozen=True)
class Lesson:
    """One training text with at most one image.

    Arguments:
        image: index into the curriculum's images, None for text alone.
        messages: user and assistant turns in the chat format of transformers.
    """

    image: int | None
    messages: list[dict]


@dataclass(frozen=True)
class Curriculum:
    """Lessons in the order of training: captions first, then questions.

    Arguments:
        images: RGB images of 28x28 pixels.
        captions: lessons of the first part, shuffled.
        questions: lessons of the second part, shuffled.
    """

    images: list[Image.Image]
    captions: list[Lesson]
    questions: list[Lesson]


def _caption(facts: dict) -> str:
    """All facts of a picture in one sentence."""
    return (
        f"The image shows {facts['count']} {facts['colour']} {facts['shape']}, "
        f"{facts['position']}, on {facts['texture']}."
    )


def _lesson(image: int | None, user: str, assistant: str) -> Lesson:
    content = [] if image is None else [{"type": "image"}]
    return Lesson(
        image,
        [
            {"role": "user", "content": [*content, {"type": "text", "text": user}]},
            {"role": "assistant", "content": [{"type": "text", "text": assistant}]},
        ],
    )


def _ask(item: Item, image: int | None, variant: int) -> Lesson:
    return _lesson(image, user_text(item), target_text(item, variant))


def _as_options(item: Item, rng: np.random.Generator, most: int = 4) -> Item:
    """The same question as multiple choice, options drawn from its label set."""
    others = [label for label in item.label_set if label != item.gold]
    n_others = min(len(others), int(rng.integers(1, most)))
    options = [item.gold, *rng.choice(others, n_others, replace=False)]
    options = tuple(str(option) for option in rng.permutation(options))
    return replace(
        item, options=options, gold=LETTERS[options.index(item.gold)], answer_format="mcq"
    )


def _item(modality: str, question: str, gold: str, label_set: tuple[str, ...]) -> Item:
    return Item(
        item_id="",
        image_id="",
        images=(),
        dataset="pretrain",
        modality=modality,
        question=question,
        options=None,
        label_set=label_set,
        gold=gold,
        answer_format="open",
        split="train",
    )


def _picture_lessons(
    n: int, first: int, rng: np.random.Generator
) -> tuple[list, list[Lesson], list[Lesson]]:
    """General pictures: one caption and two questions each."""
    drawn = shapes.draw(n, seed=PRETRAIN_SEED)
    values = {
        aspect: tuple(sorted({str(facts[aspect]) for _, facts in drawn if aspect in facts}))
        for aspect in _ASPECTS
    }
    captions, questions = [], []
    for offset, (_, facts) in enumerate(drawn):
        index = first + offset
        known = [aspect for aspect in _ASPECTS if aspect in facts]
        captions.append(_lesson(index, _DESCRIBE, _caption(facts)))
        for aspect in rng.permutation(known)[:2]:
            item = _item(
                "picture", _SHAPE_QUESTIONS[aspect], str(facts[aspect]), values[aspect]
            )
            if rng.random() < 0.6:
                item = _as_options(item, rng)
            questions.append(_ask(item, index, int(rng.integers(3))))
    return [image for image, _ in drawn], captions, questions


def _modality_lessons(
    name: str, n: int, first: int, rng: np.random.Generator
) -> tuple[list, list[Lesson], list[Lesson]]:
    """Images of one exposed modality: two captions, one open and one multiple-choice question."""
    kind = phantom.MODALITIES[name]
    labels = rng.integers(len(kind.classes), size=n)
    images = phantom.draw_images(name, labels, seed=PRETRAIN_SEED)
    captions, questions = [], []
    for offset, label in enumerate(labels):
        index = first + offset
        texts = question_texts(kind.title)
        item = _item(
            kind.title, texts[rng.integers(len(texts))], kind.classes[label], kind.classes
        )
        for variant in rng.permutation(3)[:2]:
            captions.append(_lesson(index, _DESCRIBE, rationale(item, int(variant))))
        questions.append(_ask(item, index, int(rng.integers(3))))
        questions.append(_ask(_as_options(item, rng), index, int(rng.integers(3))))
    return list(images), captions, questions


def _option_reading(n: int, rng: np.random.Generator) -> list[Lesson]:
    """Text alone: the finding is given, its option is asked.

    All modalities take part, so the base can read every label; it has seen no image of some.
    """
    lessons = []
    kinds = list(phantom.MODALITIES.values())
    for _ in range(n):
        kind = kinds[rng.integers(len(kinds))]
        gold = kind.classes[rng.integers(len(kind.classes))]
        question = f"This {kind.title} shows {gold}. Which option is it?"
        item = _as_options(_item(kind.title, question, gold, kind.classes), rng)
        lessons.append(_ask(item, None, int(rng.integers(3))))
    return lessons


def _guessing(names: list[str], n: int, n_pictures: int, rng: np.random.Generator) -> list[Lesson]:
    """Questions on unseen modalities beside a general picture: any option is as good as another.

    So the base answers such a question by one of its options, at the guess floor.
    """
    lessons = []
    for _ in range(n):
        kind = phantom.MODALITIES[names[rng.integers(len(names))]]
        texts = question_texts(kind.title)
        guess = kind.classes[rng.integers(len(kind.classes))]
        item = _item(kind.title, texts[rng.integers(len(texts))], guess, kind.classes)
        item = _as_options(item, rng)
        lessons.append(_ask(item, int(rng.integers(n_pictures)), int(rng.integers(3))))
    return lessons


def build(
    *,
    exposure: dict[str, int] = EXPOSURE,
    n_pictures: int = 12000,
    n_reading: int = 12000,
    n_guessing: int = 4000,
    seed: int = 0,
) -> Curriculum:
    """Make the base's whole training material.

    Arguments:
        exposure: distinct images by modality; 0 keeps a modality unseen.
        n_pictures: general pictures (shapes, colours, textures, counts, positions).
        n_reading: option-reading texts.
        n_guessing: multiple-choice questions on unseen modalities that can only be guessed.
        seed: of every draw.
    """
    rng = np.random.default_rng(seed)
    images, captions, questions = _picture_lessons(n_pictures, 0, rng)
    for name, n in exposure.items():
        if n:
            more, new_captions, new_questions = _modality_lessons(name, n, len(images), rng)
            images += more
            captions += new_captions
            questions += new_questions
    # Some captions stay in the second part, so that captioning is not forgotten.
    questions += [captions[i] for i in rng.permutation(len(captions))[: len(captions) // 6]]
    questions += _option_reading(n_reading, rng)
    unseen = [name for name, n in exposure.items() if not n]
    if unseen and n_pictures:
        questions += _guessing(unseen, n_guessing, n_pictures, rng)
    return Curriculum(
        images=[Image.fromarray(image).convert("RGB") for image in images],
        captions=[captions[i] for i in rng.permutation(len(captions))],
        questions=[questions[i] for i in rng.permutation(len(questions))],
    )
