"""Greedy and sampled completions of items, the prompt and images encoded once an item."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from transformers import (
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from medrl_core.data.items import Item
from medrl_core.data.prompts import prompt_hash
from medrl_core.errors import UserError
from medrl_core.sample.batches import ITEMS_ENCODED, ROWS, batches, check_lengths, room_for_prompt
from medrl_core.sample.completions import GREEDY, Completion, Decoding, rollout_key
from medrl_core.sample.decode import Groups, complete, items_that_fit

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin


def uniforms(seed: int, item_id: str, sample_index: int, n: int) -> np.ndarray:
    """The random numbers of one completion; they depend on nothing but its key."""
    key = hashlib.sha256(f"{seed}|{item_id}|{sample_index}".encode()).digest()
    philox = np.random.Philox(key=int.from_bytes(key[:16], "little"))
    numbers = np.random.Generator(philox).random(n)
    # Rounded to 1 in float32, a number would choose the last token of the vocabulary.
    return np.minimum(numbers.astype(np.float32), np.float32(1 - 2**-24))


class Chooser:
    """Chooses the next token of every completion.

    Greedy completions take the most likely token; the others invert the cumulative distribution at
    their own uniform number. So a completion does not depend on the ones beside it.

    Arguments:
        decoding: temperature and the like.
        uniforms: (completions, max_new_tokens) float32 in [0, 1).
        greedy: (completions,) bool.
    """

    def __init__(self, decoding: Decoding, uniforms: torch.Tensor, greedy: torch.Tensor):
        self.uniforms, self.greedy = uniforms, greedy
        self.temperature = decoding.temperature
        self.warpers = LogitsProcessorList([TemperatureLogitsWarper(float(decoding.temperature))])
        if decoding.top_k:
            self.warpers.append(TopKLogitsWarper(decoding.top_k))
        if decoding.top_p < 1:
            self.warpers.append(TopPLogitsWarper(decoding.top_p))

    def choose(self, scores, history, completion, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Choose one token for each completion that goes on.

        Arguments:
            scores: (histories, vocabulary) logits.
            history: (n,) row of `scores` of each completion, ascending.
            completion: (n,) which completions these are.
            step: number of tokens chosen before.

        Returns:
            Tokens (n,) and their log-probabilities (n,) at temperature 1, nothing cut off.
        """
        scores = scores.float()
        cumulative = self.warpers(cast(Any, None), scores).softmax(-1).cumsum(-1)
        if not torch.isfinite(cumulative[:, -1]).all():
            raise UserError(
                f"the model's scores are not finite at temperature {self.temperature:g}: its "
                "weights are damaged or overflow their type, or the temperature is too small"
            )
        groups = Groups(history, len(scores))
        point = groups.padded(self.uniforms[completion, step]) * cumulative[:, -1:]
        drawn = groups.flat(torch.searchsorted(cumulative, point, right=True))
        chosen = torch.where(self.greedy[completion], scores.argmax(-1)[history], drawn)
        return chosen, scores.log_softmax(-1)[history, chosen]


def eos_ids(model, tokenizer) -> list[int]:
    """Tokens that end a completion: the model's own, and the tokenizer's."""
    ids = model.generation_config.eos_token_id
    ids = ids if isinstance(ids, list) else [ids]
    return sorted({i for i in [*ids, tokenizer.eos_token_id] if i is not None})


def _generate(model, tokenizer, inputs, copies: int, decoding: Decoding, uniforms, greedy):
    """Tokens, log-probabilities and end tokens of `copies` completions of each prompt."""
    ends = eos_ids(model, tokenizer)
    chooser = Chooser(
        decoding,
        torch.as_tensor(uniforms, dtype=torch.float32, device=model.device),
        torch.as_tensor(greedy, device=model.device),
    )
    tokens, logprobs = complete(
        model,
        inputs,
        copies=copies,
        max_new_tokens=decoding.max_new_tokens,
        choose=chooser.choose,
        eos_ids=ends,
    )
    return tokens.cpu(), logprobs.tolist(), set(ends)


