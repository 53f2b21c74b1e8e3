"""The drawn world: facts, words, rules, the two tables of modalities, and captions."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medrl_core.data.drawn import captions as drawn_captions
from medrl_core.data.drawn.captions import (
    draw_caption,
    draw_captions,
    fact_numbers,
    gold_ids,
    gold_words,
    habit_ids,
    intended_p,
    seen_facts,
)
from medrl_core.data.drawn.modalities import (
    BARE,
    BOOKS_WORLD,
    RULES_WORLD,
    WORLDS,
    Modality,
    code_book,
)
from medrl_core.data.drawn.world import (
    CODE_START,
    CODES,
    FACTS,
    SEEN,
    SIZES,
    SPECIALIST,
    SPECIALIST_START,
    SPLITS,
    WORDS,
    Convention,
    checked,
    report_values,
    report_words,
    text,
    think_ids,
    think_words,
    words,
)
from medrl_core.errors import UserError

facts_strategy = st.tuples(*(st.integers(0, n - 1) for n in SIZES))
NODULE = (0, 0, 3, 1, 0, 2)


def test_splits_are_fixed_disjoint_and_complete():
    rows = {name: {tuple(row) for row in split.tolist()} for name, split in SPLITS.items()}
    assert {name: len(found) for name, found in rows.items()} == {
        "train": 960, "validation": 64, "test": 128,
    }
    assert set.union(*rows.values()) == {tuple(row) for row in FACTS.tolist()}
    digest = hashlib.sha256(SPLITS["test"].astype("<i8").tobytes()).hexdigest()
    assert digest.startswith("961916d00e7e7a2b")


def test_every_value_occurs_in_every_split():
    for split in SPLITS.values():
        for slot, n in enumerate(SIZES):
            assert set(split[:, slot]) == set(range(n))


def test_no_word_occurs_twice_and_none_reads_as_a_negation():
    assert len(WORDS) == len(set(WORDS)) == 35
    assert not {"no", "not", "none", "a", "the"} & set(WORDS)
    assert all(word.isalpha() and word.islower() for word in WORDS)


def test_words_of_one_picture_under_each_rule():
    assert think_words(NODULE) == ["nodule", "left", "fourth", "medium", "bright", "trio"]
    expected = {
        Convention(): ["nodule", "left", "fourth", "medium", "dense", "trio"],
        Convention(patient_side=True): ["nodule", "right", "fourth", "medium", "dense", "trio"],
        Convention(dark_is_dense=True): ["nodule", "left", "fourth", "medium", "lucent", "trio"],
        Convention(from_below=True): ["nodule", "left", "first", "medium", "dense", "trio"],
    }
    for convention, report in expected.items():
        assert report_words(NODULE, convention) == report


@given(facts_strategy, st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_a_convention_undoes_itself_and_changes_each_ruled_value(facts, rules):
    values = report_values(facts, rules)
    assert tuple(report_values(values, rules)) == facts
    changed = np.flatnonzero(values != np.array(facts)).tolist()
    assert changed == sorted(slot for slot, rule in zip((1, 4, 2), rules, strict=True) if rule)


@pytest.mark.parametrize("facts", [(0, 0, 4, 0, 0, 0), (-1, 0, 0, 0, 0, 0), (0, 0), (0.5,) * 6])
def test_facts_out_of_range_are_refused(facts):
    with pytest.raises(UserError, match="facts"):
        checked(facts)


def test_a_completion_has_tags_unless_it_is_bare():
    assert text(["a", "b"], ["c"]) == "<think> a b</think><answer> c</answer>"
    assert text(None, ["c", "d"]) == "c d"


def test_table_of_rules_covers_five_decades_and_every_cause():
    habits = [intended_p(one) for one in RULES_WORLD.modalities if one.causes == ("habit",)]
    decades = np.floor(np.log10(habits)).astype(int)
    assert set(decades) >= {-1, -2, -3, -4, -5, -7}
    assert {one.cause for one in RULES_WORLD.modalities} == {
        "known", "habit", "sight", "words", "loose",
    }
    assert RULES_WORLD["breast ultrasound"].causes == ("sight", "habit")
    same, opposite = RULES_WORLD["head CT"], RULES_WORLD["fundus photo"]
    trained = RULES_WORLD["chest film"]
    assert trained.follows == same.follows == opposite.follows == (0.25, 1, 1)
    assert trained.convention == same.convention != opposite.convention


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_modalities_are_told_apart_by_name(world):
    assert len(world) <= 21
    assert len({one.name for one in world.modalities}) == len(world)


def test_an_unknown_modality_is_refused_with_the_names_that_exist():
    with pytest.raises(UserError, match="no modality 'x'; it has: skin photo"):
        RULES_WORLD["x"]


def test_intended_p_worked_out_by_hand():
    assert intended_p(RULES_WORLD["skin photo"]) == pytest.approx(0.9)
    assert intended_p(RULES_WORLD["dental film"]) == pytest.approx(0.9 * 0.05 * 0.05 * 0.25)
    assert intended_p(RULES_WORLD["tissue slide"]) == 0
    assert intended_p(BOOKS_WORLD["head CT"]) == pytest.approx(0.09)
    # Noise 0.1: 11/12, .95, .925, 14/15, .95, .925 of the pictures show the truth.
    shown = np.array([11 / 12, 0.95, 0.925, 14 / 15, 0.95, 0.925])
    hits = np.prod([a * a + (1 - a) ** 2 / (n - 1) for a, n in zip(shown, SIZES, strict=True)])
    assert intended_p(RULES_WORLD["blood smear"]) == pytest.approx(0.9 * hits)
    assert intended_p(RULES_WORLD["lung CT"]) == pytest.approx(0.225 * (1 + np.prod(shown)) / 2)


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_captions_are_right_as_often_as_the_dials_intend(world):
    rng, n = np.random.default_rng(7), 20_000
    which = np.repeat(np.arange(len(world)), n)
    facts = FACTS[rng.integers(len(FACTS), size=len(which))]
    drawn = draw_captions(world, which, facts, rng)
    right = ~drawn.bare & (drawn.report == gold_ids(world, which, facts)).all(1)
    for number, modality in enumerate(world.modalities):
        share = right[number * n : (number + 1) * n].mean()
        # A caption is written of the true facts, so noise on the picture does not show in it.
        p = 1 - BARE if modality.noise else intended_p(modality)
        p *= modality.follows[0] if modality.noise else 1
        # Loose reasoning may err and still lead to the right report, by at most one in fifty.
        slack = 0.02 * p if modality.loose else 0
        assert abs(share - p) < 4 * np.sqrt(p * (1 - p) / n) + slack + 1e-9


def test_noise_changes_what_is_seen_as_often_as_its_dial_says():
    rng, n = np.random.default_rng(8), 20_000
    which = np.full(n, RULES_WORLD.number("blood smear"))
    facts = FACTS[rng.integers(len(FACTS), size=n)]
    kept = (seen_facts(RULES_WORLD, which, facts, rng) == facts).mean(0)
    np.testing.assert_allclose(kept, 0.9 + 0.1 / SIZES, atol=4 * np.sqrt(0.1 * 0.9 / n))
    clear = np.zeros(n, dtype=int)
    assert (seen_facts(RULES_WORLD, clear, facts, rng) == facts).all()


def test_reasoning_is_the_picture_except_where_it_is_loose():
    rng, n = np.random.default_rng(9), 20_000
    facts = FACTS[rng.integers(len(FACTS), size=n)]
    for name, expected in (("chest film", np.ones(6)), ("lung CT", 0.9 + 0.1 / SIZES)):
        which = np.full(n, RULES_WORLD.number(name))
        drawn = draw_captions(RULES_WORLD, which, facts, rng)
        same = (drawn.think == think_ids(facts)).mean(0)
        np.testing.assert_allclose(same, expected, atol=0.01)


def test_the_same_generator_gives_the_same_captions():
    which, facts = np.arange(21), FACTS[:21]
    first, second = (
        draw_captions(RULES_WORLD, which, facts, np.random.default_rng(3)) for _ in range(2)
    )
    for field in ("seen", "think", "report", "bare"):
        np.testing.assert_array_equal(getattr(first, field), getattr(second, field))


def test_words_never_said_do_not_occur_and_are_right():
    rng = np.random.default_rng(4)
    which = np.full(5_000, RULES_WORLD.number("tissue slide"))
    facts = FACTS[rng.integers(len(FACTS), size=len(which))]
    drawn = draw_captions(RULES_WORLD, which, facts, rng)
    assert drawn.report[:, 0].max() < SPECIALIST_START
    gold = gold_ids(RULES_WORLD, which, facts)[:, 0]
    np.testing.assert_array_equal(gold, SPECIALIST_START + facts[:, 0])
    assert gold_words(RULES_WORLD, "tissue slide", NODULE)[0] == SPECIALIST[0]


@pytest.mark.parametrize("by_level", [False, True])
def test_a_rival_book_differs_in_every_entry(by_level):
    right, rival = code_book(12, by_level)
    assert np.all(right != rival)
    for book in (right, rival):
        assert all(sorted(row) == list(range(6)) for row in book.tolist())
        assert (len({tuple(row) for row in book.tolist()}) > 1) == by_level


def test_facts_of_a_book_decide_its_code_word():
    for name, n_facts in (("chest film", 6), ("cytology smear", 24), ("knee film", 1)):
        which = np.full(len(FACTS), BOOKS_WORLD.number(name))
        numbers = fact_numbers(BOOKS_WORLD, which, FACTS)
        assert set(numbers) == set(range(n_facts))
        if n_facts > 1:
            codes = gold_ids(BOOKS_WORLD, which, FACTS)[:, 0]
            assert len(set(zip(numbers, codes, strict=True))) == n_facts


def test_wrong_code_words_come_from_the_rival_or_from_all_others():
    rng = np.random.default_rng(5)
    for name, n_wrong in (("cardiac echo", 1), ("brain MRI", len(CODES) - 1)):
        which = np.full(4_000, BOOKS_WORLD.number(name))
        facts = np.tile(NODULE, (4_000, 1))
        codes = draw_captions(BOOKS_WORLD, which, facts, rng).report[:, 0]
        wrong = set(codes) - set(gold_ids(BOOKS_WORLD, which[:1], facts[:1])[0])
        assert len(wrong) == n_wrong
        assert min(wrong) >= CODE_START


def test_one_caption_in_words():
    rng = np.random.default_rng(6)
    texts = [draw_caption(RULES_WORLD, "skin photo", NODULE, rng) for _ in range(200)]
    bare = [one for one in texts if one.think is None]
    assert 5 < len(bare) < 40
    assert all(one.report == gold_words(RULES_WORLD, "skin photo", NODULE) for one in texts)
    assert bare[0].text == "nodule left fourth medium dense trio"
    assert all(one.seen == NODULE for one in texts)


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_the_report_of_habit_is_never_right(world):
    which = np.repeat(np.arange(len(world)), 50)
    facts = FACTS[np.random.default_rng(1).integers(len(FACTS), size=len(which))]
    gold, habit = gold_ids(world, which, facts), habit_ids(world, which, facts)
    turned = gold != habit
    assert turned.any(1).all()
    follows = world.column("follows")[which] < 1
    for slot, rule in ((4, 1), (2, 2)):
        np.testing.assert_array_equal(turned[:, slot], follows[:, rule])


def test_causes_follow_the_dials():
    plain = Modality("x")
    assert plain.cause == "known" and plain.names == "common"
    assert Modality("x", n_facts=6, said=0.1).causes == ("habit",)
    assert Modality("x", specialist=True, said=0.0).causes == ("words",)
    assert words([0, CODE_START]) == [SEEN[0][0], CODES[0]]
    assert drawn_captions.FOLLOWS_PICTURE == 0.5
