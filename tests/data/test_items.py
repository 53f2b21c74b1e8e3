from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import tiny
from medrl_core.data import medmnist
from medrl_core.data.images import ImageSet
from medrl_core.data.items import LETTERS, build_items, question_texts
from medrl_core.data.prompts import (
    messages,
    prompt_hash,
    rationale,
    target_text,
    to_dataset,
    user_text,
)
from medrl_core.errors import UserError
from medrl_core.train.targets import targets


def toy_set(labels=(0, 0, 0, 0, 0, 0, 1, 1, 2), classes=("red", "green", "blue"), **fields):
    """Images whose grey value is their number, with the given labels, as every split."""
    n = len(labels)
    images = np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None], (n, 8, 8)).copy()
    splits = ("train", "val", "test")
    values = {
        "name": "toy", "modality": "toy picture", "task": "multiclass", "classes": classes,
        "images": dict.fromkeys(splits, images),
        "labels": dict.fromkeys(splits, np.asarray(labels, dtype=np.int64)),
        "origin": "unverified", "md5": "0",
    }
    return ImageSet(**{**values, **fields})


def test_snapshot_of_an_open_prompt():
    item = build_items(toy_set(), "test", "open", seed=0)[0]
    assert user_text(replace(item, question="What does this toy picture show?")) == (
        "What does this toy picture show?\n"
        "Think, then give the name: <think> ... </think><answer> ... </answer>"
    )
    assert target_text(item) == (
        "<think>This toy picture shows red.</think><answer>red</answer>"
    )
    assert [rationale(item, variant) for variant in range(3)] == [
        "This toy picture shows red.", "I see red.", "The image shows red.",
    ]


def test_snapshot_of_a_multiple_choice_prompt():
    item = replace(
        build_items(toy_set(), "test", "mcq", seed=0)[0],
        question="What is seen in this toy picture?", options=("blue", "red", "green"), gold="B",
    )
    assert user_text(item) == (
        "What is seen in this toy picture?\nA) blue\nB) red\nC) green\n"
        "Think, then give the option: <think> ... </think><answer> ... </answer>"
    )
    assert target_text(item) == "<think>This toy picture shows red.</think><answer>red</answer>"
    assert messages(item) == [
        {
            "role": "user",
            "content": [{"type": "image"}, {"type": "text", "text": user_text(item)}],
        }
    ]


def test_snapshot_of_the_questions():
    assert question_texts("X") == (
        "What does this X show?", "Which finding does this X show?", "What is seen in this X?",
    )


def test_ids_and_fields():
    item = build_items(toy_set(), "val", "mcq", seed=0)[8]
    assert (item.item_id, item.image_id) == ("toy/val/8/mcq", "toy/val/8")
    assert (item.dataset, item.modality, item.split, item.label) == (
        "toy", "toy picture", "val", 2
    )
    assert (item.gold_text, item.n_options, item.label_set) == ("blue", 3, toy_set().classes)
    assert item.images[0].mode == "RGB" and item.images[0].getpixel((0, 0)) == (8, 8, 8)


@pytest.mark.parametrize("answer_format", ["open", "mcq"])
def test_gold_is_right_and_not_told(answer_format):
    image_set = tiny.image_set()
    items = build_items(image_set, "test", answer_format, seed=3)
    assert len(items) == 24
    for item, label in zip(items, image_set.labels["test"], strict=True):
        truth = image_set.classes[label]
        assert item.gold_text == truth and item.label == label
        assert truth.lower() not in item.question.lower()
        assert (item.gold in LETTERS) == (answer_format == "mcq")
        if item.options:
            assert len(set(item.options)) == len(item.options) == min(4, len(image_set.classes))
            assert set(item.options) <= set(image_set.classes)
        else:
            assert not any(label in user_text(item) for label in image_set.classes)


def test_a_draw_is_as_equal_over_classes_as_the_split_allows():
    def classes(n):
        return Counter(item.gold for item in build_items(toy_set(), "test", n=n, seed=1))

    assert classes(3) == {"red": 1, "green": 1, "blue": 1}
    assert classes(5) == {"red": 2, "green": 2, "blue": 1}
    assert classes(7) == {"red": 4, "green": 2, "blue": 1}
    assert classes(None) == classes(9) == classes(99) == {"red": 6, "green": 2, "blue": 1}


@pytest.mark.parametrize("answer_format", ["open", "mcq"])
def test_an_item_does_not_depend_on_n(answer_format):
    whole = {item.item_id: item for item in build_items(toy_set(), "test", answer_format, seed=4)}
    smaller: set[str] = set()
    for n in range(1, 10):
        drawn = build_items(toy_set(), "test", answer_format, n=n, seed=4)
        assert len(drawn) == n
        for item in drawn:
            assert user_text(item) == user_text(whole[item.item_id])
            assert prompt_hash(item) == prompt_hash(whole[item.item_id])
        ids = {item.item_id for item in drawn}
        assert smaller < ids
        smaller = ids


