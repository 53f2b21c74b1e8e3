"""Which models TRL's trainers can train: told by the configuration, before weights are loaded."""

from __future__ import annotations

from typing import Any

from medrl_core.errors import UserError


def check(config: Any, label: str) -> None:
    """Refuse a model that TRL would train wrongly or not at all.

    Arguments:
        config: of the model, from transformers.
        label: what the message calls the training.

    Raises:
        UserError: the model sees no pictures, looks at them by cross-attention, or attends to its
            prompt in both directions.
    """
    why = _reason(config)
    if why:
        raise UserError(
            f"{label}: a model of type {config.model_type} cannot be trained here: {why}; "
            "take another model, or evaluate this one"
        )


def _reason(config: Any) -> str | None:
    text = config.get_text_config()
    if getattr(config, "vision_config", None) is None:
        return "it sees no pictures"
    if getattr(text, "cross_attention_layers", None):
        return "it looks at pictures by cross-attention, whose mask TRL does not pass on"
    if getattr(text, "use_bidirectional_attention", None) is True:
        # TRL marks an answer's tokens as it marks a question's: an answer would see its own end.
        return "it reads its prompt in both directions, and TRL does not tell prompt from answer"
    return None
