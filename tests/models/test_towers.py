"""Towers: shapes, batching, the cache, and what is refused."""

from __future__ import annotations

import tracemalloc
from functools import partial

import numpy as np
import pytest
import torch

from medrl_core.data.images import ImageSet
from medrl_core.errors import UserError
from medrl_core.models import cnn, micro, towers


@pytest.fixture(scope="module")
def image_set() -> ImageSet:
    rng = np.random.default_rng(0)
    sizes = {"train": 12, "val": 4, "test": 6}
    return ImageSet(
        name="noise",
        modality="noise",
        task="binary",
        classes=("a", "b"),
        images={k: rng.integers(0, 256, (n, 28, 28, 3), dtype=np.uint8) for k, n in sizes.items()},
        labels={k: np.arange(n) % 2 for k, n in sizes.items()},
        origin="cells",
        md5="0" * 32,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    """A random micro model saved as an ordinary model folder."""
    path = tmp_path_factory.mktemp("model")
    tokenizer = micro.train_tokenizer(["a b"])
    micro.build_model(tokenizer, width=32, depth=1, seed=5).save_pretrained(path)
    micro.build_processor(tokenizer).save_pretrained(path)
    return str(path)


def test_pixels_are_the_image_from_zero_to_one(image_set):
    tower = towers.open_tower("pixels", image_set)
    found = towers.encode(tower, image_set.images["test"], batch_size=4)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found * 255, image_set.images["test"].reshape(6, -1), rtol=1e-6)


def test_colour_is_the_mean_of_each_channel(image_set):
    images = np.zeros((1, 2, 2, 3), np.uint8)
    images[0, 0, 0] = [255, 0, 51]
    tower = towers.open_tower("colour", image_set)
    np.testing.assert_allclose(towers.encode(tower, images), [[1 / 4, 0, 0.2 / 4]])
    np.testing.assert_allclose(towers.encode(tower, images[..., 2]), [[0.2 / 4]])


def test_pca_projects_on_the_training_components(image_set):
    tower = towers.open_tower("pca:3", image_set)
    train = towers.encode(tower, image_set.images["train"])
    assert train.shape == (12, 3)
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-4)
    covariance = np.cov(train.T)
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-3)


@pytest.mark.parametrize("ref", ["pixels", "pca:3", "random"])
def test_features_do_not_depend_on_the_batch(image_set, ref):
    tower = towers.open_tower(ref, image_set)
    images = image_set.images["test"]
    one, all_ = (towers.encode(tower, images, batch_size=size) for size in (1, 6))
    np.testing.assert_allclose(one, all_, atol=1e-5)
    assert one.dtype == np.float32 and len(one) == 6


def test_a_model_folder_gives_the_pooled_tokens_that_the_language_model_reads(image_set, folder):
    images = image_set.images["test"][:2]
    found = towers.encode(towers.open_tower(folder, image_set), images)
    model, processor = towers.hub.load(folder)
    pixels = processor.image_processor(images=list(images), return_tensors="pt")
    with torch.inference_mode():
        per_image = model.model.get_image_features(**pixels).pooler_output
    np.testing.assert_allclose(found, torch.stack([t.mean(0) for t in per_image]), atol=1e-6)


def test_layers_and_poolings_differ_in_value_and_in_hash(image_set, folder):
    seen = {}
    for layer in towers.LAYERS:
        for pooling in ("mean", "max"):
            tower = towers.open_tower(folder, image_set, layer=layer, pooling=pooling)
            seen[tower.hash] = towers.encode(tower, image_set.images["test"]).tobytes()
    assert len(seen) == len(set(seen.values())) == 4


def test_a_grey_image_gives_the_features_of_its_colour_copy(image_set, folder):
    tower = towers.open_tower(folder, image_set)
    grey = image_set.images["test"][..., 0]
    colour = np.repeat(grey[..., None], 3, axis=-1)
    np.testing.assert_array_equal(towers.encode(tower, grey), towers.encode(tower, colour))


def test_a_random_tower_has_the_shape_of_its_model_and_other_weights(image_set, folder):
    images = image_set.images["test"]
    learned, drawn = (towers.open_tower(ref, image_set) for ref in (folder, f"random:{folder}"))
    one, other = (towers.encode(tower, images) for tower in (learned, drawn))
    assert one.shape == other.shape and not np.allclose(one, other)
    assert learned.hash != drawn.hash
    towers._open_model.cache_clear()
    again = towers.encode(towers.open_tower(f"random:{folder}", image_set), images)
    np.testing.assert_array_equal(other, again)


