"""Exact support of reports: the chance of the right report, with nothing but the reasoning drawn.

A report is one of 1,152, and a chance of one in a million cannot be counted in samples. So some
reasonings are sampled, and after each the right report is forced token by token; the mean
of its chances is unbiased for the chance p that a free sample is right (Rao and Blackwell).

    found = report_support(net, processor, items, thinks=16, seed=0)
    found.p             # (items,) chance that one sample is right
    found.forced        # (items,) the same after the right reasoning: which support lies in words
    found.slots         # (items, words) chance of each word of the report after the right ones
    found.think         # (items,) chance that the reasoning says what the image shows
"""

# Much of torch is partly untyped: strict would ask for a cast in every line.
# pyright: basic

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medrl_core.data.items import Item
from medrl_core.errors import UserError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, ProcessorMixin

THINK, END_THINK, ANSWER, END_ANSWER = "<think>", "</think>", "<answer>", "</answer>"
# Tokens that a reasoning may have beyond the right one's; a longer one counts as no answer.
ROOM = 4
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ReportSupport:
    """Chances of the right report, one row an item.

    Arguments:
        item_ids: (n,) the items.
        p: (n,) chance that one sample is right: the mean of `after` times the chance of the tag
            that opens the reasoning.
        after: (n, thinks) chance of the right report after each sampled reasoning.
        forced: (n,) chance of the right report after the right reasoning.
        think: (n,) chance of the right reasoning, its tags included.
        slots: (n, words) chance of each word of the report, after the right reasoning and the right
            words before it.
    """

    item_ids: tuple[str, ...]
    p: Floats
    after: Floats
    forced: Floats
    think: Floats
    slots: Floats


