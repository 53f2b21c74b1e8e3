"""Items of the drawn world: a picture, a question that names its modality, and the right report.

    items = build_items(RULES_WORLD, "chest film", "test")
    items[0].question, items[0].gold    # "Report this chest film.", "ring left first small ..."
"""

from __future__ import annotations

import numpy as np

from medrl_core.data.drawn.captions import fact_numbers, gold_ids, seen_facts
from medrl_core.data.drawn.modalities import World
from medrl_core.data.drawn.pictures import draw
from medrl_core.data.drawn.world import FACTS, SPLITS, think_words, words
from medrl_core.data.items import Item
from medrl_core.errors import UserError

# Pictures of one seed and split; more items would use the pictures of the next.
MOST = 1_000_000


def question(modality: str) -> str:
    """What is asked about a picture of a modality."""
    return f"Report this {modality}."


def build_items(
    world: World, modality: str, split: str, *, n: int | None = None, seed: int = 0
) -> list[Item]:
    """Ask for the report of pictures of one modality.

    Arguments:
        world: the table of modalities.
        modality: its name there.
        split: `train`, `validation` or `test`: 960, 64 and 128 combinations of facts.
        n: number of items; None: each combination of the split once. Beyond that they come again,
            in another order and in other pictures.
        seed: of order and pictures; item i does not depend on n.

    Returns:
        The items: `gold` is the right report, `reading` what the reasoning should say, `label` the
        number of the fact that the item needs (0 with rules, the entry of a code book else).

    Raises:
        UserError: unknown modality or split, or a number out of range.
    """
    which = world.number(modality)
    if split not in SPLITS:
        raise UserError(f"split {split!r} is unknown: use one of {', '.join(SPLITS)}")
    n = len(SPLITS[split]) if n is None else n
    if not 0 <= n <= MOST or seed < 0:
        raise UserError(f"{n} items of seed {seed}: use 0 to {MOST} items and a seed of 0 or more")
    place = list(SPLITS).index(split)
    items: list[Item] = []
    while len(items) < n:
        rng = np.random.default_rng([seed, place, len(items)])
        facts = SPLITS[split][rng.permutation(len(SPLITS[split]))]
        numbers = np.full(len(facts), which)
        seen = seen_facts(world, numbers, facts, rng)
        reports = gold_ids(world, numbers, facts)
        needed = fact_numbers(world, numbers, facts)
        for k in range(min(len(facts), n - len(items))):
            i = len(items)
            image_id = f"drawn-{world.name}/{modality}/{split}/{seed}/{i}"
            picture = draw(modality, seen[k], (3 * seed + place) * MOST + i)
            items.append(
                Item(
                    item_id=f"{image_id}/report",
                    image_id=image_id,
                    images=(picture,),
                    dataset=f"drawn-{world.name}",
                    modality=modality,
                    question=question(modality),
                    options=None,
                    label_set=(),
                    gold=" ".join(words(reports[k])),
                    answer_format="report",
                    split=split,
                    label=int(needed[k]),
                    n_answers=len(FACTS),
                    reading=" ".join(think_words(facts[k])),
                )
            )
    return items