@torch.inference_mode()
def sample(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    items: Sequence[Item],
    *,
    k: int,
    decoding: Decoding | None = None,
    greedy: bool = True,
    seed: int = 0,
    model_hash: str = "",
    rows_per_batch: int = ROWS,
    done: Collection[tuple[str, str, str, str, int]] = (),
) -> Iterator[list[Completion]]:
    """Draw K completions of each item, and the greedy one in the same pass.

    Arguments:
        model: an image-text-to-text model in evaluation mode.
        processor: its processor.
        items: what is asked.
        k: sampled completions an item; 0 with `greedy` gives the greedy answer alone.
        decoding: temperature and the like.
        greedy: also decode greedily (sample_index -1).
        seed: a completion depends on (seed, item, sample index) and not on its batch, up to
            floating-point differences of batched matrix products.
        model_hash: of the model's weights; part of a rollout's key.
        rows_per_batch: most completions decoded at once; fewer where free memory is short.
        done: keys (see `rollouts.KEY`) that are there already; an item whose keys are all there
            is not sampled again.

    Returns:
        An iterator over batches of completions that are not done; `medrl_core.score.evaluate`
        reads them and makes rollout rows of them.
    """
    decoding = decoding or Decoding()
    indices = ([GREEDY] if greedy else []) + list(range(k))
    hashes = [prompt_hash(item) for item in items]
    done = set(done)
    wanted = wanted_items(items, hashes, decoding, indices, model_hash, done)

    most_tokens = room_for_prompt(model, decoding.max_new_tokens)
    check_lengths(processor, items, most_tokens)

    def fit(length: int) -> int:
        in_memory = items_that_fit(model, length, len(indices), decoding.max_new_tokens)
        return max(1, min(rows_per_batch // len(indices), in_memory))

    # Chunks and batches are planned over all items, done or not: a run that was killed goes on
    # with the batches that an undisturbed one would have made, and so with the same last digits.
    for start in range(0, len(items), ITEMS_ENCODED):
        part = slice(start, start + ITEMS_ENCODED)
        chunk = list(zip(items[part], hashes[part], strict=True))
        if not indices or not any(wanted[part]):
            continue
        for batch, inputs in batches(
            processor, items[part], fit, wanted[part], most_tokens
        ):
            inputs = {name: x.to(model.device) for name, x in inputs.items()}
            asked = [(*chunk[i], index) for i in batch for index in indices]
            drawn = np.stack(
                [uniforms(seed, item.item_id, index, decoding.max_new_tokens)
                 for item, _, index in asked]
            )
            is_greedy = np.array([index == GREEDY for *_, index in asked])
            tokens, logprobs, eos = _generate(
                model, processor.tokenizer, inputs, len(indices), decoding, drawn, is_greedy
            )
            tokens = tokens.tolist()
            ends = [next((i for i, t in enumerate(ids) if t in eos), None) for ids in tokens]
            texts = processor.tokenizer.batch_decode(
                [ids[:end] for ids, end in zip(tokens, ends, strict=True)],
                skip_special_tokens=True,
            )
            most = decoding.max_new_tokens
            yield [
                Completion(*key, text, most if end is None else end + 1, end is not None, logp)
                for key, text, end, logp in zip(asked, texts, ends, logprobs, strict=True)
                if rollout_key(*key, decoding, model_hash) not in done
            ]


def wanted_items(
    items: Sequence[Item], hashes: Sequence[str], decoding: Decoding, indices: Sequence[int],
    model_hash: str, done: Collection[tuple],
) -> list[bool]:
    """Whether some sample of each item is not done yet."""
    return [
        not all(
            rollout_key(item, hashed, index, decoding, model_hash) in done for index in indices
        )
        for item, hashed in zip(items, hashes, strict=True)
    ]