def report_support(
    net: PreTrainedModel,
    processor: ProcessorMixin,
    items: Sequence[Item],
    *,
    thinks: int = 16,
    seed: int = 0,
    temperature: float = 1.0,
) -> ReportSupport:
    """Give the chance that a sampled completion of each item is right.

    Arguments:
        net: an image-text-to-text model.
        processor: its processor; the four tags must each be one token.
        items: `report` items with the right reasoning in `reading`.
        thinks: reasonings drawn an item; 0 draws none and leaves `p` and `after` empty (NaN).
        seed: of the reasonings.
        temperature: of the softmax; nothing is cut off.

    Raises:
        UserError: an item is no report or has no reading, the reports or readings of the items
            differ in length, or a tag is not one token.
    """
    import torch

    from medrl_core.sample.batches import ITEMS_ENCODED, ROWS, batches
    from medrl_core.sample.decode import complete, items_that_fit
    from medrl_core.sample.sampling import uniforms

    scripts = _Scripts(processor.tokenizer, items)
    copies, most = thinks + 1, scripts.longest
    rows: list[dict[str, Any]] = [{} for _ in items]

    def fit(length: int) -> int:
        return max(1, min(ROWS // copies, items_that_fit(net, length, copies, most)))

    training = net.training
    net.eval()
    with torch.inference_mode():
        for first in range(0, len(items), ITEMS_ENCODED):
            chunk = list(items[first : first + ITEMS_ENCODED])
            for batch, inputs in batches(processor, chunk, fit):
                numbers = [first + i for i in batch]
                keys = [(items[i].item_id, k) for i in numbers for k in range(copies)]
                drawn = torch.from_numpy(np.stack([uniforms(seed, *key, most) for key in keys]))
                forcing = _Forcing(scripts, numbers, copies, drawn, temperature)
                complete(
                    net,
                    {name: x.to(net.device) for name, x in inputs.items()},
                    copies=copies,
                    max_new_tokens=most,
                    choose=forcing.choose,
                    eos_ids={_OVER},
                )
                for i, row in zip(numbers, forcing.rows(), strict=True):
                    rows[i] = row
    net.train(training)
    return ReportSupport(
        tuple(item.item_id for item in items),
        **{name: np.array([row[name] for row in rows]) for name in rows[0]},
    )


_OVER = -1  # a token that no model has: it ends a row here


class _Scripts:
    """The right reasoning and report of each item as tokens."""

    def __init__(self, tokenizer: Any, items: Sequence[Item]):
        import torch

        if not items:
            raise UserError("the support of no items was asked for: give at least one report item")
        for item in items:
            if item.answer_format != "report" or not item.reading:
                raise UserError(f"{item.item_id} is no report item with a reading")
        tags = [tokenizer(tag)["input_ids"] for tag in (THINK, END_THINK, ANSWER, END_ANSWER)]
        if any(len(ids) != 1 for ids in tags):
            raise UserError("a tag is more than one token of this model: add the tags as tokens")
        self.open_think, self.end_think, answer, end_answer = (ids[0] for ids in tags)
        end = tokenizer.eos_token_id
        # What a reasoning in the asked format cannot contain: another tag, or the end of the turn.
        self.breaks = torch.tensor([self.open_think, answer, end_answer, end])
        readings = tokenizer([f" {item.reading}" for item in items])["input_ids"]
        reports = tokenizer([f" {item.gold}" for item in items])["input_ids"]
        if len({len(ids) for ids in readings}) > 1 or len({len(ids) for ids in reports}) > 1:
            raise UserError("the readings or reports of the items differ in tokens: ask separately")
        self.readings = torch.tensor(readings)
        self.reports = torch.tensor([[answer, *ids, end_answer, end] for ids in reports])
        # Opening tag, reasoning, closing tag, report.
        self.thinks = self.readings.shape[1] + ROOM
        self.longest = 2 + self.thinks + self.reports.shape[1]


class _Forcing:
    """Chooses tokens for `complete`: an item's first copy says what is right, the others think.

    Arguments:
        scripts: of all items.
        numbers: of the items in this batch.
        copies: of each item.
        uniforms: (rows, steps) random numbers.
        temperature: of the softmax.
    """

    def __init__(
        self, scripts: _Scripts, numbers: Sequence[int], copies: int, uniforms: torch.Tensor,
        temperature: float,
    ):  # fmt: skip
        import torch

        self.scripts, self.copies, self.temperature = scripts, copies, temperature
        self.uniforms = uniforms
        which = torch.tensor(numbers).repeat_interleave(copies)
        self.readings, self.reports = scripts.readings[which], scripts.reports[which]
        n = len(which)
        self.right = torch.arange(n) % copies == 0
        self.ended = torch.full((n,), scripts.longest)  # step of the closing tag; not yet: never
        self.logp_open = torch.zeros(n, dtype=torch.float64)
        self.logp_reading = torch.zeros(n, dtype=torch.float64)
        self.logp_report = torch.zeros(self.reports.shape, dtype=torch.float64)
        self.said = torch.zeros(n, dtype=torch.long)  # tokens of the report that were forced

    def choose(
        self, scores: torch.Tensor, history: torch.Tensor, completion: torch.Tensor, step: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As `sampling.Chooser.choose`."""
        import torch

        logps = (scores.float() / self.temperature).log_softmax(-1).cpu()
        history, completion = history.cpu(), completion.cpu()
        ended = self.ended[completion]
        thinking, reporting = ended >= step, ended < step
        token = torch.full_like(completion, _OVER)
        reading = self.scripts.readings.shape[1]
        if step == 0:
            token[:] = self.scripts.open_think
        else:
            right = thinking & self.right[completion]
            script = self.readings[completion, min(step, reading) - 1]
            if step > reading:
                script = torch.full_like(script, self.scripts.end_think)
            token[right] = script[right]
            free = thinking & ~self.right[completion]
            if free.any():
                cumulative = logps.exp().cumsum(-1)[history[free]]
                point = self.uniforms[completion[free], step][:, None] * cumulative[:, -1:]
                token[free] = torch.searchsorted(cumulative, point, right=True)[:, 0]
                token[free & self._broken(token, step)] = _OVER
        place = (step - 1 - ended).clamp(0, self.reports.shape[1] - 1)
        left = reporting & (step - 1 - ended < self.reports.shape[1])
        token[left] = self.reports[completion, place][left]
        chance = logps[history, token.clamp(min=0)].double()
        rows = completion[thinking]
        (self.logp_open if step == 0 else self.logp_reading)[rows] += chance[thinking]
        self.logp_report[completion[left], place[left]] = chance[left]
        self.said[completion[left]] += 1
        closing = completion[thinking & (token == self.scripts.end_think)]
        self.ended[closing] = step
        return token.to(scores.device), chance.to(scores.device)

    def _broken(self, token: torch.Tensor, step: int) -> torch.Tensor:
        """Whether a sampled token takes a reasoning out of the format: no report follows."""
        import torch

        too_long = step > self.scripts.thinks + 1
        empty = (token == self.scripts.end_think) & (step == 1)
        return torch.isin(token, self.scripts.breaks) | empty | too_long

    def rows(self) -> list[dict[str, Any]]:
        """The chances of each item, by the names of `ReportSupport`'s fields."""
        whole = self.said == self.reports.shape[1]
        report = self.logp_report.sum(1).exp() * whole
        found: list[dict[str, Any]] = []
        for first in range(0, len(whole), self.copies):
            opening = self.logp_open[first].exp().item()
            after = report[first + 1 : first + self.copies].numpy()
            found.append(
                {
                    "p": opening * after.mean() if len(after) else np.nan,
                    "after": after,
                    "forced": report[first].item(),
                    "think": opening * self.logp_reading[first].exp().item(),
                    "slots": self.logp_report[first, 1:-2].exp().numpy(),
                }
            )
        return found