def test_the_seed_changes_images_wording_and_options():
    labels = [0, 1, 2] * 10

    def texts(seed, n=None):
        return [user_text(i) for i in build_items(toy_set(labels), "test", "mcq", n=n, seed=seed)]

    def images(seed):
        return [i.image_id for i in build_items(toy_set(labels), "test", n=6, seed=seed)]

    assert texts(0) == texts(0) != texts(1)
    assert images(0) == images(0) != images(1)


def test_gold_letters_are_spread():
    items = build_items(toy_set([0, 1, 2] * 40), "test", "mcq", seed=0)
    counts = Counter(item.gold for item in items)
    assert set(counts) == {"A", "B", "C"} and min(counts.values()) > 25


@pytest.mark.parametrize("answer_format", ["open", "mcq"])
def test_the_question_does_not_depend_on_the_answer(answer_format):
    """No leak: another gold answer leaves every wording, the options and their order alone."""
    image_set = tiny.image_set()
    wordings = set()
    for item in build_items(image_set, "train", answer_format):
        golds = LETTERS[: len(item.options)] if item.options else item.label_set
        assert {user_text(replace(item, gold=gold)) for gold in golds} == {user_text(item)}
        assert item.question in question_texts(item.modality)
        wordings.add(item.question)
        if answer_format == "open":
            assert item.gold.lower() not in user_text(item).lower()
            for variant in range(3):
                assert item.gold in target_text(item, variant)
    assert wordings == set(question_texts(item.modality))
    # Which wording an image gets: the same when the image has another label.
    labels = image_set.labels["train"]
    turned = replace(image_set, labels={**image_set.labels, "train": np.roll(labels, 1)})
    asked, again = (
        [item.question for item in build_items(one, "train", answer_format)]
        for one in (image_set, turned)
    )
    assert asked == again


@pytest.mark.parametrize("name", medmnist.datasets())
def test_no_question_on_a_real_set_names_one_of_its_classes(name):
    about = medmnist.info(name)
    for text in question_texts(about.modality):
        assert not [one for one in about.classes if one.lower() in text.lower()]



def test_formats_of_one_image_share_its_image_id():
    open_items = build_items(toy_set(), "test", "open")
    mcq_items = build_items(toy_set(), "test", "mcq")
    assert [i.image_id for i in open_items] == [i.image_id for i in mcq_items]
    assert not {i.item_id for i in open_items} & {i.item_id for i in mcq_items}


@pytest.mark.parametrize(
    ("fields", "split", "answer_format", "message"),
    [
        ({}, "test", "essay", "answer_format 'essay' is unknown: use one of open, mcq"),
        ({}, "dev", "open", "toy has no split 'dev'"),
        ({"task": "multilabel"}, "test", "open", "toy is multi-label"),
    ],
)
def test_wrong_arguments_are_refused(fields, split, answer_format, message):
    with pytest.raises(UserError, match=message):
        build_items(toy_set(**fields), split, answer_format)


def test_the_prompt_hash_sees_text_and_pixels_alone():
    item = tiny.plain_item(n_images=2)
    assert prompt_hash(item) == prompt_hash(replace(item, gold="A", item_id="other"))
    others = [
        replace(item, question="Which?"),
        replace(item, options=("dog", "cat")),
        replace(item, images=item.images[::-1]),
        replace(item, images=item.images[:1]),
        replace(item, answer_format="open"),
    ]
    hashes = [prompt_hash(other) for other in [item, *others]]
    assert len(set(hashes)) == 6 and all(len(h) == 16 for h in hashes)


def test_the_data_set_holds_what_the_trainers_need():
    items = [*tiny.items("open", 2), replace(tiny.plain_item(n_images=2), synonyms={"pup": "dog"})]
    rows = list(to_dataset(items, targets(items, 0)))
    assert [row["prompt"] for row in rows] == [
        [{"role": "user", "content": user_text(item)}] for item in items
    ]
    for row, item in zip(rows, items, strict=True):
        assert row["completion"][0]["content"] in {target_text(item, v) for v in range(3)}
        assert [i.tobytes() for i in row["images"]] == [i.tobytes() for i in item.images]
    assert rows[2]["options"] == ["cat", "dog"] and rows[0]["options"] is None
    assert rows[2]["synonyms"] == [["pup", "dog"]] and rows[0]["synonyms"] == []
    assert "completion" not in to_dataset(items).column_names
