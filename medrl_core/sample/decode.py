"""Continue prompts many times: the prompt's keys and values kept once, equal beginnings run once.

A history is an item's prompt and the tokens chosen since. Completions of one item with the same
history share one row of the batch; the row splits where they part, and goes when they have ended.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, cast
from weakref import WeakKeyDictionary

import psutil
import torch
from transformers import AttentionInterface
from transformers.cache_utils import (
    Cache,
    CacheLayerMixin,
    DynamicLayer,
    DynamicSlidingWindowLayer,
)

from medrl_core.sample.generate import by_generate

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ATTENTION = "medrl_shared_prefix"
# Tokens by which the room for new keys and values grows.
ROOM = 32
# Part of the free memory that a batch may fill; the rest is for what the estimate leaves out.
MEMORY_SHARE = 0.5
# How a model's completions are decoded: the prompt's keys and values kept once an item, copied to
# each history, or all left to transformers' `generate`, the prompt encoded for each completion.
Way = Literal["shared", "copied", "generate"]
WAYS: dict[Way, str] = {
    "shared": "own decoding, each prompt's keys and values kept once",
    "copied": "own decoding, the prompt's keys and values copied to each completion",
    "generate": "decoding by transformers' generate, each prompt encoded for each completion",
}
# What `complete` found a model to need; gone with the model.
_ways: WeakKeyDictionary[Any, Way] = WeakKeyDictionary()


class Groups:
    """Rows sorted by group, and the padded table of them that batched products need.

    Arguments:
        group: (rows,) group of each row, ascending.
        n: number of groups.
    """

    def __init__(self, group: torch.Tensor, n: int):
        counts = torch.bincount(group, minlength=n)
        row = torch.arange(len(group), device=group.device)
        rank = row - (counts.cumsum(0) - counts)[group]
        self.width = int(counts.max())
        # Position of each row in the flattened table; a free place of the table holds row 0.
        self.place = group * self.width + rank
        self.table = row.new_zeros(n * self.width).scatter_(0, self.place, row).view(n, self.width)

    def padded(self, rows: torch.Tensor) -> torch.Tensor:
        """(rows, ...) to (groups, width, ...)."""
        return rows[self.table]

    def flat(self, table: torch.Tensor) -> torch.Tensor:
        """(groups, width, ...) to (rows, ...)."""
        return table.flatten(0, 1)[self.place]


def _select(buffer: torch.Tensor, indices: torch.Tensor, length: int) -> torch.Tensor:
    """Rows of a (histories, kv heads, room, size) buffer of which `length` places are in use."""
    new = buffer.new_empty(len(indices), *buffer.shape[1:])
    new[:, :, :length] = buffer[:, :, :length][indices]
    return new


def _grown(buffer: torch.Tensor | None, new: torch.Tensor) -> torch.Tensor:
    """A full buffer (None: none yet) with room for more tokens like `new`."""
    room = new.new_empty(*new.shape[:2], ROOM, new.shape[3])
    return room if buffer is None else torch.cat([buffer, room], dim=2)


class _SharedLayer(CacheLayerMixin):
    """One layer's keys and values: of the prompts once an item, of the new tokens once a history.

    `update` returns the layer itself in place of keys and values: models hand what it returns to
    their attention function untouched, and ours (`_attend`) reads both parts from it.
    """

    keys: Any  # None until the first token
    values: Any
    prefix_keys: torch.Tensor
    prefix_values: torch.Tensor

    def __init__(self, prefix: Any, cache: _SharedCache):
        super().__init__()
        self.prefix_keys, self.prefix_values, self.cache = prefix.keys, prefix.values, cache
        self.length = 0
        self.is_initialized = True

    def lazy_initialization(self, key_states, value_states) -> None:
        """Nothing to do: the prefix is there from the beginning."""

    def update(self, key_states, value_states, *args, **kwargs):
        """Write the newest token's keys and values, (histories, kv heads, 1, head size)."""
        if self.keys is None or self.length == self.keys.shape[2]:
            self.keys = _grown(self.keys, key_states)
            self.values = _grown(self.values, value_states)
        self.keys[:, :, self.length] = key_states[:, :, 0]
        self.values[:, :, self.length] = value_states[:, :, 0]
        self.length += 1
        return self, self

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these histories, some perhaps several times."""
        if self.length:
            self.keys = _select(self.keys, indices, self.length)
            self.values = _select(self.values, indices, self.length)

    def get_seq_length(self) -> int:
        """Tokens of a history, prompt included."""
        return self.prefix_keys.shape[2] + self.length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of the keys that a mask would cover."""
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        """No limit."""
        return -1


