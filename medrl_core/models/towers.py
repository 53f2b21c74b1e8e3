"""Frozen towers: images in, one feature vector an image out, computed once and kept.

A tower is named by a reference: "pixels", "colour" (mean of each channel), "pca:64" (principal
components of the training pixels), "random" (the micro model's vision tower with random weights),
"efficientnet-lite0" (ImageNet), "resnet18" (trained end to end on the set itself), a folder or hub
id of a vision-language or vision model, or "random:" and such a folder or id (its shape with random
weights). All probes read the same features.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from tokenize import TokenError

import numpy as np
from filelock import FileLock
from sklearn.decomposition import PCA

from medrl_core.data.images import ImageSet
from medrl_core.errors import UserError
from medrl_core.files import writing
from medrl_core.models import cnn, hub, micro, tokens
from medrl_core.models.tokens import LAYERS, POOLINGS, NoTower

BUILT_IN = ("pixels", "colour", "random", "efficientnet-lite0", "resnet18")
PCA_IMAGES = 10_000  # enough for any number of components that 28x28 pixels have
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Tower:
    """An encoder whose weights no probe changes.

    Args:
        ref: the reference it was opened with.
        hash: changes with anything that changes its features: weights, preprocessing, layer.
        encode_batch: (B, H, W) or (B, H, W, 3) uint8 images to (B, D) float32 features.
        head: of a tower that was trained on the labels of the image set: (N, D) features to
            (N, C) class scores.
    """

    ref: str
    hash: str
    encode_batch: Callable[[np.ndarray], np.ndarray]
    head: Callable[[np.ndarray], np.ndarray] | None = None


def _digest(*parts: object) -> str:
    digest = hashlib.sha256()
    for part in parts:
        is_array = isinstance(part, np.ndarray)
        content = np.ascontiguousarray(part).data if is_array else str(part).encode()
        digest.update(b"\0")
        digest.update(content)
    return digest.hexdigest()[:16]


def _pixels(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / 255


def _channel_means(images: np.ndarray) -> np.ndarray:
    return _pixels(images).reshape(len(images), -1, images[0, 0, 0].size).mean(axis=1)


@lru_cache(maxsize=1)  # one image set after another through the same tower: loaded once
def _open_model(ref: str, version: str, layer: str, pooling: str, device: str | None) -> Tower:
    """A model's tower; `version` changes with a folder's weights, so that new ones are loaded."""
    if ref == "random":
        tokenizer = micro.train_tokenizer(["random"])
        model, processor = micro.build_model(tokenizer), micro.build_processor(tokenizer)
        image_processor = processor.image_processor
        weights = _digest(*(w.numpy() for w in model.model.visual.state_dict().values()))
    elif ref.startswith("random:"):
        model, image_processor = _load(ref.removeprefix("random:"), device, random=True)
        weights = _digest("random", model.config.to_json_string())
    else:
        model, image_processor = _load(ref, device)
        weights = hub.model_hash(ref)
    name = _digest(weights, model.dtype, image_processor.to_json_string(), layer, pooling)
    encode_batch = tokens.encoder(model, image_processor, layer=layer, pooling=pooling)
    return Tower(ref, name, encode_batch)


def _load(ref: str, device: str | None, random: bool = False):
    try:
        return hub.load_vision(ref, device=device, random=random)
    except UserError as error:
        if Path(ref).exists() or not HUB_ID.fullmatch(ref):
            raise
        # The hub's own words name hosts and change; the kind of failure is enough for a table.
        kind = type(error.__cause__).__name__
        raise NoTower(f"{ref} is not in the hub's cache and was not fetched ({kind})") from error


def open_tower(
    ref: str,
    image_set: ImageSet,
    *,
    layer: str = "merger",
    pooling: str = "mean",
    device: str | None = None,
) -> Tower:
    """Opens a tower by its reference.

    Args:
        ref: "pixels", "colour", "pca:64", "random", "efficientnet-lite0", "resnet18", a model
            folder or hub id, or "random:" and one of these two.
        image_set: its training images fit the principal components and train the ResNet-18, its
            validation images choose that one's step; other towers ignore it.
        layer: of a model: "merger" (tokens the language model reads) or "patch" (before).
        pooling: over the tokens of an image: "mean", "max" or "class" (the class token).
        device: torch device of a model; None takes the GPU where there is one.

    Raises:
        NoTower: a hub model that is out of reach, a model without a vision tower, or one without
            the class token asked for.
        UserError: unknown layer or pooling, a bad number of components, or a folder that cannot
            be loaded.
    """
    if layer not in LAYERS or pooling not in POOLINGS:
        raise UserError(
            f"layer {layer!r} with pooling {pooling!r} is unknown: "
            f"use layer {' or '.join(LAYERS)} and pooling {', '.join(POOLINGS)}"
        )
    train = image_set.images["train"]
    match ref:
        case "pixels":
            return Tower(ref, _digest(ref), _pixels)
        case "colour":
            return Tower(ref, _digest(ref), _channel_means)
        case "efficientnet-lite0":
            name = _digest(cnn.lite0_hash(), cnn.LITE_SIDE)
            return Tower(ref, name, cnn.lite0_features)
        case "resnet18":
            recipe = cnn.Recipe()
            learned = (train, image_set.labels["train"])
            chosen_on = (image_set.images["val"], image_set.labels["val"])
            name = _digest(ref, recipe, *learned, *chosen_on)
            return Tower(ref, name, *cnn.train_resnet(image_set, recipe))
    if ref.startswith("pca:"):
        train = train[:PCA_IMAGES]
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
    return _open_model(ref, version, layer, pooling, device)


def _batches(tower: Tower, images: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(images), batch_size):
        found = tower.encode_batch(images[start : start + batch_size])
        found = found.astype(np.float32, copy=False)
        _check_finite(found, f"tower {tower.ref!r}", start)
        yield found


def _check_finite(rows: np.ndarray, whose: str, start: int) -> None:
    """Refuse features that no probe can read; `start` is the place of the first row."""
    odd = ~np.isfinite(rows).all(axis=1)
    if odd.any():
        raise UserError(
            f"{whose} has features that are not finite, first of image {start + odd.argmax()}: "
            "check its weights, or take it in float32"
        )


def encode(tower: Tower, images: np.ndarray, batch_size: int = 64) -> np.ndarray:
    """Features of images, held in memory.

    Args:
        tower: from `open_tower`.
        images: (N, H, W) or (N, H, W, 3) uint8.
        batch_size: images a batch; it does not change the features.

    Returns:
        (N, D) float32.
    """
    return np.concatenate([*_batches(tower, images, batch_size)])


def _write(batches: Iterator[np.ndarray], n: int, path: Path) -> None:
    """Write batches of n rows in all as one .npy file, whole or not at all."""
    first = next(batches)
    about = {"descr": "<f4", "fortran_order": False, "shape": (n, first.shape[1])}
    with writing(path) as file:
        np.lib.format.write_array_header_1_0(file, about)
        for batch in chain([first], batches):
            file.write(batch.astype("<f4", order="C", copy=False).data)


def _read(path: Path, n: int) -> np.ndarray:
    """The features of a file, (n, D) float32, read from disk as they are used."""
    try:
        found = np.load(path, mmap_mode="c")
        if found.dtype != np.float32 or found.ndim != 2 or len(found) != n:
            raise ValueError(f"{found.dtype} of shape {found.shape}")
        if path.stat().st_size != found.offset + found.nbytes:
            raise ValueError("more bytes than features")
    # NumPy reads the list of the file as Python source, and says so where it is none.
    except (OSError, ValueError, EOFError, TokenError, OverflowError) as error:
        raise UserError(
            f"{path} is damaged ({error}): remove it, and the features are computed again"
        ) from error
    return found


def features(
    tower: Tower, image_set: ImageSet, split: str, cache_dir: str | Path, batch_size: int = 64
) -> np.ndarray:
    """Features of one split, read from the cache or computed and kept there batch by batch.

    Neither way holds all features in memory, so 100,000 images need no more than one batch.

    Args:
        tower: from `open_tower`.
        image_set: images.
        split: "train", "val" or "test".
        cache_dir: folder of .npy files, made if missing; the file is named by a hash of
            the tower (weights, preprocessing, layer, pooling) and of the split's pixels.
        batch_size: images a batch.

    Returns:
        (N, D) float32, in the order of the split.
    """
    images = image_set.images[split]
    path = Path(cache_dir) / f"{tower.hash}-{_digest(images.shape, images)}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f".{path.name}.lock")
        with FileLock(lock):  # a second process waits, and reads what the first has kept
            try:
                if not path.exists():
                    for left in path.parent.glob(f".{path.name}.partial-*"):
                        left.unlink()  # of a process that was killed
                    _write(_batches(tower, images, batch_size), len(images), path)
            finally:
                lock.unlink(missing_ok=True)
    found = _read(path, len(images))
    for start in range(0, len(found), batch_size):
        _check_finite(found[start : start + batch_size], f"{path} of {tower.ref!r}", start)
    return found
