"""What a set of items contains, before a model is asked: balance, floor, copies across splits.

`medrl data check SOURCE` prints `lines(read_items(SOURCE, split="all"))`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from medrl_core.data.items import Item
from medrl_core.data.pictures import difference_hash, picture_id
from medrl_core.errors import first_three

# Bits of 64 in which the difference hashes of two pictures alike to the eye differ at most.
ALIKE = 4
# Answers shown of each kind of question, the most frequent first.
SHOWN = 8


def floor(items: Sequence[Item]) -> float:
    """Acc@1 of who never looks at the picture and gives the best constant answer.

    Arguments: `items` of one answer format. For multiple choice that is the most frequent letter,
    or chance where options differ in number and chance is better; an open item has floor 0.
    """
    if not items:
        return float("nan")
    known = [item for item in items if item.n_options]
    most = max(Counter(item.gold for item in known).values(), default=0)
    return max(most, sum(1 / item.n_options for item in known)) / len(items)


def pictures_of(items: Sequence[Item]) -> dict[str, dict[str, tuple[str, int]]]:
    """Split to the id of each picture: an item that shows it, and its difference hash."""
    found: dict[str, dict[str, tuple[str, int]]] = defaultdict(dict)
    hashes: dict[str, int] = {}
    for item in items:
        for image in item.images:
            name = picture_id(image)
            if name not in hashes:
                hashes[name] = difference_hash(image)
            found[item.split].setdefault(name, (item.item_id, hashes[name]))
    return found


def across(items: Sequence[Item]) -> list[tuple[str, str, int]]:
    """Pairs of items of different splits whose pictures are equal or alike.

    Returns: the two item ids, and the bits in which the hashes differ; -1 for equal pictures.
    """
    pairs = []
    shown = pictures_of(items)
    for one, other in combinations(sorted(shown), 2):
        a, b = shown[one], shown[other]
        names, hashes = list(b), np.array([bits for _, bits in b.values()], dtype=np.uint64)
        for name, (item, bits) in a.items():
            apart = np.bitwise_count(hashes ^ np.uint64(bits))
            for i in np.flatnonzero(apart <= ALIKE):
                same = names[i] == name
                pairs.append((item, b[names[i]][0], -1 if same else int(apart[i])))
    return pairs


def lines(items: Sequence[Item]) -> Iterator[str]:
    """What `medrl data check` prints of items; each line is one finding."""
    splits = Counter(item.split for item in items)
    told = ", ".join(f"{split} {n}" for split, n in sorted(splits.items()))
    yield f"items: {len(items)} ({told}) of {', '.join(sorted({i.dataset for i in items}))}"
    kinds: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        kinds[item.answer_format].append(item)
    for kind, asked in sorted(kinds.items()):
        counts = Counter(item.gold for item in asked).most_common()
        shown = ", ".join(f"{gold} {n}" for gold, n in counts[:SHOWN])
        more = f", and {len(counts) - SHOWN} more" if len(counts) > SHOWN else ""
        classes = {item.label_set for item in asked if item.label is not None}
        named = f" of {len(classes.pop())} classes" if len(classes) == 1 else ""
        yield f"{kind}: {len(asked)} items{named}, guess floor {floor(asked):.1%}"
        yield f"  answers: {shown}{more}"
    pictures = {name for split in pictures_of(items).values() for name in split}
    without = sum(not item.images for item in items)
    yield f"pictures: {len(pictures)} different; {without} items have none"
    same = Counter((item.split, item.image_id, item.question, item.options) for item in items)
    twice = [key for key, n in same.items() if n > 1]
    yield f"questions asked twice about one picture: {len(twice)}"
    if len(splits) > 1:
        pairs = across(items)
        for title, found in (
            ("equal", [pair for pair in pairs if pair[2] < 0]),
            ("alike", [pair for pair in pairs if pair[2] >= 0]),
        ):
            shown = first_three([f"{a} and {b}" for a, b, _ in found])
            yield f"pictures {title} in two splits: {len(found)}" + (f" ({shown})" if found else "")
