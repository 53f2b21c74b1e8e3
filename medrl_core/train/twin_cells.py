"""The recorded grids of the twin as tables of cells: which trainings, with which settings.

    >>> sum(1 for _ in cells("law"))
    390
    >>> next(cells("law")).modality
    'knee film'

`medrl_core.train.twin_grid` runs them. Run its test: `pytest tests/train/test_twin_grid.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product

from medrl_core.data.drawn.modalities import BOOKS_WORLD, RULES_WORLD
from medrl_core.errors import UserError

BASE_SEEDS = (11, 12)
# The claims fix both: laws are fitted to the first seeds, and held against the second.
SEEDS = tuple(range(100, 108))
HELD_OUT_SEEDS = tuple(range(200, 205))


@dataclass(frozen=True)
class Cell:
    """One training.

    Arguments:
        grid: the table it belongs to.
        world, base, modality: which base (its seed) is trained on what.
        arm: a key of `ARMS` of `medrl_core.train.twin_grid`, as in `medrl_core.train.arms`.
        seed: of the training.
        completions, labels: the budget of RL and of SFT.
        kl, learning_rate, prompts, group, objective, mixed: as `Rl`.
        bonus: of the consistency bonus.
        first: another modality, which a curriculum begins with, or off-target labels come from.
        enough: stop at this Acc@1; 2 never stops.
    """

    grid: str
    world: str
    base: int
    modality: str
    arm: str
    seed: int
    completions: int = 4096
    labels: int = 0
    kl: float = 0.01
    learning_rate: float = 3e-4
    prompts: int = 8
    group: int = 8
    objective: str = "grpo"
    mixed: float = 0.0
    bonus: float = 0.0
    first: str = ""
    enough: float = 2.0

    @property
    def key(self) -> str:
        """What tells this cell from every other."""
        return json.dumps(asdict(self), sort_keys=True)


HABITS = tuple(one.name for one in RULES_WORLD.modalities if one.causes == ("habit",))
BOOKS = tuple(one.name for one in BOOKS_WORLD.modalities if one.cause == "habit")
LABELS = (4, 16, 64, 256)
# Where arms are compared: known, seven levels of habit, words, sight, loose reasoning.
LEVELS = (
    "skin photo", "chest film", "brain MRI", "thyroid scan", "cardiac echo", "liver ultrasound",
    "PET scan", "tissue slide", "endoscopy", "blood smear", "breast ultrasound", "lung CT",
)  # fmt: skip
BOOK_LEVELS = ("brain MRI", "mammogram", "blood smear", "cytology smear")


def cells(grid: str) -> Iterator[Cell]:
    """Give the cells of a grid.

    Raises: UserError: there is no such grid.
    """
    if grid not in GRIDS:
        raise UserError(f"there is no grid {grid!r}: use one of {', '.join(GRIDS)}")
    yield from GRIDS[grid]()


def _law() -> Iterator[Cell]:
    """Take-off over five decades of p; seeds to fit the law to, and seeds to hold it against."""
    names = (*HABITS, "tissue slide")
    for seed, base, modality in product((*SEEDS, *HELD_OUT_SEEDS), BASE_SEEDS, names):
        yield Cell("law", "rules", base, modality, "rl", seed, 16384, enough=0.95)


def _law_without_kl() -> Iterator[Cell]:
    """The same without KL, where runs are trapped in constant words."""
    for cell in _law():
        yield replace(cell, grid="law without KL", kl=0.0)


def _facts() -> Iterator[Cell]:
    """Take-off of each fact of a code book."""
    for seed, base, modality in product((*SEEDS[:5], *HELD_OUT_SEEDS), BASE_SEEDS, BOOKS):
        yield Cell("facts", "books", base, modality, "rl", seed, 16384, enough=0.95)


def _map() -> Iterator[Cell]:
    """SFT, RL and both, by support and labels; RL alone at equal sequences too."""
    places = [("rules", name) for name in LEVELS] + [("books", name) for name in BOOK_LEVELS]
    for seed, base, (world, modality) in product(SEEDS[:5], BASE_SEEDS, places):
        cell = Cell("map", world, base, modality, "rl", seed)
        yield cell
        # As many labels as gold answers that RL of 4,096 completions reads.
        yield replace(cell, arm="sft", completions=0, labels=512)
        for labels in LABELS:
            yield replace(cell, arm="sft", completions=0, labels=labels)
            yield replace(cell, arm="sft_rl", labels=labels)
            yield replace(cell, completions=8 * labels // 64 * 64 or 64)


def _labels() -> Iterator[Cell]:
    """Labels of mixed convention, off target, and shuffled."""
    for seed, base, modality in product(SEEDS[:5], BASE_SEEDS, ("chest film", "cardiac echo")):
        cell = Cell("labels", "rules", base, modality, "sft", seed, 0, 256)
        yield replace(cell, arm="shuffled")
        for first in ("head CT", "fundus photo"):
            yield replace(cell, first=first)
        for mixed in (0.2, 0.4):
            yield replace(cell, mixed=mixed)
            yield replace(cell, arm="rl", completions=4096, labels=0, mixed=mixed)
            yield replace(cell, arm="sft_rl", completions=4096, mixed=mixed)


def _controls() -> Iterator[Cell]:
    """What moves without a true reward, and the null of measuring twice."""
    names = ("chest film", "brain MRI", "cardiac echo", "liver ultrasound", "blood smear",
             "breast ultrasound")  # fmt: skip
    for seed, base, modality in product(SEEDS[:5], BASE_SEEDS, names):
        cell = Cell("controls", "rules", base, modality, "rl", seed)
        for arm in ("rl", "coin", "format", "rft"):
            yield replace(cell, arm=arm)
        yield replace(cell, arm="wrong", mixed=1.0)
        yield replace(cell, arm="rate0", learning_rate=0.0)
        yield replace(cell, arm="base", completions=0)


def _transfer() -> Iterator[Cell]:
    """What training one modality does to all others, by the weight of KL."""
    names = ("chest film", "angiogram", "fundus photo")
    for seed, base, modality in product(SEEDS[:5], BASE_SEEDS, names):
        cell = Cell("transfer", "rules", base, modality, "rl", seed)
        yield replace(cell, arm="sft", completions=0, labels=256)
        for kl in (0.0, 0.01, 0.05):
            yield replace(cell, kl=kl)


def _curricula() -> Iterator[Cell]:
    """RL on a supported modality first, against the same completions at once."""
    for seed, base, modality in product(SEEDS, BASE_SEEDS, ("liver ultrasound", "PET scan")):
        cell = Cell("curricula", "rules", base, modality, "rl", seed, 12288)
        yield cell
        yield replace(cell, arm="curriculum", first="angiogram")


def _care() -> Iterator[Cell]:
    """The consistency bonus where reasoning is loose, and where it is not."""
    for seed, base, modality in product(SEEDS[:5], BASE_SEEDS, ("lung CT", "chest film")):
        cell = Cell("care", "rules", base, modality, "rl", seed)
        yield cell
        for bonus in (0.1, 0.5):
            yield replace(cell, arm="care", objective="care", bonus=bonus)


def _settings() -> Iterator[Cell]:
    """Objectives, group sizes and learning rates at two levels of support."""
    for seed, base, modality in product(SEEDS[:5], BASE_SEEDS, ("brain MRI", "cardiac echo")):
        cell = Cell("settings", "rules", base, modality, "rl", seed, 8192)
        for objective in ("grpo", "dr_grpo", "dapo", "rloo", "passk"):
            yield replace(cell, objective=objective)
        for prompts, group in ((16, 4), (4, 16), (2, 8)):
            yield replace(cell, prompts=prompts, group=group)
        for rate in (1e-4, 1e-3):
            yield replace(cell, learning_rate=rate)


GRIDS = {
    "law": _law, "map": _map, "controls": _controls, "facts": _facts, "transfer": _transfer,
    "labels": _labels, "curricula": _curricula, "care": _care, "settings": _settings,
    "law without KL": _law_without_kl,
}  # fmt: skip
