"""A small balanced multiple-choice subset to train on by RL, and a card that lists every count.

The steps of the recipe's PMC-VQA subset: leave out what a benchmark shows, what the start model
never or always solves, and balance the rest over answer letters and question types.
`medrl data subset --help` makes one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medrl_core.data import vqa
from medrl_core.data.items import Item
from medrl_core.errors import UserError

# By the first word that asks; what begins otherwise is "other".
_KINDS = {
    "what": "what", "which": "which", "where": "where", "how": "how", "who": "other",
    "when": "other", "why": "why",
    "is": "yes or no", "are": "yes or no", "was": "yes or no", "were": "yes or no",
    "does": "yes or no", "do": "yes or no", "did": "yes or no", "has": "yes or no",
}  # fmt: skip


@dataclass(frozen=True)
class Filter:
    """What is left out before balancing.

    Arguments: `drop_never`, `drop_always` items that the start model never or always solved;
    `excluded` ids of pictures that no chosen item may show.
    """

    drop_never: bool = True
    drop_always: bool = True
    excluded: Collection[str] = frozenset()


def kind_of(question: str) -> str:
    """The type of a question, by the first of its words that asks something."""
    for word in re.findall(r"[a-z]+", question.lower()):
        if word in _KINDS:
            return _KINDS[word]
    return "other"


def choose(
    items: Sequence[Item],
    n: int,
    passes: Mapping[str, tuple[int, int]] | None = None,
    filters: Filter | None = None,
    *,
    seed: int = 0,
) -> tuple[list[Item], dict[str, Any]]:
    """Choose at most n multiple-choice items, equal over letters and then over question types.

    Arguments:
        items: what is chosen from, in any order: the choice hangs on the seed and the items alone.
        n: items wanted.
        passes: item_id to how often the start model was right, and of how many samples; None
            leaves the difficulty out.
        filters: what is left out first.
        seed: of the choice within a letter and type.

    Returns:
        The items by item_id, and the card: every count on the way.

    Raises:
        UserError: nothing is left to choose from.
    """
    filters = filters or Filter()
    card: dict[str, Any] = {"read": len(items), "wanted": n, "seed": seed}
    left = [item for item in items if item.answer_format == "mcq"]
    card["no multiple choice"] = len(items) - len(left)
    clean = [item for item in left if not _pictures(item) & set(filters.excluded)]
    card["shows a picture of a benchmark"] = len(left) - len(clean)
    left = clean
    if passes is not None:
        known = [item for item in left if passes.get(item.item_id, (0, 0))[1] > 0]
        card["difficulty not measured"] = len(left) - len(known)
        never = {item.item_id for item in known if passes[item.item_id][0] == 0}
        always = {item.item_id for item in known if len(set(passes[item.item_id])) == 1}
        dropped = (never if filters.drop_never else set()) | (
            always if filters.drop_always else set()
        )
        card["never solved"], card["always solved"] = len(never), len(always)
        card["of these dropped"] = len(dropped)
        left = [item for item in known if item.item_id not in dropped]
    card["left to choose from"] = len(left)
    if not left:
        raise UserError(f"no item is left to choose from ({_told(card)}): loosen the filters")
    chosen = _balanced(left, n, seed)
    card["chosen"] = len(chosen)
    card["by letter"] = dict(sorted(Counter(item.gold for item in chosen).items()))
    card["by type"] = dict(sorted(Counter(kind_of(item.question) for item in chosen).items()))
    card["pictures"] = len({one for item in chosen for one in _pictures(item)})
    return chosen, card


def _told(card: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in card.items())


def _pictures(item: Item) -> set[str]:
    return {vqa.picture_id(image) for image in item.images}


def _balanced(items: Iterable[Item], n: int, seed: int) -> list[Item]:
    """Take one item at a time: of the letter taken least, then type, then both together."""

    def drawn(item: Item) -> str:
        return hashlib.sha256(f"{seed}|{item.item_id}".encode()).hexdigest()

    cells: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in sorted(items, key=drawn, reverse=True):
        cells[item.gold, kind_of(item.question)].append(item)
    letters: Counter = Counter()
    kinds: Counter = Counter()
    both: Counter = Counter()
    chosen = []
    while len(chosen) < n and cells:
        letter, kind = min(
            cells, key=lambda cell: (letters[cell[0]], kinds[cell[1]], both[cell], cell)
        )
        chosen.append(cells[letter, kind].pop())
        letters[letter] += 1
        kinds[kind] += 1
        both[letter, kind] += 1
        if not cells[letter, kind]:
            del cells[letter, kind]
    return sorted(chosen, key=lambda item: item.item_id)


def write(items: Sequence[Item], card: Mapping[str, Any], folder: Path) -> Path:
    """Write items as JSONL of the official kit's format, their pictures, and the card.

    Arguments: `items` of `choose`; `card` its counts; `folder`, which must not be there yet.
    Returns: the JSONL file; the folder is there whole or not at all.
    Raises: UserError where the folder is there already.
    """
    if folder.exists():
        raise UserError(f"{folder} is there already: name another folder")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _fill(items, card, partial)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder / "items.jsonl"


def _fill(items: Sequence[Item], card: Mapping[str, Any], partial: Path) -> None:
    (partial / "images").mkdir(parents=True)
    lines = []
    for item in items:
        paths = []
        for image in item.images:
            paths.append(f"images/{vqa.picture_id(image)}.png")
            if not (partial / paths[-1]).exists():
                image.save(partial / paths[-1])
        prefix = f"{item.dataset}/{item.split}/"
        line = {
            "dataset_name": item.dataset, "dataset_index": item.item_id.removeprefix(prefix),
            "image_paths": paths, "question": item.question,
        }  # fmt: skip
        if item.options:
            options = dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", item.options, strict=False))
            line |= {"options": options, "answer_label": item.gold}
        lines.append(json.dumps(line | {"answer": item.gold_text}, ensure_ascii=False))
    text = "\n".join(lines) + "\n"
    (partial / "items.jsonl").write_text(text, encoding="utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()
    kept = json.dumps({**card, vqa.SUM: digest}, indent=1)
    (partial / "card.json").write_text(kept + "\n", encoding="utf-8")