class _SharedCache(Cache):
    """A cache made from the one that holds the prompts; its rows are histories sorted by item."""

    def __init__(self, prompts: Cache):
        layers: list[Any] = [_SharedLayer(layer, self) for layer in cast(Any, prompts.layers)]
        super().__init__(layers=layers)
        prefix = layers[0].prefix_keys
        n = len(prefix)
        self.item = torch.arange(n, device=prefix.device)
        self.groups = Groups(self.item, n)

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these histories (ascending), and drop prompts once half of them have none."""
        super().batch_select_indices(indices)
        self.item = self.item[indices]
        used, item = self.item.unique(return_inverse=True)
        layers = cast(list[_SharedLayer], self.layers)
        n = len(layers[0].prefix_keys)
        if 2 * len(used) <= n:
            self.item, n = item, len(used)
            for layer in layers:
                layer.prefix_keys = layer.prefix_keys[used]
                layer.prefix_values = layer.prefix_values[used]
        self.groups = Groups(self.item, n)


def _attend(module, query, layer, _, attention_mask, *, scaling, **kwargs):
    """Attention of one new token a history over its item's prompt and its own tokens.

    The queries of an item's histories meet the prompt's keys in one product, so that the prompt is
    read once and never copied. Arguments and returns are those of an attention function of
    transformers, but for `layer`, a `_SharedLayer` in place of keys and values.
    """
    if kwargs.get("softcap") is not None or kwargs.get("s_aux") is not None:
        raise NotImplementedError("softcap and sinks: `shares_prefix` must refuse this model")
    rows, heads, _, size = query.shape
    _, kv_heads, length, _ = layer.prefix_keys.shape
    groups, per_kv = layer.cache.groups, heads // kv_heads
    keys, values = layer.keys[:, :, : layer.length], layer.values[:, :, : layer.length]

    def by_item(x):
        """(rows, kv heads, queries a kv head, n) to (items, kv heads, width * queries, n)."""
        return groups.padded(x).transpose(1, 2).flatten(2, 3)

    def by_row(x):
        """The way back."""
        return groups.flat(x.unflatten(2, (groups.width, per_kv)).transpose(1, 2))

    query = query.reshape(rows, kv_heads, per_kv, size)
    to_prompt = by_row(by_item(query) @ layer.prefix_keys.transpose(-1, -2))
    scores = torch.cat([to_prompt, query @ keys.transpose(-1, -2)], dim=-1) * scaling
    weights = scores.softmax(-1, dtype=torch.float32).to(query.dtype)
    prompt_weights, own_weights = weights.split([length, layer.length], dim=-1)
    output = by_row(by_item(prompt_weights) @ layer.prefix_values) + own_weights @ values
    return output.reshape(rows, 1, heads, -1), None


AttentionInterface.register(ATTENTION, _attend)


def shares_prefix(model, cache: Cache, length: int) -> bool:
    """Whether a model's attention is the plain one, which `_attend` computes.

    It is where the model calls attention through transformers' attention interface, every layer
    attends to all `length` tokens (or to a sliding window that holds them), and scores are neither
    capped nor joined by sinks. Other models decode with the prompt's cache copied to each history.

    Arguments:
        model: the model.
        cache: its cache after the prompts.
        length: tokens of prompt and longest completion.
    """
    config = model.config.get_text_config(decoder=True)
    plain = (
        model._supports_attention_backend
        and getattr(config, "attn_logit_softcapping", None) is None
        and not any(name.endswith("sinks") for name, _ in model.named_parameters())
    )
    return plain and all(
        type(layer) is DynamicLayer
        or (type(layer) is DynamicSlidingWindowLayer and length <= layer.sliding_window)
        for layer in cache.layers
    )


def way_of(model) -> Way | None:
    """How `complete` has decoded a model's last batch; None before the first."""
    return _ways.get(model)


def _is_plain(cache: Any, inputs: dict[str, torch.Tensor]) -> bool:
    """Whether a cache holds keys and values of each prompt token in each layer, and nothing else.

    It does not where layers keep a state (linear attention, short convolutions), share another
    layer's keys, or attend to the picture alone.
    """
    if cache is None or "cross_attention_mask" in inputs:
        return False
    items, length = inputs["input_ids"].shape
    for layer in getattr(cache, "layers", [None]):
        if type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer) or layer.keys is None:
            return False
        slides = type(layer) is DynamicSlidingWindowLayer
        held = min(length, layer.sliding_window - 1) if slides else length
        if len(layer.keys) != items or layer.keys.shape[2] not in (held, length):
            return False
    return True


