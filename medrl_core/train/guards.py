"""What stops a training: a loss or reward that is not finite, no signal, no memory.

Mixed into TRL's trainers. Each stop is one line with the step; the batch is written beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from medrl_core.errors import UserError
from medrl_core.models.micro import TAG_TOKENS

# No group of study micro (40 steps) can stop by this; the official run takes about a thousand.
PATIENCE = 50


def _text(turns) -> str:
    """The text of the last turn; images are left out."""
    content = turns if isinstance(turns, str) else turns[-1]["content"]
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part["type"] == "text")


class Guarded:
    """Mixed in before a TRL trainer's class.

    Arguments:
        label: what the messages call the training.
        patience: steps in a row without signal after which training stops; 0: never.
        *args, **kwargs: as the trainer's.
    """

    def __init__(self, *args, label: str, patience: int = PATIENCE, **kwargs):
        super().__init__(*args, **kwargs)
        self._label, self._patience = label, patience
        self._batch: list[dict] = []
        self._silent, self._signal, self._learned = 0, False, False

    def training_step(self, model, inputs, num_items_in_batch=None):
        loss = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            if isinstance(inputs, Mapping) and "input_ids" in inputs:  # SFT: what was taught
                texts = self._tokenizer.batch_decode(inputs["input_ids"])
                self._batch = [{"text": text} for text in texts]
            self._stop("the loss is not finite: lower the learning rate")
        return loss

    def compute_loss(self, model, inputs, *args, **kwargs):
        if "advantages" in inputs:  # after every bonus
            self._signal |= bool(inputs["advantages"].abs().max() > 1e-6)
        return super().compute_loss(model, inputs, *args, **kwargs)

    def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):
        if self._batch and self.model.training:
            self._watch()
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        # Rewards are those of all processes, rows those of this one.
        first = self.accelerator.process_index * len(inputs)
        own = rewards[first : first + len(inputs)].tolist()
        rows = zip(inputs, prompts, completions, own, strict=True)
        self._batch = [
            {
                "item_id": row["item_id"], "prompt": _text(prompt), "completion": _text(completion),
                "rewards": dict(zip(self.reward_func_names, values, strict=True)),
            }
            for row, prompt, completion, values in rows
        ]  # fmt: skip
        if not torch.isfinite(rewards).all():
            # TRL would leave such a reward out of the sum and go on.
            self._stop("a reward is not finite: mend the reward function")
        # All right is no fault: nothing is left to learn, and nothing is spoilt by going on.
        self._learned = bool((rewards == 1).all())
        return rewards

    def _watch(self) -> None:
        """Count the batches in a row that moved nothing, once the last one is used up."""
        moved = self.accelerator.gather(
            torch.tensor([self._signal], device=self.accelerator.device)
        ).any()
        self._silent = 0 if moved or self._learned else self._silent + 1
        self._signal = False
        if self._patience and self._silent >= self._patience:
            self._stop(
                f"for {self._silent} steps no group's completions differed in reward, so nothing "
                f"is learned; likely: {'; or '.join(self._causes())}"
            )

    def _causes(self) -> Iterator[str]:
        """Likely causes of a reward without signal, from the last batch."""
        stripped = [tag for tag in TAG_TOKENS if tag not in self._decoded(tag)]
        if stripped:
            yield (
                f"{', '.join(stripped)} are special tokens, which decoding strips before the "
                "reward sees them: add them as ordinary tokens"
            )
        texts = [row["completion"] for row in self._batch]
        closed = sum("</answer>" in text for text in texts)
        if 2 * closed < len(texts) and not stripped:
            yield (
                f"{closed} of {len(texts)} completions close their answer tag: raise "
                "max_new_tokens, or begin with SFT"
            )
        if len(set(texts)) <= len(texts) // self.num_generations:
            yield "the completions of a group are all the same: raise the temperature"
        yield "the items are too hard for this model: begin with SFT"

    def _decoded(self, text: str) -> str:
        """A text as the reward would see it, had the model written it."""
        ids = self._tokenizer(text, add_special_tokens=False).input_ids
        return self._tokenizer.decode(ids, skip_special_tokens=True)

    def _stop(self, why: str) -> None:
        """Write the batch and raise."""
        step = self.state.global_step + 1
        name = "".join(sign if sign.isalnum() else "-" for sign in self._label)
        path = Path(self.args.output_dir) / f"stopped-{name}-step-{step}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in self._batch))
        raise UserError(f"{self._label}, step {step}: {why}. The batch is in {path}")


@contextmanager
def memory(label: str, settings: Mapping[str, int]) -> Iterator[None]:
    """Turn running out of memory into one line that names what to lower.

    Arguments:
        label: what is trained.
        settings: names of the settings that memory hangs on most, with their present values.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        known = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not known and "can't allocate memory" not in str(error):
            raise
        named = " or ".join(f"{name} = {value}" for name, value in settings.items())
        raise UserError(f"{label}: out of memory; lower {named}") from None
