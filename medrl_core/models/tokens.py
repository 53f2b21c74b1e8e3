"""Features of transformers models: image tokens of a layer, pooled to one vector an image.

Every vision-language model of transformers 5 gives its image tokens through one method,
`get_image_features`: after the merger (what the language model reads) and before it. So
Qwen2.5-VL, Qwen2-VL, Qwen3-VL, SmolVLM, Idefics3, LLaVA and Gemma 3 need no code of their own.
A model without a language model (DINOv2, SigLIP, CLIP), or one whose language model looks at
pictures by cross-attention (Llama 3.2 Vision), has its tower's last tokens only.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from medrl_core.errors import UserError

LAYERS = ("merger", "patch")
POOLINGS = ("mean", "max", "class", "all")


class NoTower(UserError):
    """A tower that cannot be had here, with the reason; a study says so and goes on."""


def in_colour(images: np.ndarray) -> np.ndarray:
    """(B, H, W, 3): a grey image is shown to a colour tower with three equal channels."""
    return images if images.ndim == 4 else np.repeat(images[..., None], 3, axis=-1)


def _prefix(model) -> int:
    """How many tokens before the patches stand for the whole image: the class token, registers."""
    if hasattr(model, "timm_model"):
        return getattr(model.timm_model, "num_prefix_tokens", 0)
    names = [name for name, _ in model.named_parameters()]
    if not any(name.endswith(("class_embedding", "cls_token")) for name in names):
        return 0
    vision = getattr(model.config, "vision_config", model.config)
    return 1 + getattr(vision, "num_register_tokens", 0)


def encoder(
    model, image_processor, *, layer: str = "merger", pooling: str = "mean"
) -> Callable[[np.ndarray], np.ndarray]:
    """A function from images to pooled tokens of a model.

    Args:
        model: an image-text-to-text model, or a vision model (its own or a `vision_model` in it).
        image_processor: its image processor. Tiles of one image are switched off: one view each.
        layer: "merger" (tokens the language model reads; a model without one: its last tokens) or
            "patch" (the vision tower's last tokens).
        pooling: over the tokens of the image's patches "mean" or "max", or the token "class", or
            "all" of them side by side, which keeps where each one is.

    Returns:
        A function from (B, H, W) or (B, H, W, 3) uint8, all of one size, to (B, D) float32.

    Raises:
        NoTower: the model has no vision part, or no class token at this layer.
    """
    inner: Any = getattr(model, "model", None)  # the outer model of a VLM only passes images on
    merges = hasattr(inner, "get_image_features")
    outer = inner if hasattr(inner, "vision_model") else model
    see = inner.get_image_features if merges else getattr(outer, "vision_model", outer).forward
    takes = set(inspect.signature(see).parameters)
    if "pixel_values" not in takes:
        raise NoTower(f"a {type(model).__name__} has no vision tower: give one that sees")
    prefix = _prefix(model)
    if pooling == "class" and (prefix == 0 or (merges and layer == "merger")):
        where = "" if prefix == 0 else " after the merger: use layer patch"
        raise NoTower(f"a {type(model).__name__} has no class token{where}")
    device = next(model.parameters()).device
    whole = {"do_image_splitting": False} if hasattr(image_processor, "do_image_splitting") else {}

    def pool(tokens: torch.Tensor, skip: int) -> torch.Tensor:
        """(T, D) to (D,)."""
        if pooling == "class":
            return tokens[0]
        if pooling == "all":
            return tokens[skip:].flatten()
        return tokens[skip:].mean(0) if pooling == "mean" else tokens[skip:].amax(0)

    def encode_batch(images: np.ndarray) -> np.ndarray:
        nested = [[image] for image in in_colour(images)]  # one image each, for all processors
        inputs = image_processor(images=nested, return_tensors="pt", **whole)
        inputs = {name: value.to(device) for name, value in inputs.items() if name in takes}
        inputs["pixel_values"] = inputs["pixel_values"].to(model.dtype)
        with torch.inference_mode():
            out = see(**inputs)
        if merges and layer == "merger":
            tokens, skip = out.pooler_output, 0
        else:
            tokens, skip = out.last_hidden_state, prefix
            if tokens.ndim == 4:  # a convolutional network: (B, D, H, W)
                tokens = tokens.flatten(2).transpose(1, 2)
            # Qwen packs the tokens of all images in one row; images of a batch have one size.
            tokens = tokens.reshape(len(images), -1, tokens.shape[-1])
        return torch.stack([pool(one.float(), skip) for one in tokens]).cpu().numpy()

    return encode_batch
