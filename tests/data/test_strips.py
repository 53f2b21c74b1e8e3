from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medrl_core.data import strips
from medrl_core.data.images import ImageSet
from medrl_core.errors import UserError

MEDMNIST = Path(__file__).resolve().parents[3] / "shared" / "medmnist"


def image_set(name="bloodmnist", classes=8, per_class=3, side=28, task="multiclass", shape=(3,)):
    """Pictures that are one colour each: class times 20 plus the number of the picture."""
    labels = np.tile(np.arange(classes), per_class)
    images = np.empty((len(labels), side, side, *shape), np.uint8)
    images[:] = (labels * 20 + np.repeat(np.arange(per_class), classes)).reshape(
        -1, 1, 1, *(1 for _ in shape)
    )
    names = tuple(f"kind {chr(97 + i)}" for i in range(classes))
    return ImageSet(
        name, "picture", task, names, {split: images for split in strips.SPLITS},
        {split: labels for split in strips.SPLITS}, "official", "",
    )  # fmt: skip


BLOOD = strips.of_images(image_set())


def test_an_item_reads_from_left_to_right_and_reports_in_the_clinics_order():
    item = strips.build_items(BLOOD, "D", "test", n=3, seed=900)[2]
    assert item.question == "Report this blood strip of clinic D."
    assert item.images[0].size == (72, 24) and item.n_answers == 448
    pixels = np.asarray(item.images[0]).astype(int)
    named = []
    for place in range(3):
        # Each place is darkened to three quarters and tinted by 64 in its own channel.
        part = pixels[:, 24 * place : 24 * place + 24]
        other = [c for c in range(3) if c != place]
        assert (part[..., place] - part[..., other[0]] == 64).all()
        assert len(np.unique(part[..., other])) == 1
        named.append(BLOOD.plain[round(part[0, 0, other[0]] / 0.75) // 20])
    assert item.reading.split() == named
    short = [BLOOD.short[BLOOD.plain.index(word)] for word in named]
    assert item.gold.split() == ["backward", *short[::-1]]


@pytest.mark.parametrize(
    ("clinic", "expected"),
    [("A", "forward basophil monocyte platelet"), ("B", "backward platelet monocyte basophil"),
     ("C", "backward platelet monocyte basophil"), ("F", "backward PLT MON BAS")],
)  # fmt: skip
def test_conventions(clinic, expected):
    rule = strips.CLINICS[clinic]
    classes = [BLOOD.plain.index(word) for word in ("basophil", "monocyte", "platelet")]
    assert strips.report(BLOOD, classes, rule.backward, rule.short) == expected.split()


@given(st.integers(0, 10**6), st.integers(2, 9))
def test_first_and_last_differ_and_classes_are_even(seed, classes):
    drawn = strips.draw_classes(2000, classes, np.random.default_rng(seed))
    assert (drawn[:, 0] != drawn[:, -1]).all()
    counts = np.stack([np.bincount(column, minlength=classes) for column in drawn.T])
    expected = 2000 / classes
    assert np.abs(counts - expected).max() < 6 * expected**0.5


def test_captions_follow_each_rule_as_often_as_its_dial_says():
    rng = np.random.default_rng(0)
    classes = strips.draw_classes(20_000, 8, rng)
    for clinic in strips.CLINICS.values():
        drawn = strips.captions(BLOOD, clinic, classes, rng)
        right = [
            said == strips.report(BLOOD, row, clinic.backward, clinic.short)
            for (_, said), row in zip(drawn, classes.tolist(), strict=True)
        ]
        p = clinic.intended_p
        assert abs(np.mean(right) - p) <= 5 * (p * (1 - p) / 20_000) ** 0.5
        reading, said = drawn[0]
        assert reading == [BLOOD.plain[c] for c in classes[0]] and said[0] in strips.HEADERS


def test_training_strips_alone_are_turned():
    rng = np.random.default_rng(0)
    images = {split: np.random.default_rng(1).integers(256, size=(8, 28, 28, 3)).astype(np.uint8)
              for split in strips.SPLITS}  # fmt: skip
    labels = {split: np.arange(8) for split in strips.SPLITS}
    noise = strips.of_images(
        ImageSet("bloodmnist", "blood smear", "multiclass", ("x",) * 8, images, labels, "o", "")
    )
    numbers = np.tile(np.arange(3), (200, 1))
    plain = strips.compose(noise, "train", numbers)
    assert (plain == plain[0]).all()
    turned = strips.compose(noise, "train", numbers, rng)
    seen = {strip[:, :24].tobytes() for strip in turned}
    assert len(seen) == 8
    means = turned.astype(float).mean((1, 2)) - plain.astype(float).mean((1, 2))
    assert np.abs(means).max() < 1e-9


def test_sets_without_own_names_get_single_words():
    made = image_set("pathmnist", classes=3)
    found = strips.of_images(made)
    assert found.plain == ("kind", "a", "kindb") or len(set(found.plain)) == 3
    assert all(len(word.split()) == 1 for word in (*found.plain, *found.short))
    assert len(set(found.short)) == 3 and found.subject == "path"


def test_grey_pictures_have_three_channels():
    grey = strips.of_images(image_set("pneumoniamnist", classes=2, shape=()))
    assert grey.images["test"].shape[1:] == (24, 24, 3) and grey.n_answers == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [({"clinic": "Z"}, "there is no clinic 'Z'"), ({"split": "validation"}, "has no split"),
     ({"n": -1}, "use 0 or more")],
)  # fmt: skip
def test_wrong_arguments_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        strips.build_items(**{"images": BLOOD, "clinic": "A", "split": "test", "n": 1, **change})


@pytest.mark.parametrize(
    ("images", "message"),
    [(image_set(task="multilabel"), "is multi-label"), (image_set(side=20), "strips need 24")],
)
def test_sets_that_make_no_strips_are_refused(images, message):
    with pytest.raises(UserError, match=message):
        strips.of_images(images)


def test_a_class_without_pictures_is_refused():
    made = image_set()
    made.labels["test"] = np.zeros(24, dtype=np.int64)
    with pytest.raises(UserError, match="bloodmnist has no kind b in its split test"):
        strips.of_images(made)


@pytest.mark.skipif(not MEDMNIST.is_dir(), reason=f"no MedMNIST files in {MEDMNIST}")
@pytest.mark.parametrize(("name", "answers"), [("bloodmnist", 448), ("dermamnist", 294)])
def test_real_sets(name, answers):
    with pytest.raises(UserError, match="delete it and fetch it again, or allow this one file"):
        strips.load(name, str(MEDMNIST))
    allow = (name, "pathmnist")
    items = strips.build_items(
        name, "E", "test", n=20, seed=900, root=str(MEDMNIST), allow=allow
    )
    assert {item.n_answers for item in items} == {answers}
    found = strips.load(name, str(MEDMNIST), (name,))
    assert items == strips.build_items(found, "E", "test", n=20, seed=900)
    other = strips.build_items(found, "A", "test", n=20, seed=900)
    assert [item.images for item in items] == [item.images for item in other]
    assert len({item.images[0].tobytes() for item in items}) == 20
