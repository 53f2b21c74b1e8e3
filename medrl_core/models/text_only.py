"""Language models without eyes: a tokenizer in a processor's place, and items without pictures.

    model, processor = hub.load("a folder of a LlamaForCausalLM")
    items = seen_by(processor, items)   # the same questions, pictures left out
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from medrl_core.data.items import Item

# What is added to a model's name in rollouts and results.
BLIND = " (no pictures)"


class TextProcessor:
    """What sampling asks of a processor, by a tokenizer alone.

    A tokenizer without a chat template gets the question as plain text and a line break.

    Arguments:
        tokenizer: of the model.
    """

    image_processor = None

    def __init__(self, tokenizer: Any):
        self.tokenizer = tokenizer
        if tokenizer.pad_token is None:  # prompts of a batch have one length: it is never read
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)

    def apply_chat_template(self, messages: Sequence[dict], **options: Any) -> str:
        """Messages as the text of a prompt; parts that are no text are left out."""
        turns = [
            {
                "role": message["role"],
                "content": "".join(part.get("text", "") for part in message["content"]),
            }
            for message in messages
        ]
        if self.tokenizer.chat_template:
            return self.tokenizer.apply_chat_template(turns, **options)
        return "".join(f"{turn['content']}\n" for turn in turns)

    def __call__(self, text: list[str], images: Any = None, **options: Any) -> dict[str, Any]:
        """Tokens of prompts; a chat template has written its own special tokens."""
        special = not self.tokenizer.chat_template
        found = self.tokenizer(text, add_special_tokens=special, **options)
        return {name: found[name] for name in ("input_ids", "attention_mask")}

    def save_pretrained(self, folder: Any) -> None:
        """Write the tokenizer."""
        self.tokenizer.save_pretrained(folder)


def is_blind(processor: Any) -> bool:
    """Whether a model with this processor sees no pictures."""
    return isinstance(processor, TextProcessor)


def seen_by(processor: Any, items: Sequence[Item]) -> list[Item]:
    """The items as a model is asked them: without pictures where it sees none.

    Without its picture an item is another prompt, so no rollout of one counts for the other.
    """
    if not is_blind(processor):
        return list(items)
    return [dataclasses.replace(item, images=()) for item in items]


def name_of(processor: Any, name: str) -> str:
    """How rollouts and results name a model: one that sees no pictures is marked."""
    return name + BLIND if is_blind(processor) and not name.endswith(BLIND) else name
