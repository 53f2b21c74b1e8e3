from __future__ import annotations

import numpy as np
import pytest

from medrl_core.data.drawn.items import build_items
from medrl_core.data.drawn.modalities import BOOKS_WORLD, RULES_WORLD
from medrl_core.data.drawn.pictures import draw
from medrl_core.data.drawn.world import SPLITS, report_words, words
from medrl_core.data.prompts import messages, target_text, user_text
from medrl_core.errors import UserError
from medrl_core.score.evaluate import parse_item
from medrl_core.score.parsing import is_correct


def facts_of(item):
    from medrl_core.data.drawn.world import SEEN

    return tuple(terms.index(word) for terms, word in zip(SEEN, item.reading.split(), strict=True))


def test_an_item_asks_for_the_report_of_its_picture():
    item = build_items(RULES_WORLD, "chest film", "test", n=1)[0]
    facts = facts_of(item)
    assert item.gold.split() == report_words(facts, RULES_WORLD["chest film"].convention)
    assert user_text(item) == "Report this chest film."
    assert messages(item)[0]["content"][0] == {"type": "image"}
    assert item.n_options == 1152 and item.answer_format == "report" and item.split == "test"
    # Split test has number 2, and item 0 of seed 0 the picture 2,000,000.
    assert item.images[0].tobytes() == draw("chest film", facts, 2_000_000).tobytes()


def test_its_own_target_is_right_and_other_forms_are_not():
    item = build_items(RULES_WORLD, "chest film", "test", n=1)[0]
    right = f"<think> {item.reading}</think><answer> {item.gold}</answer>"
    assert target_text(item) == right
    wrong = item.gold.replace(item.gold.split()[1], "left right".replace(item.gold.split()[1], ""))
    cases = {
        right: True,
        f"<think> anything</think><answer> {item.gold}</answer>": True,
        item.gold: False,
        f"<answer> {item.gold}</answer>": False,
        f"<think> {item.reading}</think> {item.gold}": False,
        f"<think> {item.reading}</think><answer> {item.gold}": False,
        f"<think> {item.reading}</think><answer> {wrong}</answer>": False,
        f"<think> {item.reading}</think><answer> {item.gold} {item.gold}</answer>": False,
    }
    for text, expected in cases.items():
        assert is_correct(parse_item(text, item).answer, item.gold) is expected, text


def test_each_combination_of_a_split_comes_once_before_any_comes_again():
    items = build_items(RULES_WORLD, "brain MRI", "validation", n=130, seed=3)
    facts = [facts_of(item) for item in items]
    wanted = {tuple(row) for row in SPLITS["validation"].tolist()}
    assert set(facts[:64]) == set(facts[64:128]) == wanted
    assert facts[:64] != facts[64:128]
    assert len({item.item_id for item in items}) == 130
    assert len({item.images[0].tobytes() for item in items}) == 130
    assert items[:70] == build_items(RULES_WORLD, "brain MRI", "validation", n=70, seed=3)
    assert items[0].reading != build_items(RULES_WORLD, "brain MRI", "validation", n=1)[0].reading


def test_noise_is_in_the_picture_alone():
    items = build_items(RULES_WORLD, "blood smear", "test")
    place = [
        np.asarray(item.images[0]).tobytes()
        == draw("blood smear", facts_of(item), 2_000_000 + i).tobytes()
        for i, item in enumerate(items)
    ]
    # Each of six facts is drawn anew with chance .1; of n values one in n comes out the same.
    shown = np.prod([1 - 0.1 + 0.1 / n for n in (6, 2, 4, 3, 2, 4)])
    assert abs(np.mean(place) - shown) < 4 * (shown * (1 - shown) / len(items)) ** 0.5


def test_books_number_their_facts():
    items = build_items(BOOKS_WORLD, "tissue slide", "train")
    assert {item.label for item in items} == set(range(24))
    by_fact = {}
    for item in items:
        by_fact.setdefault(item.label, set()).add(item.gold.split()[0])
    assert all(len(codes) == 1 for codes in by_fact.values())
    assert words([0]) == ["nodule"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": "val"}, "split 'val' is unknown: use one of train, validation, test"),
        ({"modality": "x-ray"}, "has no modality 'x-ray'"),
        ({"seed": -1}, "a seed of 0 or more"),
        ({"n": -1}, "use 0 to"),
    ],
)
def test_wrong_arguments_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        build_items(**{"world": RULES_WORLD, "modality": "chest film", "split": "test", **change})