@contextmanager
def _attention(model, name: str | None) -> Iterator[None]:
    """The language model's attention function replaced for a while; None leaves it."""
    config = model.config.get_text_config(decoder=True)
    before = config._attn_implementation
    config._attn_implementation = name or before
    try:
        yield
    finally:
        config._attn_implementation = before


def items_that_fit(model: PreTrainedModel, length: int, copies: int, new_tokens: int) -> int:
    """Items whose completions fit into a share of the free memory, by the size of keys and values.

    Arguments:
        model: the model.
        length: tokens of a prompt.
        copies: completions an item.
        new_tokens: longest completion.
    """
    config = model.config.get_text_config(decoder=True)
    heads = config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    token = 2 * config.num_hidden_layers * kv_heads * head_size * model.dtype.itemsize
    free = (
        torch.cuda.mem_get_info(model.device)[0]
        if model.device.type == "cuda"
        else psutil.virtual_memory().available
    )
    # Own tokens twice while rows split; scores, softmax, cumulative sum and two temporaries.
    row = 2 * (new_tokens + ROOM) * token + 5 * 4 * config.vocab_size
    return int(MEMORY_SHARE * free / (copies * row + length * token))


def complete(
    model: PreTrainedModel,
    inputs: dict[str, torch.Tensor],
    *,
    copies: int,
    max_new_tokens: int,
    choose: Callable[..., tuple[torch.Tensor, torch.Tensor]],
    eos_ids: Collection[int],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Encode prompts once and continue each several times.

    Arguments:
        model: an image-text-to-text model in evaluation mode.
        inputs: what the processor gives for prompts of equal length, without padding.
        copies: completions an item; they lie item by item.
        max_new_tokens: longest completion in tokens.
        choose: `sampling.Chooser.choose`, or what takes and gives the same.
        eos_ids: tokens that end a completion.

    Returns:
        Tokens (completions, max_new_tokens), -1 after the end, and the log-probabilities
        (completions,) in float64 of each whole completion, its end token included.
    """
    if way_of(model) == "generate":
        return by_generate(model, inputs, copies, max_new_tokens, choose, eos_ids)
    items, length = inputs["input_ids"].shape
    completions, most, device = items * copies, max_new_tokens, inputs["input_ids"].device
    backbone: Any = getattr(model, "model", model)
    if hasattr(backbone, "rope_deltas"):
        backbone.rope_deltas = None  # of the batch before, which a prompt without images would take
    output = model(**inputs, use_cache=True, logits_to_keep=1)
    cache: Any = getattr(output, "past_key_values", None)
    if not _is_plain(cache, inputs):
        _ways[model] = "generate"
        return by_generate(model, inputs, copies, max_new_tokens, choose, eos_ids)
    # Qwen's models count an image's tokens as fewer positions; what follows has all three equal.
    # Others take their positions from the cache: a few count from 1.
    deltas = getattr(backbone, "rope_deltas", None)
    position = None if deltas is None else length + deltas.flatten()
    shared = shares_prefix(model, cache, length + most)
    _ways[model] = "shared" if shared else "copied"
    if shared:
        cache = _SharedCache(cache)

    tokens = torch.full((completions, most), -1, device=device)
    logprobs = torch.zeros(completions, dtype=torch.float64, device=device)
    ends = torch.tensor(sorted(eos_ids), device=device)
    completion = torch.arange(completions, device=device)
    history = completion // copies
    with _attention(model, ATTENTION if shared else None):
        for step in range(most):
            scores = output.logits[:, -1]
            chosen, logprob = choose(scores, history, completion, step)
            tokens[completion, step] = chosen
            logprobs[completion] += logprob.double()
            going = ~torch.isin(chosen, ends)
            if step + 1 == most or not going.any():
                break
            vocabulary = scores.shape[-1]
            pairs, history = torch.unique(
                history[going] * vocabulary + chosen[going], return_inverse=True
            )
            history, order = history.sort(stable=True)
            completion = completion[going][order]
            parent, token = pairs // vocabulary, pairs % vocabulary
            if len(parent) != len(scores) or (parent.diff() != 1).any():
                cache.batch_select_indices(parent)
                position = None if position is None else position[parent]
            output = model(
                input_ids=token[:, None],
                position_ids=None if position is None else position[:, None] + step,
                past_key_values=cache,
                use_cache=True,
            )
    return tokens, logprobs
