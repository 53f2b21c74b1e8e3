"""Labels that are not the truth: of mixed convention, shuffled, or all wrong; for SFT and controls.

    items = build_items(RULES_WORLD, "chest film", "train", n=64, seed=100)
    mixed(items, RULES_WORLD, share=0.2, seed=100)      # a fifth follows the habit, not the rule
    shuffled(items, seed=100)                           # each has another item's reading and report

Clean labels are the items themselves; off-target labels are items of another modality.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from medrl_core.data.drawn.captions import habit_ids
from medrl_core.data.drawn.modalities import World
from medrl_core.data.drawn.world import SEEN, Ids, words
from medrl_core.data.items import Item
from medrl_core.errors import UserError


def facts_of(items: Sequence[Item]) -> Ids:
    """The facts (n, 6) of items, from their readings."""
    return np.array(
        [
            [terms.index(word) for terms, word in zip(SEEN, item.reading.split(), strict=True)]
            for item in items
        ]
    ).reshape(-1, len(SEEN))


def mixed(items: Sequence[Item], world: World, share: float, seed: int) -> list[Item]:
    """Give a share of the items the report that habit prefers; a share of 1: all of them.

    Arguments:
        items: of the world.
        world: their table of modalities.
        share: chance of each item to get the wrong report.
        seed: of the draw.

    Returns:
        The items in their order; images, questions and readings are as they were.

    Raises:
        UserError: the share is not between 0 and 1.
    """
    if not 0 <= share <= 1:
        raise UserError(f"a share of {share} wrong labels: use 0 to 1")
    which = np.array([world.number(item.modality) for item in items], dtype=np.int64)
    wrong = habit_ids(world, which, facts_of(items)) if items else ()
    drawn = np.random.default_rng([seed, len(items)]).random(len(items)) < share
    return [
        replace(item, gold=" ".join(words(ids))) if hit else item
        for item, ids, hit in zip(items, wrong, drawn, strict=True)
    ]


def shuffled(items: Sequence[Item], seed: int) -> list[Item]:
    """Give each item the reading and the report of another one.

    Arguments: `items`, at least two; `seed` of the order.
    Raises: UserError for fewer than two items.
    """
    if len(items) < 2:
        raise UserError("labels of fewer than two items cannot be shuffled: give more items")
    order = np.random.default_rng([seed, len(items)]).permutation(len(items))
    givers = dict(zip(order.tolist(), np.roll(order, 1).tolist(), strict=True))
    return [
        replace(item, gold=items[givers[i]].gold, reading=items[givers[i]].reading)
        for i, item in enumerate(items)
    ]
