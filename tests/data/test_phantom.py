"""The phantom: evidence is structure, not the mean colour."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from medrl_core.data.drawn import phantom, phantom_colour, shapes
from medrl_core.data.drawn.canvas import Canvas, generator
from medrl_core.data.sets import load
from medrl_core.errors import UserError


def pixels(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1) / 255


def channel_means(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), images.shape[1] ** 2, -1).mean(1) / 255


@pytest.mark.parametrize("name", phantom.MODALITIES)
def test_pixels_teach_the_classes_and_channel_means_do_not(name: str) -> None:
    data = phantom.make(name)
    train, test = data.labels["train"], data.labels["test"]
    majority = np.bincount(test).max() / len(test)
    scores = {}
    for kind, features, model in (
        ("pixels", pixels, SVC(C=5)),
        ("means", channel_means, LogisticRegression()),
    ):
        fitted = make_pipeline(StandardScaler(), model).fit(features(data.images["train"]), train)
        scores[kind] = fitted.score(features(data.images["test"]), test)
    assert scores["pixels"] > majority + 0.35
    assert scores["pixels"] < 0.995  # some difficulty is left
    assert scores["means"] < majority + 0.07


@pytest.mark.parametrize("name", phantom.MODALITIES)
def test_a_larger_set_begins_with_the_smaller_one(name: str) -> None:
    small = phantom.make(name, n_train=5, n_val=3, n_test=2, seed=4)
    large = phantom.make(name, n_train=11, n_val=6, n_test=5, seed=4)
    for split, n in (("train", 5), ("val", 3), ("test", 2)):
        np.testing.assert_array_equal(small.images[split], large.images[split][:n])
        np.testing.assert_array_equal(small.labels[split], large.labels[split][:n])


def test_splits_and_seeds_share_no_image() -> None:
    one, two = (phantom.make("chest", n_train=4, n_val=4, n_test=4, seed=s) for s in (0, 1))
    every = [image.tobytes() for data in (one, two) for a in data.images.values() for image in a]
    assert len(set(every)) == 24


@pytest.mark.parametrize("name", phantom.MODALITIES)
def test_classes_are_even_and_the_type_is_right(name: str) -> None:
    data = phantom.make(name, n_train=41, n_val=1, n_test=1)
    counts = np.bincount(data.labels["train"], minlength=len(data.classes))
    assert counts.max() - counts.min() <= 1
    assert 2 <= len(data.classes) <= 8
    assert data.images["train"].dtype == np.uint8 and data.labels["train"].dtype == np.int64
    channels = phantom.MODALITIES[name].channels
    assert data.images["train"].shape[1:] == ((28, 28) if channels == 1 else (28, 28, 3))


def test_class_names_are_distinct_over_all_modalities() -> None:
    names = [c for p in phantom.MODALITIES.values() for c in p.classes]
    assert len(set(names)) == len(names) == 36
    assert all(name == name.lower() and len(name.split()) <= 2 for name in names)


@pytest.mark.parametrize("name", phantom.MODALITIES)
@pytest.mark.parametrize("size", [64, 128, 224])
def test_other_sizes_show_the_same_picture(name: str, size: int) -> None:
    labels = np.arange(2)
    small = phantom.draw_images(name, labels, seed=3, size=28).astype(float)
    large = phantom.draw_images(name, labels, seed=3, size=size).astype(float)
    for a, b in zip(small, large, strict=True):
        shrunk = ndimage.zoom(
            ndimage.uniform_filter(b, (size // 28,) * 2 + (1,) * (b.ndim - 2)),
            (28 / size,) * 2 + (1,) * (b.ndim - 2),
            order=1,
            grid_mode=True,
            mode="nearest",
        )
        assert np.corrcoef(a.ravel(), shrunk.ravel())[0, 1] > 0.65


@pytest.mark.parametrize("grade", range(4))
def test_fundus_shows_as_many_spots_as_the_grade_says(grade: int) -> None:
    low, high = phantom_colour.LESIONS[phantom_colour.FUNDUS[grade]]
    for i in range(5):
        canvas = Canvas(224, generator("spots", i), turn=0.0, shift=0.0, zoom=0.0)
        red = phantom_colour.fundus(grade, canvas)[..., 0]
        dark = (red < 0.4) & (np.hypot(canvas.x, canvas.y) < 0.95)
        assert low <= ndimage.label(dark)[1] <= high


def test_generators_of_different_keys_differ() -> None:
    keys = [("ab", 1), ("a", "b", 1), ("ab", 2), (1, "ab")]
    assert len({generator(*key).integers(2**60) for key in keys}) == 4
    assert generator("ab", 1).integers(2**60) == generator("ab", 1).integers(2**60)


def test_load_cuts_the_phantom_by_n() -> None:
    data = load("phantom-ct", n=8, seed=2)
    assert {split: len(a) for split, a in data.labels.items()} == {"train": 8, "val": 2, "test": 4}
    assert (data.name, data.modality, data.origin) == ("phantom-ct", "abdominal CT", "phantom")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: phantom.make("brain"), "use one of chest"),
        (lambda: load("phantom-brain"), "'brain'"),
        (lambda: phantom.make("ct", n_val=0), "n_val=0"),
        (lambda: phantom.make("ct", size=4), "size=4"),
        (lambda: phantom.make("ct", seed=-1), "seed=-1"),
        (lambda: phantom.draw_images("ct", np.array([5]), 0), "0..4"),
        (lambda: load("phantom-ct", n=3), "n=3"),
        (lambda: shapes.draw(1, -1), "seed=-1"),
    ],
)
def test_mistakes_end_in_one_line(call, says: str) -> None:
    with pytest.raises(UserError) as caught:
        call()
    assert says in str(caught.value) and "\n" not in str(caught.value)


def ink_mask(image: np.ndarray) -> np.ndarray:
    """Marks what differs from the plain ground, whose colour is the commonest."""
    away = np.abs(image.astype(float) - np.median(image, (0, 1))).mean(-1)
    return away > 0.5 * away.max()


def test_shapes_are_as_many_and_where_the_facts_say() -> None:
    seen = 0
    for image, facts in shapes.draw(200, seed=1, size=84):
        if facts["texture"] != "plain" or facts["count"] == 5:  # five squares hide the ground
            continue
        seen += 1
        mask = ndimage.binary_opening(ink_mask(image))
        assert ndimage.label(mask)[1] == facts["count"], facts
        if facts["count"] == 1:
            y, x = np.array(ndimage.center_of_mass(mask)) / 42 - 1
            ex, ey = shapes.POSITIONS[facts["position"]]
            assert np.hypot(x - ex, y - ey) < 0.3, facts
    assert seen > 20


def test_shapes_facts_cover_the_world_and_do_not_depend_on_n() -> None:
    many, few = shapes.draw(300, seed=0), shapes.draw(3, seed=0)
    for key, values in (
        ("shape", shapes.SHAPES),
        ("colour", shapes.COLOURS),
        ("texture", shapes.TEXTURES),
        ("count", shapes.COUNTS),
        ("position", (*shapes.POSITIONS, "spread")),
    ):
        assert {facts[key] for _, facts in many} == set(values)
    for (a, left), (b, right) in zip(few, many, strict=False):
        assert left == right and a.shape == (28, 28, 3) and a.dtype == np.uint8
        np.testing.assert_array_equal(a, b)
