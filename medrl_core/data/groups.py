"""Groups of items, named by one text each: what notebooks and studies ask.

    load("drawn:chest film", "test", n=128)          # a modality of the drawn world
    load("strips:bloodmnist:backward", "test")       # strips of real pictures under a convention
    load("medmnist:bloodmnist", "test", n=100)       # single pictures, the class as the answer
    load("vqa:VQA-RAD", "test", vqa_root="vqa")      # a benchmark
    load("mine/items.jsonl", "test")                 # the user's own items: see the page on them

A group is what one change of a model would fix: the law takes p over its items.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medrl_core.data.items import Item, build_items, some
from medrl_core.errors import UserError

SPLITS = ("train", "val", "test")
CAUSES = ("known", "habit", "words", "sight", "loose")  # of missing support, in drawn groups
KINDS = ("drawn", "books", "strips", "medmnist", "vqa")
# The drawn world spells the split out; everything else shortens it.
_DRAWN_SPLIT = {"val": "validation"}


def label(group: str) -> str:
    """Return the name of a group as a reader sees it: "chest film", "BloodMNIST, backward"."""
    if kind(group) == "own":
        return Path(group).stem
    first, _, rule = group.partition(":")[2].partition(":")
    if kind(group) in ("strips", "medmnist"):
        first = f"{first.removesuffix('mnist').capitalize()}MNIST"
    return f"{first}, {rule}" if rule else first


def kind(group: str) -> str:
    """Return what a group is of: one of `KINDS`, or "own" for the user's items."""
    first, _, name = group.partition(":")
    return first if name and first in KINDS else "own"


def modality(group: str):
    """Return the modality of a drawn group with its dials (`modalities.Modality`), else None."""
    from medrl_core.data.drawn.modalities import BOOKS_WORLD, RULES_WORLD

    worlds = {"drawn": RULES_WORLD, "books": BOOKS_WORLD}
    return worlds[kind(group)][group.partition(":")[2]] if kind(group) in worlds else None


def cause(group: str) -> str:
    """Return why support is missing in a drawn group: "known" if it is not; "" for other groups."""
    found = modality(group)
    return found.cause if found else ""


def is_exact(items: Sequence[Item]) -> bool:
    """Whether the chance of the right answer can be taken from the model itself, without samples.

    That is so where an answer is one of a known number of reports and the right reasoning is known.
    """
    return bool(items) and all(one.answer_format == "report" and one.reading for one in items)


def load(
    group: str,
    split: str,
    *,
    n: int | None = None,
    seed: int = 0,
    root: str | None = None,
    allow: Sequence[str] = (),
    vqa_root: str | None = None,
) -> list[Item]:
    """Return the items of a group.

    Arguments:
        group: as in the examples above.
        split: "train", "val" or "test".
        n: at most so many; None: all (of drawn pictures: each combination of facts once).
        seed: of the draw.
        root: folder of MedMNIST files; None takes $MEDMNIST_ROOT.
        allow: MedMNIST sets whose file need not have the official sum.
        vqa_root: folder of the benchmarks; None takes $VQA_ROOT.

    Raises:
        UserError: unknown group or split, or its data are not there.
    """
    if split not in SPLITS:
        raise UserError(f"split {split!r} is unknown: use one of {', '.join(SPLITS)}")
    if kind(group) == "own":
        return _own(group, split, n, seed)
    first, _, name = group.partition(":")
    if first in ("drawn", "books"):
        from medrl_core.data.drawn import items as drawn
        from medrl_core.data.drawn.modalities import BOOKS_WORLD, RULES_WORLD

        world = RULES_WORLD if first == "drawn" else BOOKS_WORLD
        return drawn.build_items(world, name, _DRAWN_SPLIT.get(split, split), n=n, seed=seed)
    if first == "strips":
        from medrl_core.data import strips

        dataset, _, rule = name.partition(":")
        return strips.build_items(dataset, rule, split, n=n, seed=seed, root=root, allow=allow)
    if first == "medmnist":
        from medrl_core.data import medmnist

        images = medmnist.load(name, root, allow=tuple(allow))
        return build_items(images, split, "open", n=n, seed=seed)
    from medrl_core.data import benchmarks

    if split == "test":
        found = benchmarks.load([name], vqa_root, n=n, seed=seed).get(name, [])
    else:
        found = some(benchmarks.training(name, vqa_root) if split == "train" else [], n, seed)
    if not found:
        raise UserError(f"{group}: its {split} items are not there: name its folder as vqa_root")
    return found


def _own(source: str, split: str, n: int | None, seed: int) -> list[Item]:
    from medrl_core.data import own, rows

    if not Path(source).exists() and not rows.PINNED.fullmatch(source):
        kinds = ", ".join(f"{one}:NAME" for one in KINDS)
        raise UserError(f"group {source!r} is no file or folder, and none of {kinds}")
    check_split(source, split)
    return some(own.read_items(source, split=split), n, seed)


def check_split(source: str, split: str) -> None:
    """Refuse a source of the user's own for training or validation that does not say which rows.

    Rows of no split are test items: else the same questions would teach and examine.

    Raises:
        UserError: no row is of the split, or some rows are of none.
    """
    from medrl_core.data import own, rows

    if split == "test" or rows.PINNED.fullmatch(own.read_about(source).source):
        return
    named = own.splits(source)
    if split not in named or "" in named:
        raise UserError(
            f"{source} does not say which of its items are for {split}: give each row a split "
            f"({', '.join(SPLITS)}), as a column or by its file or folder"
        )

