"""The recorded grids with pictures, in the order in which they run: first what every claim needs.

    >>> sum(1 for _ in cells())
    2486
    >>> next(cells()).modality
    'skin photo'

`medrl_core.train.drawn_grid` runs them; the same columns as the twin's (`twin_cells.Cell`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from medrl_core.data.drawn.modalities import RULES_WORLD
from medrl_core.train.twin_cells import BASE_SEEDS, LABELS, SEEDS, Cell

FIVE = SEEDS[:5]
HELD_OUT_SEEDS = tuple(range(200, 205))  # the law is held against them
ALL = tuple(one.name for one in RULES_WORLD.modalities)
HABITS = tuple(one.name for one in RULES_WORLD.modalities if one.causes == ("habit",))
# Where 4,096 completions are few: N p from 9 down to .004, and words.
WEAK = (
    "cardiac echo", "OCT scan", "dental film", "liver ultrasound", "mammogram", "PET scan",
    "tissue slide",
)  # fmt: skip
# Where arms are compared: habit at p .23, .011, .0025, 1.2e-4 and 1e-6, and words; then the others.
LEVELS = (
    "chest film", "thyroid scan", "cardiac echo", "liver ultrasound", "PET scan", "tissue slide",
)  # fmt: skip
MORE_LEVELS = (
    "skin photo", "brain MRI", "endoscopy", "blood smear", "breast ultrasound", "lung CT",
)  # fmt: skip
CONTROLLED = ("chest film", "brain MRI", "thyroid scan", "cardiac echo", "liver ultrasound")


@dataclass(frozen=True)
class DrawnCell(Cell):
    """One training with pictures.

    Arguments: as `twin_cells.Cell`; `train_vision`: False freezes the vision tower.
    """

    train_vision: bool = False


def _cell(grid: str, base: int, modality: str, seed: int, completions: int = 4096) -> DrawnCell:
    return DrawnCell(grid, "rules", base, modality, "rl", seed, completions)


def _law(base: int, seeds: tuple[int, ...], names: tuple[str, ...], n: int) -> Iterator[DrawnCell]:
    for seed, name in product(seeds, names):
        yield _cell("law", base, name, seed, n)


def _base(base: int) -> Iterator[DrawnCell]:
    """Every modality untrained, beside its rivals."""
    for name in ALL:
        yield replace(_cell("base", base, name, SEEDS[0], 0), arm="base")


def _controls(base: int) -> Iterator[DrawnCell]:
    """What moves without a true reward, and the null of measuring twice."""
    for seed, name in product(FIVE, CONTROLLED):
        cell = _cell("controls", base, name, seed)
        for arm in ("coin", "format"):
            yield replace(cell, arm=arm)
        yield replace(cell, arm="wrong", mixed=1.0)
        yield replace(cell, arm="rft")
        yield replace(cell, arm="rate0", learning_rate=0.0)
        yield replace(cell, arm="base", completions=0)


def _map(base: int, names: tuple[str, ...]) -> Iterator[DrawnCell]:
    """SFT, and SFT then RL, by support and labels; RL alone is in the grid of the law."""
    for seed, name in product(FIVE, names):
        cell = _cell("map", base, name, seed)
        for labels in LABELS:
            yield replace(cell, arm="sft", completions=0, labels=labels)
            yield replace(cell, arm="sft_rl", labels=labels)
        # As many labels as gold answers that RL of 4,096 completions reads, and shuffled ones.
        yield replace(cell, arm="sft", completions=0, labels=512)
        yield replace(cell, arm="shuffled", completions=0, labels=64)


def _transfer(base: int) -> Iterator[DrawnCell]:
    """What training one modality does to all others, by the weight of KL."""
    for seed, name in product(FIVE, ("chest film", "angiogram", "fundus photo")):
        cell = _cell("transfer", base, name, seed)
        yield cell
        yield replace(cell, arm="sft", completions=0, labels=256)
        for kl in (0.0, 0.05):
            yield replace(cell, kl=kl)


def _labels(base: int) -> Iterator[DrawnCell]:
    """Labels of mixed convention and off target."""
    for seed, name in product(FIVE, ("chest film", "cardiac echo")):
        cell = replace(_cell("labels", base, name, seed, 0), arm="sft", labels=256)
        for first in ("head CT", "fundus photo"):
            yield replace(cell, first=first)
        for mixed in (0.2, 0.4):
            yield replace(cell, mixed=mixed)
            yield replace(cell, arm="rl", completions=4096, labels=0, mixed=mixed)
            yield replace(cell, arm="sft_rl", completions=4096, mixed=mixed)


def _care(base: int) -> Iterator[DrawnCell]:
    """The consistency bonus where reasoning is loose, and where it is not."""
    for seed, name, bonus in product(FIVE, ("lung CT", "chest film"), (0.1, 0.5)):
        yield replace(_cell("care", base, name, seed), arm="care", objective="care", bonus=bonus)


def _curricula(base: int) -> Iterator[DrawnCell]:
    """RL on a supported modality first, against the same completions at once."""
    for seed, name in product(FIVE, ("liver ultrasound", "PET scan")):
        cell = _cell("curricula", base, name, seed, 12288)
        yield cell
        yield replace(cell, arm="curriculum", first="angiogram")


def _settings(base: int) -> Iterator[DrawnCell]:
    """Objectives, group sizes, learning rates and a tower that is trained, at two levels."""
    for seed, name in product(FIVE, ("brain MRI", "cardiac echo")):
        cell = _cell("settings", base, name, seed)
        for objective in ("dr_grpo", "dapo", "gspo", "rloo", "passk"):
            yield replace(cell, objective=objective)
        for prompts, group in ((16, 4), (4, 16)):
            yield replace(cell, prompts=prompts, group=group)
        for rate in (1e-4, 1e-3):
            yield replace(cell, learning_rate=rate)
        yield replace(cell, train_vision=True)


def _weak_labels(base: int) -> Iterator[DrawnCell]:
    """Right and shuffled labels wherever the base's p is under .01, habit or words."""
    for seed, name in product(FIVE, WEAK):
        cell = replace(_cell("map", base, name, seed, 0), arm="sft", labels=64)
        yield cell
        yield replace(cell, arm="shuffled")


