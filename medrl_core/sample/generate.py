"""Completions by transformers' own `generate`, for models whose cache ours cannot share.

`decode.complete` calls it where it must; each completion is a row of its own.
`pytest tests/sample/test_decode.py` runs the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)


class _Chosen(LogitsProcessor):
    """`choose` inside transformers' `generate`: of a row's next tokens it leaves one.

    Arguments: as of `decode.complete`; `completions` rows.
    """

    def __init__(self, completions: int, length: int, most: int, choose, eos_ids, device):
        self.length, self.choose = length, choose
        self.ends = torch.tensor(sorted(eos_ids), device=device)
        self.going = torch.ones(completions, dtype=torch.bool, device=device)
        self.tokens = torch.full((completions, most), -1, device=device)
        self.logprobs = torch.zeros(completions, dtype=torch.float64, device=device)

    def __call__(self, input_ids, scores):
        """Return scores of which only the chosen token's is above minus infinity."""
        step = input_ids.shape[1] - self.length
        rows = self.going.nonzero()[:, 0]
        chosen, logprob = self.choose(scores, rows, rows, step)
        self.tokens[rows, step] = chosen
        self.logprobs[rows] += logprob.double()
        self.going[rows] = ~torch.isin(chosen, self.ends)
        only = torch.full_like(scores, -torch.inf)
        return only.scatter_(-1, self.tokens[:, step, None].clamp(min=0), 0.0)


class _Ended(StoppingCriteria):
    """Ends the rows whose last token `_Chosen` found to be an end."""

    def __init__(self, ours: _Chosen):
        self.ours = ours

    def __call__(self, input_ids, scores, **kwargs):
        return ~self.ours.going


def by_generate(
    model: Any,
    inputs: dict[str, torch.Tensor],
    copies: int,
    max_new_tokens: int,
    choose: Callable[..., tuple[torch.Tensor, torch.Tensor]],
    eos_ids: Collection[int],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Do what `decode.complete` does for any model, each completion a row of its own.

    Arguments and returns: as of `decode.complete`.
    """
    items, length = inputs["input_ids"].shape
    device = inputs["input_ids"].device
    # Items of a batch have pictures of equal number and size, so equal parts of each tensor.
    rows = {
        name: x.unflatten(0, (items, -1)).repeat_interleave(copies, 0).flatten(0, 1)
        for name, x in inputs.items()
    }
    ours = _Chosen(items * copies, length, max_new_tokens, choose, eos_ids, device)
    before = model.generation_config
    # Else `generate` fills up with the model's own settings, such as a penalty of repetitions.
    model.generation_config = GenerationConfig()
    try:
        model.generate(
            **rows, do_sample=False, max_new_tokens=max_new_tokens, pad_token_id=0,
            logits_processor=LogitsProcessorList([ours]),
            stopping_criteria=StoppingCriteriaList([_Ended(ours)]),
        )
    finally:
        model.generation_config = before
    return ours.tokens, ours.logprobs
