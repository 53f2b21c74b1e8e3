"""Fewer and larger calls of a vision tower: all windows in one attention call, each picture once.

transformers calls attention once for each window, and a trainer hands a group's picture over once
for each of its completions. For small pictures that is most of a step. Values are equal up to
rounding, gradients too.

    fewer_calls(net)    # in place; a model without such a tower is left alone
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from medrl_core.errors import UserError

# What transformers calls the tower of an image-text-to-text model.
TOWERS = ("visual", "vision_tower", "vision_model")
# transformers gives the windows' bounds only to functions whose name says "flash".
ATTENTION = "medrl_flash_windows"


def _attend(module, query, key, value, attention_mask, *, scaling, cu_seq_lens_q, **_):
    """Attention inside windows; arguments and returns are those of transformers' functions.

    Arguments: `query`, `key`, `value` (1, heads, patches, size); `cu_seq_lens_q` (windows + 1,)
    bounds of the windows.
    """
    sizes = cu_seq_lens_q.diff()
    if (sizes == sizes[0]).all():
        _, heads, patches, size = query.shape

        def split(x: torch.Tensor) -> torch.Tensor:
            """(1, heads, patches, size) to (windows, heads, patches a window, size)."""
            return x.view(heads, len(sizes), -1, size).transpose(0, 1)

        found = scaled_dot_product_attention(split(query), split(key), split(value), scale=scaling)
        return found.transpose(1, 2).reshape(1, patches, heads, size), None
    windows = zip(*(x.split(sizes.tolist(), dim=2) for x in (query, key, value)), strict=True)
    found = [scaled_dot_product_attention(*window, scale=scaling) for window in windows]
    return torch.cat(found, 2).transpose(1, 2), None


AttentionInterface.register(ATTENTION, _attend)


def tower_of(net) -> Any:
    """The vision tower of an image-text-to-text model.

    Raises: UserError where it has none by a name that transformers gives towers.
    """
    net = net.get_base_model() if hasattr(net, "get_base_model") else net
    inner = getattr(net, "model", net)
    for name in TOWERS:
        if hasattr(inner, name):
            return getattr(inner, name)
    raise UserError(
        f"a {type(net).__name__} has no vision tower by the name of {' or '.join(TOWERS)}: "
        "train it with train_vision"
    )


def fewer_calls(net) -> None:
    """Let a model of Qwen's family encode each distinct picture once, all windows in one call.

    Arguments: `net` an image-text-to-text model, changed in place; the calls are not saved with it.
    """
    tower: Any = getattr(getattr(net, "model", net), "visual", None)
    if not hasattr(tower, "fullatt_block_indexes") or hasattr(tower, "_each_picture_once"):
        return
    tower.config._attn_implementation = ATTENTION
    tower.forward = functools.partial(_once, tower, tower.forward)
    tower._each_picture_once = True


def _once(tower, forward, hidden_states, grid_thw, **kwargs):
    """The tower's own forward on distinct pictures alone; equal ones get copies of the tokens."""
    if len(grid_thw) < 2 or (grid_thw != grid_thw[0]).any():
        return forward(hidden_states, grid_thw=grid_thw, **kwargs)
    pictures = hidden_states.view(len(grid_thw), -1)
    first, place = _distinct(pictures)
    if len(first) == len(pictures):
        return forward(hidden_states, grid_thw=grid_thw, **kwargs)
    patches = hidden_states.view(len(grid_thw), -1, hidden_states.shape[-1])
    found = forward(patches[first].flatten(0, 1), grid_thw=grid_thw[first], **kwargs)
    for name in ("last_hidden_state", "pooler_output"):
        tokens = getattr(found, name)
        setattr(found, name, tokens.unflatten(0, (len(first), -1))[place].flatten(0, 1))
    return found


def _distinct(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Index of the first of each set of equal rows, and for each row which of those it equals."""
    found: dict[bytes, int] = {}
    keys = [row.numpy(force=True).tobytes() for row in rows]
    place = [found.setdefault(key, len(found)) for key in keys]
    first = [place.index(i) for i in range(len(found))]
    return torch.tensor(first, device=rows.device), torch.tensor(place, device=rows.device)