def _decisive(first: int, second: int) -> Iterator[DrawnCell]:
    """What decides each claim, the cheapest first."""
    yield from (*_base(first), *_base(second))
    yield from _weak_labels(first)
    for seed, base in product(FIVE, (first, second)):
        yield from _law(base, (seed,), ALL, 4096)
    yield from (one for one in _controls(first) if one.arm in ("coin", "format", "wrong"))
    yield from (one for one in _map(first, LEVELS) if one.labels in (16, 512))
    yield from _law(first, HELD_OUT_SEEDS, HABITS, 4096)


def cells() -> Iterator[DrawnCell]:
    """Give all cells in the order in which they run."""
    first, second = BASE_SEEDS
    yield from dict.fromkeys((*_decisive(first, second), *_beyond(first, second)))


def _beyond(first: int, second: int) -> Iterator[DrawnCell]:
    """The rest: more labels, arms and seeds, and longer runs."""
    yield from _controls(first)
    yield from _map(first, LEVELS)
    yield from _transfer(first)
    yield from _map(first, MORE_LEVELS)
    yield from (replace(one, grid="law to 16,384") for one in _law(first, FIVE, WEAK, 16384))
    yield from _care(first)
    yield from _labels(first)
    yield from _controls(second)
    yield from _map(second, LEVELS)
    for cell in _law(first, FIVE, HABITS, 4096):
        yield replace(cell, grid="law without KL", kl=0.0)
    yield from _settings(first)
    yield from _curricula(first)
    yield from _transfer(second)
    yield from _law(second, HELD_OUT_SEEDS, HABITS, 4096)
    yield from _map(second, MORE_LEVELS)
    yield from (replace(one, grid="law to 16,384") for one in _law(second, FIVE, WEAK, 16384))
    yield from _law(first, SEEDS[5:], HABITS, 4096)
    yield from _law(second, SEEDS[5:], HABITS, 4096)
