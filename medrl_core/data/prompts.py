"""Prompts and SFT targets: the one place where an item becomes text."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from medrl_core.data.items import LETTERS, Item

if TYPE_CHECKING:
    from datasets import Dataset

FORMAT = "<think> ... </think><answer> ... </answer>"
_ASK = {
    "mcq": f"Think, then give the option: {FORMAT}",
    "open": f"Think, then give the name: {FORMAT}",
    # The drawn world's models know one way to answer, and a short prompt is a fast one.
    "report": "",
}
_RATIONALES = (
    "This {modality} shows {finding}.",
    "I see {finding}.",
    "The image shows {finding}.",
)


def user_text(item: Item) -> str:
    """The text of the user's turn: question, options if any, and how to answer."""
    lines = [item.question]
    if item.options:
        lines += [f"{LETTERS[i]}) {option}" for i, option in enumerate(item.options)]
    return "\n".join([*lines, _ASK[item.answer_format]]).rstrip("\n")


def messages(item: Item) -> list[dict]:
    """The user's turn in the chat format of transformers, without the images themselves.

    Returns:
        One message whose content has one `{"type": "image"}` for each image, then the text.
    """
    content = [{"type": "image"} for _ in item.images]
    return [{"role": "user", "content": [*content, {"type": "text", "text": user_text(item)}]}]


def rationale(item: Item, variant: int = 0) -> str:
    """One sentence that names the finding; the reasoning of an SFT target."""
    template = _RATIONALES[variant % len(_RATIONALES)]
    return template.format(modality=item.modality, finding=item.gold_text)


def target_text(item: Item, variant: int = 0) -> str:
    """The completion that SFT teaches: a rationale in think tags, the gold answer in answer tags.

    That of a `report` item is its reading and its report, as the drawn world's captions have them.

    The gold answer of an `mcq` item is its option's text: the parser takes it for the letter, and
    a tiny model learns to name an option long before it learns to look up its letter.

    Arguments:
        item: the item.
        variant: which wording of the rationale.
    """
    if item.answer_format == "report":
        return f"<think> {item.reading}</think><answer> {item.gold}</answer>"
    return f"<think>{rationale(item, variant)}</think><answer>{item.gold_text}</answer>"


def prompt_hash(item: Item) -> str:
    """First 16 hex digits of the SHA-256 over the prompt text and the pixels of the images."""
    digest = hashlib.sha256(user_text(item).encode())
    for image in item.images:
        digest.update(f"{image.mode}{image.size}".encode())
        digest.update(image.tobytes())
    return digest.hexdigest()[:16]


def to_dataset(items: Sequence[Item], *, with_targets: bool = False, seed: int = 0) -> Dataset:
    """Items as a Hugging Face data set in the form that TRL's trainers read.

    Arguments:
        items: what is asked.
        with_targets: add the `completion` that SFT teaches.
        seed: of the wording of the rationales.

    Returns:
        One row an item: `prompt` (chat messages as text), `images`, what the parser needs to score
        an answer (`gold`, `options`, `label_set`, `synonyms` as pairs, `answer_format`), and
        `item_id`.
    """
    import datasets
    import numpy as np

    variants = np.random.default_rng(seed).integers(len(_RATIONALES), size=len(items))
    columns: dict[str, list] = {
        "item_id": [item.item_id for item in items],
        "images": [list(item.images) for item in items],
        "prompt": [[{"role": "user", "content": user_text(item)}] for item in items],
        "gold": [item.gold for item in items],
        "options": [list(item.options) if item.options else None for item in items],
        "label_set": [list(item.label_set) for item in items],
        "synonyms": [[list(pair) for pair in item.synonyms.items()] for item in items],
        "answer_format": [item.answer_format for item in items],
    }
    if with_targets:
        columns["completion"] = [
            [{"role": "assistant", "content": target_text(item, int(variant))}]
            for item, variant in zip(items, variants, strict=True)
        ]
    turn = {"role": datasets.Value("string"), "content": datasets.Value("string")}
    features = datasets.Features(
        {
            "item_id": datasets.Value("string"),
            "images": datasets.List(datasets.Image()),
            "prompt": datasets.List(turn),
            "gold": datasets.Value("string"),
            "options": datasets.List(datasets.Value("string")),
            "label_set": datasets.List(datasets.Value("string")),
            "synonyms": datasets.List(datasets.List(datasets.Value("string"))),
            "answer_format": datasets.Value("string"),
            **({"completion": datasets.List(turn)} if with_targets else {}),
        }
    )
    return datasets.Dataset.from_dict(columns, features=features)
