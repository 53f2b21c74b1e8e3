"""Items as batches of model inputs: prompts of like length, images of equal size, no padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from medrl_core.data.items import Item
from medrl_core.data.prompts import messages
from medrl_core.errors import UserError

if TYPE_CHECKING:
    from transformers import ProcessorMixin

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
        inputs = dict(
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
    inputs.pop("labels", None)  # a few processors give some; with them a model takes a loss
    return inputs


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


def _planned(
    processor, asked: Asked, fit: Callable[[int], int], most_tokens: int | None
) -> Iterator:
    like: dict[tuple, list[int]] = {}
    for i, ids in enumerate(processor.tokenizer([prompt for prompt, _ in asked])["input_ids"]):
        like.setdefault((len(ids), *(image.size for image in asked[i][1].images)), []).append(i)
    equal: dict[tuple, list] = {}
    for (length, *_), indices in like.items():
        most = fit(length)
        for start in range(0, len(indices), most):
            for part in _parts(processor, asked, indices[start : start + most], fit):
                _check_length(asked[part[0][0]][1], part[1]["input_ids"].shape[1], most_tokens)
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


def room_for_prompt(model, max_new_tokens: int) -> int | None:
    """Tokens that a question may have beside its answer; None where the model names no limit."""
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return None if context is None else context - max_new_tokens


def check_lengths(processor, items: Sequence[Item], most_tokens: int | None) -> None:
    """Refuse questions whose text alone is too long, before any is sampled.

    Pictures are not encoded here; `batches` counts their tokens too, for ITEMS_ENCODED items
    before it gives the first batch.

    Raises: UserError with the number of tokens and the limit.
    """
    if most_tokens is not None and items:
        texts = processor.tokenizer([_prompt(processor, item) for item in items])["input_ids"]
        for item, ids in zip(items, texts, strict=True):
            _check_length(item, len(ids), most_tokens)


def _check_length(item: Item, length: int, most_tokens: int | None) -> None:
    if most_tokens is not None and length > most_tokens:
        raise UserError(
            f"item {item.item_id} has {length} tokens; the model's context leaves {most_tokens} "
            "beside max_new_tokens: lower max_new_tokens, make its pictures smaller or leave it out"
        )


def batches(
    processor: ProcessorMixin,
    items: Sequence[Item],
    fit: Callable[[int], int],
    wanted: Sequence[bool] | None = None,
    most_tokens: int | None = None,
) -> Iterator[tuple[list[int], Inputs]]:
    """Indices of items and their inputs, of equal prompt length: no row needs padding.

    Arguments:
        processor: of the model; the generation prompt is always asked for.
        items: the items.
        fit: number of items that a batch may hold, given the tokens of a prompt.
        wanted: which items to give (None: all). Those left out have their place in the plan, so a
            batch of which none or all is wanted is the same whatever the others are.
        most_tokens: that a question may have, pictures included (None: no limit).

    Raises:
        UserError: the processor refuses an item, the model's chat template is refused, or an item
            has more tokens than that.
    """
    asked = [(_prompt(processor, item), item) for item in items]
    for indices, inputs in _planned(processor, asked, fit, most_tokens):
        left = [i for i in indices if wanted is None or wanted[i]]
        if len(left) == len(indices):
            yield indices, inputs
        elif left:
            yield left, _encoded(processor, asked, left)
