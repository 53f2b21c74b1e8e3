"""Items as batches of model inputs: prompts of like length, images of equal size, no padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from medrl_core.data.items import Item
from medrl_core.data.prompts import messages
from medrl_core.errors import UserError

# Prompts and pixels held in memory at once.
ITEMS_ENCODED = 512
# Most rows decoded at once. A fixed number, so that free memory does not decide on last digits.
ROWS = 1024

Inputs = dict[str, torch.Tensor]
Asked = Sequence[tuple[str, Item]]


def _encoded(processor, asked: Asked, indices: list[int]) -> Inputs:
    """Prompt tokens and pixels of some (prompt, item) pairs."""
    images = [list(asked[i][1].images) for i in indices]
    try:
        return dict(
            processor(
                text=[asked[i][0] for i in indices],
                images=images if images[0] else None,
                padding=len(indices) > 1,
                return_tensors="pt",
            )
        )
    except ValueError as error:  # for example an image that is far longer than wide
        sizes = ", ".join(f"{image.width}x{image.height}" for image in images[0]) or "no image"
        raise UserError(
            f"the model's processor refuses item {asked[indices[0]][1].item_id} ({sizes}): "
            f"{str(error).splitlines()[0]}; leave the item out"
        ) from error


def _parts(
    processor, asked: Asked, indices: list[int], fit: Callable[[int], int]
) -> Iterator[tuple[list[int], Inputs]]:
    """Some (prompt, item) pairs, encoded without padding.

    The pairs have prompts of like length and images of equal size, so one part is the rule; it is
    halved where it would need padding or is too large.
    """
    inputs = _encoded(processor, asked, indices)
    too_large = len(indices) > fit(inputs["input_ids"].shape[1])
    if len(indices) > 1 and (too_large or not inputs["attention_mask"].all()):
        half = len(indices) // 2
        yield from _parts(processor, asked, indices[:half], fit)
        yield from _parts(processor, asked, indices[half:], fit)
    else:
        yield indices, inputs


def _joined(parts: list) -> tuple[list[int], Inputs]:
    """Several parts of equal shapes as one batch."""
    inputs = {name: torch.cat([inputs[name] for _, inputs in parts]) for name in parts[0][1]}
    return [i for found, _ in parts for i in found], inputs


def _planned(processor, asked: Asked, fit: Callable[[int], int]) -> Iterator:
    like: dict[tuple, list[int]] = {}
    for i, ids in enumerate(processor.tokenizer([prompt for prompt, _ in asked])["input_ids"]):
        like.setdefault((len(ids), *(image.size for image in asked[i][1].images)), []).append(i)
    equal: dict[tuple, list] = {}
    for (length, *_), indices in like.items():
        most = fit(length)
        for start in range(0, len(indices), most):
            for part in _parts(processor, asked, indices[start : start + most], fit):
                shapes = tuple(sorted((name, x.shape[1:]) for name, x in part[1].items()))
                equal.setdefault(shapes, []).append(part)
    # Images of many sizes make many parts; they are joined as far as a batch goes.
    for parts in equal.values():
        most = fit(parts[0][1]["input_ids"].shape[1])
        batch: list = []
        for part in parts:
            if batch and sum(len(indices) for indices, _ in [*batch, part]) > most:
                yield _joined(batch)
                batch = []
            batch.append(part)
        yield _joined(batch)


def _prompt(processor, item: Item) -> str:
    try:
        return processor.apply_chat_template(
            messages(item), tokenize=False, add_generation_prompt=True
        )
    except Exception as error:  # a template is a sandboxed program: it may raise anything
        why = " ".join(str(error).split())
        raise UserError(
            f"the model's chat template cannot be rendered ({why}): take another model"
        ) from error


def batches(
    processor,
    items: Sequence[Item],
    fit: Callable[[int], int],
    wanted: Sequence[bool] | None = None,
) -> Iterator[tuple[list[int], Inputs]]:
    """Indices of items and their inputs, of equal prompt length: no row needs padding.

    Arguments:
        processor: of the model; the generation prompt is always asked for.
        items: the items.
        fit: number of items that a batch may hold, given the tokens of a prompt.
        wanted: which items to give (None: all). Those left out have their place in the plan, so a
            batch of which none or all is wanted is the same whatever the others are.

    Raises:
        UserError: the processor refuses an item, or the model's chat template is refused.
    """
    asked = [(_prompt(processor, item), item) for item in items]
    for indices, inputs in _planned(processor, asked, fit):
        left = [i for i in indices if wanted is None or wanted[i]]
        if len(left) == len(indices):
            yield indices, inputs
        elif left:
            yield left, _encoded(processor, asked, left)