def test_a_model_saved_again_in_the_same_folder_is_a_new_tower(image_set, tmp_path):
    tokenizer = micro.train_tokenizer(["a b"])
    micro.build_processor(tokenizer).save_pretrained(tmp_path)
    seen = set()
    for seed in (1, 2):
        micro.build_model(tokenizer, width=32, depth=1, seed=seed).save_pretrained(tmp_path)
        tower = towers.open_tower(str(tmp_path), image_set)
        seen.add((tower.hash, towers.encode(tower, image_set.images["val"]).tobytes()))
    assert len(seen) == len({name for name, _ in seen}) == 2


def test_features_are_computed_once_and_kept(image_set, tmp_path):
    calls = []
    tower = towers.Tower("t", "h", lambda x: calls.append(len(x)) or x.reshape(len(x), -1)[:, :2])
    first = towers.features(tower, image_set, "test", tmp_path, batch_size=4)
    second = towers.features(tower, image_set, "test", tmp_path, batch_size=4)
    assert calls == [4, 2]
    np.testing.assert_array_equal(first, second)
    assert [p.suffix for p in tmp_path.iterdir()] == [".npy"]


def test_the_cache_knows_towers_and_pixels_apart(image_set, tmp_path):
    for ref in ("pca:2", "pca:3"):
        tower = towers.open_tower(ref, image_set)
        assert towers.features(tower, image_set, "test", tmp_path).shape[1] == int(ref[-1])
    towers.features(tower, image_set, "val", tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_an_encoder_that_fails_leaves_nothing_in_the_cache(image_set, tmp_path):
    def fail(images: np.ndarray) -> np.ndarray:
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError):
        towers.features(towers.Tower("t", "h", fail), image_set, "test", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_features_of_a_large_set_are_streamed(tmp_path):
    """PathMNIST has 107,180 training images: pixels as floats would take 336 MB."""
    images = np.zeros((107_180, 28, 28), np.uint8)
    images[:, 0, 0] = np.arange(len(images)) % 251
    large = ImageSet(
        "large", "noise", "binary", ("a", "b"), {"train": images}, {}, "cells", "0" * 32
    )
    tower = towers.Tower("t", "h", lambda batch: batch.reshape(len(batch), -1)[:, :500] / 255)
    tracemalloc.start()
    found = towers.features(tower, large, "train", tmp_path, batch_size=256)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.shape == (107_180, 500) and found.nbytes > 200e6
    assert peak < 10e6
    np.testing.assert_allclose(found[1000:1003, 0] * 255, np.arange(1000, 1003) % 251, rtol=1e-6)


def test_numpy_reads_what_was_streamed(image_set, tmp_path):
    tower = towers.open_tower("pixels", image_set)
    found = towers.features(tower, image_set, "test", tmp_path, batch_size=4)
    (path,) = tmp_path.iterdir()
    np.testing.assert_array_equal(np.load(path), found)
    np.testing.assert_array_equal(found, towers.encode(tower, image_set.images["test"]))


def test_a_hub_model_out_of_reach_says_why_and_names_no_host(image_set, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(towers.NoTower) as caught:
        towers.open_tower("facebook/dinov2-small", image_set)
    assert str(caught.value).startswith("facebook/dinov2-small is not in the hub's cache")
    assert "://" not in str(caught.value)


def test_the_network_trained_on_the_set_names_its_classes_from_its_features(image_set, monkeypatch):
    monkeypatch.setattr(cnn, "Recipe", partial(cnn.Recipe, steps=2, check_every=1))
    tower = towers.open_tower("resnet18", image_set)
    found = towers.encode(tower, image_set.images["test"])
    assert found.shape == (6, 512)
    np.testing.assert_allclose(tower.head(found).sum(axis=1), 1, atol=1e-6)
    assert towers.open_tower("pixels", image_set).head is None


@pytest.mark.parametrize(
    ("ref", "options", "words"),
    [
        ("pca:0", {}, "from 1 to 12"),
        ("pca:13", {}, "from 1 to 12"),
        ("pca:x", {}, "from 1 to 12"),
        ("pixels", {"layer": "top"}, "merger or patch"),
        ("pixels", {"pooling": "sum"}, "mean, max, class"),
        ("no/such/model/anywhere", {}, "cannot be loaded"),
        ("random", {"pooling": "class"}, "no class token"),
    ],
)
def test_what_cannot_be_opened_is_said_in_one_line(image_set, monkeypatch, ref, options, words):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match=words) as caught:
        towers.open_tower(ref, image_set, **options)
    assert "\n" not in str(caught.value)
