"""Frozen towers: images in, one feature vector an image out, computed once and kept.

A tower is named by a reference: "pixels", "colour" (mean of each channel), "pca:64" (principal
components of the training pixels), "random" (the micro model's vision tower with random weights),
or a folder or hub id of a model of the Qwen2.5-VL kind. Linear probe and kNN read the same
features, so they are comparable.

Run the tests: pytest tests/test_towers.py
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from sklearn.decomposition import PCA

from medrl_core.data.images import ImageSet
from medrl_core.errors import UserError
from medrl_core.models import hub, micro

LAYERS = ("merger", "patch")
POOLINGS = ("mean", "max")


@dataclass(frozen=True)
class Tower:
    """A frozen encoder.

    Args:
        ref: the reference it was opened with.
        hash: changes with anything that changes its features: weights, preprocessing, layer.
        encode_batch: (B, H, W) or (B, H, W, 3) uint8 images to (B, D) float32 features.
    """

    ref: str
    hash: str
    encode_batch: Callable[[np.ndarray], np.ndarray]


def _digest(*parts: object) -> str:
    digest = hashlib.sha256()
    for part in parts:
        content = np.ascontiguousarray(part) if isinstance(part, np.ndarray) else str(part).encode()
        digest.update(b"\0")
        digest.update(content)
    return digest.hexdigest()[:16]


def _pixels(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / 255


def _channel_means(images: np.ndarray) -> np.ndarray:
    return _pixels(images).reshape(len(images), -1, images[0, 0, 0].size).mean(axis=1)


def _in_colour(images: np.ndarray) -> np.ndarray:
    """(B, H, W, 3): a grey image is shown to a colour tower with three equal channels."""
    return images if images.ndim == 4 else np.repeat(images[..., None], 3, axis=-1)


def _vision(model, processor, layer: str, pooling: str) -> Callable[[np.ndarray], np.ndarray]:
    visual = model.model.visual
    device = next(visual.parameters()).device

    def encode_batch(images: np.ndarray) -> np.ndarray:
        inputs = processor.image_processor(images=list(_in_colour(images)), return_tensors="pt")
        grid = inputs["image_grid_thw"].to(device)
        with torch.inference_mode():
            out = visual(inputs["pixel_values"].to(device), grid_thw=grid)
        # The tower returns both: tokens after the patch merger and the patches before it.
        tokens = out.pooler_output if layer == "merger" else out.last_hidden_state
        tokens = tokens.float().reshape(len(images), -1, tokens.shape[-1])
        pooled = tokens.mean(1) if pooling == "mean" else tokens.amax(1)
        return pooled.cpu().numpy()

    return encode_batch


@lru_cache(maxsize=1)  # one image set after another through the same tower: loaded once
def _open_vision(ref: str, version: str, layer: str, pooling: str, device: str) -> Tower:
    """A vision tower; `version` changes when a folder's weights do, so that new ones are loaded."""
    if is_model(ref):
        model, processor = hub.load(ref, device=device)
        weights = hub.model_hash(ref)
    else:
        tokenizer = micro.train_tokenizer(["random"])
        model, processor = micro.build_model(tokenizer), micro.build_processor(tokenizer)
        weights = _digest(*(w.numpy() for w in model.model.visual.state_dict().values()))
    if not hasattr(getattr(model, "model", None), "visual"):
        raise UserError(f"tower {ref!r} is a {type(model).__name__}: give one of the Qwen-VL kind")
    name = _digest(weights, processor.image_processor.to_json_string(), layer, pooling)
    return Tower(ref, name, _vision(model, processor, layer, pooling))


def is_model(ref: str) -> bool:
    """Whether a reference names a model with weights of its own, in a folder or on the hub."""
    return ref not in ("pixels", "colour", "random") and not ref.startswith("pca:")


def open_tower(
    ref: str,
    image_set: ImageSet,
    *,
    layer: str = "merger",
    pooling: str = "mean",
    device: str = "cpu",
) -> Tower:
    """Opens a tower by its reference.

    Args:
        ref: "pixels", "colour", "pca:64", "random", or a model folder or hub id.
        image_set: its training images fit the principal components; other towers ignore it.
        layer: of a vision tower: "merger" (tokens the language model reads) or "patch" (before).
        pooling: over the tokens of an image: "mean" or "max".
        device: torch device of a vision tower.

    Raises:
        UserError: unknown layer or pooling, a bad number of components, or a model that cannot be
            loaded or has no vision tower of the Qwen2.5-VL kind.
    """
    if layer not in LAYERS or pooling not in POOLINGS:
        raise UserError(
            f"layer {layer!r} with pooling {pooling!r} is unknown: "
            f"use layer {' or '.join(LAYERS)} and pooling {' or '.join(POOLINGS)}"
        )
    if ref == "pixels":
        return Tower(ref, _digest(ref), _pixels)
    if ref == "colour":
        return Tower(ref, _digest(ref), _channel_means)
    if ref.startswith("pca:"):
        train = image_set.images["train"]
        most = min(len(train), _pixels(train[:1]).shape[1])
        size = ref.removeprefix("pca:")
        if not size.isdecimal() or not 1 <= int(size) <= most:
            raise UserError(
                f"tower {ref!r} on {image_set.name}: give a number of components from 1 to {most}"
            )
        pca = PCA(int(size), random_state=0).fit(_pixels(train))
        return Tower(
            ref, _digest(ref, train), lambda images: pca.transform(_pixels(images)).astype("f4")
        )
    version = hub.model_hash(ref) if Path(ref).is_dir() else ref
    return _open_vision(ref, version, layer, pooling, device)


def encode(tower: Tower, images: np.ndarray, batch_size: int = 64) -> np.ndarray:
    """Features of images, in batches, so that memory grows with the batch only.

    Args:
        tower: from `open_tower`.
        images: (N, H, W) or (N, H, W, 3) uint8.
        batch_size: images a batch; it does not change the features.

    Returns:
        (N, D) float32.
    """
    parts = [
        tower.encode_batch(images[start : start + batch_size])
        for start in range(0, len(images), batch_size)
    ]
    return np.concatenate(parts).astype(np.float32, copy=False)


def features(
    tower: Tower, image_set: ImageSet, split: str, cache_dir: str | Path, batch_size: int = 64
) -> np.ndarray:
    """Features of one split, read from the cache or computed and kept there.

    Args:
        tower: from `open_tower`.
        image_set: images.
        split: "train", "val" or "test".
        cache_dir: folder of safetensors files, made if missing; the file is named by a hash of
            the tower (weights, preprocessing, layer, pooling) and of the split's pixels.
        batch_size: images a batch.

    Returns:
        (N, D) float32, in the order of the split.
    """
    images = image_set.images[split]
    path = Path(cache_dir) / f"{tower.hash}-{_digest(images.shape, images)}.safetensors"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        save_file({"features": encode(tower, images, batch_size)}, partial)
        os.replace(partial, path)
    return load_file(path)["features"]
