"""What a completion is and how it is drawn: read without torch by whoever scores.

`Decoding(temperature=0.7).name` is "temperature=0.7,top_p=1,top_k=0".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from medrl_core.data.items import Item
from medrl_core.errors import UserError

GREEDY = -1


@dataclass(frozen=True)
class Decoding:
    """How completions are drawn.

    Arguments:
        temperature: softmax temperature of the sampled completions, above 0.
        top_p: nucleus mass kept, in (0, 1].
        top_k: most likely tokens kept; 0 keeps all.
        max_new_tokens: longest completion in tokens.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = 40

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise UserError(f"temperature {self.temperature}: must be above 0 (greedy is separate)")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p {self.top_p}: must be above 0 and at most 1")
        if self.top_k < 0 or self.max_new_tokens < 1:
            raise UserError("top_k must be 0 or more and max_new_tokens 1 or more")

    @property
    def name(self) -> str:
        """The text that names this decoding in a rollout's key."""
        return f"temperature={self.temperature:g},top_p={self.top_p:g},top_k={self.top_k}"


class Completion(NamedTuple):
    """A completion before it is read: of which item and sample, and how it ended."""

    item: Item
    prompt_hash: str
    sample_index: int
    text: str
    n_tokens: int
    ended: bool
    logprob: float | None


def rollout_key(
    item: Item, prompt_hash: str, sample_index: int, decoding: Decoding, model_hash: str
) -> tuple[str, str, str, str, int]:
    """Return the key of one completion in the rollout store (see `rollouts.KEY`)."""
    name = "greedy" if sample_index == GREEDY else decoding.name
    return item.item_id, model_hash, prompt_hash, name, sample_index
