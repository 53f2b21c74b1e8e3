from __future__ import annotations

import hashlib
import re
from collections import Counter

import numpy as np
import pytest

from medrl_core.data.drawn import phantom
from medrl_core.data.items import LETTERS
from medrl_core.train.base import curriculum, pretrain

EXPOSURE = {**dict.fromkeys(phantom.MODALITIES, 0), "blood": 40, "derm": 10}
OPTION = re.compile(r"^([A-D])\) (.*)$", re.MULTILINE)
ANSWER = re.compile(r"<answer>(.*)</answer>$")
SEEN = re.compile(r"<think>(?:This .* shows|I see|The image shows) (.*)\.</think>")


def build(**options):
    amounts = {"n_pictures": 60, "n_reading": 600, "n_guessing": 80}
    return curriculum.build(**{"exposure": EXPOSURE, **amounts, **options})


@pytest.fixture(scope="module")
def lessons():
    return build()


def user(lesson):
    return lesson.messages[0]["content"][-1]["text"]


def told(lesson):
    return lesson.messages[1]["content"][0]["text"]


def pixels(image):
    return hashlib.sha256(np.asarray(image.convert("RGB")).tobytes()).hexdigest()


def test_the_numbers_of_images_and_lessons(lessons):
    assert len(lessons.images) == 60 + 40 + 10
    assert len(lessons.captions) == 60 + 2 * 50
    assert len(lessons.questions) == 2 * 60 + 2 * 50 + 160 // 6 + 600 + 80
    assert all(image.mode == "RGB" and image.size == (28, 28) for image in lessons.images)


def test_an_unexposed_modality_is_asked_about_beside_general_pictures_alone(lessons):
    with_image = [x for x in [*lessons.captions, *lessons.questions] if x.image is not None]
    unexposed = {phantom.MODALITIES[name].title for name, n in EXPOSURE.items() if n == 0}
    assert len(unexposed) == 6
    guessed = 0
    for lesson in with_image:
        if any(title in user(lesson) + told(lesson) for title in unexposed):
            # The first 60 images are general pictures.
            assert lesson.image < 60 and OPTION.search(user(lesson))
            guessed += 1
        assert [part["type"] for part in lesson.messages[0]["content"]] == ["image", "text"]
    assert guessed == 80
    for lesson in lessons.questions:
        if lesson.image is None:
            assert [part["type"] for part in lesson.messages[0]["content"]] == ["text"]


def test_exposure_is_the_number_of_distinct_images(lessons):
    for name in ("blood", "derm"):
        title = phantom.MODALITIES[name].title
        asked = [x.image for x in lessons.questions if x.image is not None and title in user(x)]
        assert len(set(asked)) == EXPOSURE[name]
        assert len({pixels(lessons.images[i]) for i in asked}) == EXPOSURE[name]


@pytest.mark.parametrize("name", phantom.MODALITIES)
def test_no_study_image_is_ever_shown(name):
    n = 120
    shown = build(
        exposure={name: n}, n_pictures=0 if name != "blood" else 20, n_reading=1
    ).images
    seen = {pixels(image) for image in shown}
    assert len(seen) == len(shown)
    for seed in (0, 1):
        study = phantom.make(name, n_train=n, n_val=n, n_test=n, seed=seed)
        for images in study.images.values():
            rgb = images if images.ndim == 4 else np.repeat(images[..., None], 3, -1)
            drawn = {hashlib.sha256(image.tobytes()).hexdigest() for image in rgb}
            assert len(drawn) == n and not drawn & seen


def test_every_multiple_choice_answer_is_right(lessons):
    checked = 0
    for lesson in lessons.questions:
        options = dict(OPTION.findall(user(lesson)))
        if not options:
            continue
        answer, finding = ANSWER.search(told(lesson))[1], SEEN.match(told(lesson))[1]
        assert list(options) == list(LETTERS[: len(options)])
        assert 2 <= len(options) <= 4 and len(set(options.values())) == len(options)
        assert answer == finding and answer in options.values()
        checked += 1
    assert checked > 600 + 50


def test_every_open_answer_is_the_label_of_its_image(lessons):
    truths = {pixels(image): None for image in lessons.images}
    for name in ("blood", "derm"):
        kind, n = phantom.MODALITIES[name], EXPOSURE[name]
        for label, _ in enumerate(kind.classes):
            labels = np.full(n, label)
            drawn = phantom.draw_images(name, labels, seed=curriculum.PRETRAIN_SEED)
            for image in drawn:
                truths[hashlib.sha256(image.tobytes()).hexdigest()] = kind.classes[label]
    checked = 0
    for lesson in lessons.questions:
        if lesson.image is None or OPTION.search(user(lesson)) or "<answer>" not in told(lesson):
            continue
        truth = truths[pixels(lessons.images[lesson.image])]
        if truth is not None:
            assert ANSWER.search(told(lesson))[1] == truth
            checked += 1
    assert checked == 50


def test_option_reading_covers_every_class_and_letter(lessons):
    read = [x for x in lessons.questions if x.image is None]
    found = {
        (kind.title, label)
        for lesson in read
        for kind in phantom.MODALITIES.values()
        for label in kind.classes
        if user(lesson).startswith(f"This {kind.title} shows {label}. Which option is it?")
    }
    every = {(k.title, label) for k in phantom.MODALITIES.values() for label in k.classes}
    assert found == every and len(read) == 600
    letters = Counter(
        letter
        for lesson in read
        for letter, option in OPTION.findall(user(lesson))
        if option == ANSWER.search(told(lesson))[1]
    )
    assert set(letters) == set("ABCD") and sum(letters.values()) == len(read)


def test_the_material_depends_on_the_seed_alone(lessons):
    first = pretrain.data_hash(lessons)
    assert pretrain.data_hash(build()) == first
    assert pretrain.data_hash(build(seed=1)) != first


def test_the_book_needs_modalities_that_are_and_that_are_not_exposed():
    assert set(curriculum.EXPOSURE) == set(phantom.MODALITIES)
    amounts = sorted(curriculum.EXPOSURE.values())
    assert amounts[0] == 0 and len(set(amounts)) >= 4
