from __future__ import annotations

import numpy as np
import pytest

from medrl_core.data.drawn.items import build_items
from medrl_core.data.drawn.labels import facts_of, mixed, shuffled
from medrl_core.data.drawn.modalities import BOOKS_WORLD, RULES_WORLD
from medrl_core.data.drawn.world import Convention, report_words
from medrl_core.errors import UserError

CHEST = build_items(RULES_WORLD, "chest film", "train", n=200, seed=900)


def test_wrong_labels_follow_the_habit():
    # A chest film is mirrored, and its captions mostly are not.
    for item, wrong in zip(CHEST, mixed(CHEST, RULES_WORLD, 1.0, 0), strict=True):
        facts = facts_of([item])[0]
        assert wrong.gold.split() == report_words(facts, Convention())
        assert wrong.gold != item.gold and wrong.reading == item.reading
        assert wrong.images == item.images


def test_a_share_of_the_labels_is_wrong():
    changed = [a != b for a, b in zip(CHEST, mixed(CHEST, RULES_WORLD, 0.2, 5), strict=True)]
    # 200 draws at .2: mean 40, standard deviation 5.7.
    assert 40 - 17 <= sum(changed) <= 40 + 17
    assert mixed(CHEST, RULES_WORLD, 0.2, 5) == mixed(CHEST, RULES_WORLD, 0.2, 5)
    assert mixed(CHEST, RULES_WORLD, 0.0, 5) == CHEST


def test_a_wrong_code_word_is_the_rival_books():
    items = build_items(BOOKS_WORLD, "tissue slide", "train", n=100)
    wrong = mixed(items, BOOKS_WORLD, 1.0, 0)
    by_fact = {}
    for item, other in zip(items, wrong, strict=True):
        assert item.gold.split()[0] != other.gold.split()[0]
        assert item.gold.split()[1:] == other.gold.split()[1:]
        by_fact.setdefault(item.label, set()).add(other.gold.split()[0])
    assert all(len(words) == 1 for words in by_fact.values())


def test_shuffled_labels_are_those_of_other_items():
    found = shuffled(CHEST, seed=3)
    assert sorted(item.gold for item in found) == sorted(item.gold for item in CHEST)
    pairs = {(item.reading, item.gold) for item in CHEST}
    assert {(item.reading, item.gold) for item in found} <= pairs
    # Of 200 items of 960 combinations none comes twice, so no item can keep its own label.
    assert not any(a.gold == b.gold for a, b in zip(CHEST, found, strict=True))
    assert all(a.images == b.images for a, b in zip(CHEST, found, strict=True))


def test_facts_are_read_from_the_reading():
    assert facts_of([]).shape == (0, 6)
    assert np.array_equal(facts_of(CHEST[:1])[0], facts_of(CHEST)[0])


def test_wrong_arguments_are_refused():
    with pytest.raises(UserError, match="a share of 1.5 wrong labels: use 0 to 1"):
        mixed(CHEST, RULES_WORLD, 1.5, 0)
    with pytest.raises(UserError, match="fewer than two items"):
        shuffled(CHEST[:1], 0)
