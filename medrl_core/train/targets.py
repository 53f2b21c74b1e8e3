"""What SFT teaches for each item, read back by the evaluation's own reader before training.

`targets(items, seed=0)` gives one completion an item.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medrl_core.data.items import Item
from medrl_core.data.prompts import RATIONALES, target_text
from medrl_core.errors import UserError, first_three
from medrl_core.score.evaluate import parse_item
from medrl_core.score.parsing import is_correct


def reads_back(item: Item, text: str) -> bool:
    """Whether a completion of an item is read as its gold answer."""
    return is_correct(parse_item(text, item).answer, item.gold)


def target(item: Item, variant: int = 0) -> str | None:
    """The completion to teach: it names the option's text, or its letter where that is ambiguous.

    Arguments: `variant` wording of the rationale.
    Returns: None where neither is read as the gold answer.
    """
    answers = [item.gold_text, item.gold] if item.options else [item.gold_text]
    texts = (target_text(item, variant, answer) for answer in answers)
    return next((text for text in texts if reads_back(item, text)), None)


def unreadable(items: Sequence[Item]) -> list[str]:
    """The ids of items whose target is not read as their gold answer."""
    return [item.item_id for item in items if target(item) is None]


def targets(items: Sequence[Item], seed: int = 0) -> list[str]:
    """The completion that SFT teaches for each item.

    Arguments: `seed` of the wording of the rationales.
    Raises: UserError where a target is not read as the gold answer of its item.
    """
    variants = np.random.default_rng(seed).integers(len(RATIONALES), size=len(items))
    made = [target(item, int(variant)) for item, variant in zip(items, variants, strict=True)]
    lost = [item.item_id for item, text in zip(items, made, strict=True) if text is None]
    if lost:
        raise UserError(
            f"{len(lost)} of {len(items)} items have a gold answer that is not read back from the "
            f"text to be taught ({first_three(lost)}): reword or leave out these items"
        )
    return [text for text in made if text is not None]
