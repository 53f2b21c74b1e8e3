"""The balanced subset: every count by hand, balance and determinism on drawn supplies."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medrl_core.data.items import Item
from medrl_core.data.own import read_items
from medrl_core.data.pictures import picture_id
from medrl_core.errors import UserError
from medrl_core.train import subset
from running import medrl

GREY = [Image.new("RGB", (4, 4), (i, i, i)) for i in range(3)]


def item(index, gold="A", question="What is it?", image=None, options=("x", "y", "z", "w")):
    return Item(
        item_id=f"pmc/test/{index}", image_id=f"pmc/{index}", dataset="pmc", modality="figure",
        images=(image or GREY[0],), question=question, options=options, label_set=options or (),
        gold=gold, answer_format="mcq" if options else "open", split="test",
    )  # fmt: skip


@pytest.mark.parametrize(("question", "kind"), [
    ("What is it?", "what"), ("In this image, which organ is shown?", "which"),
    ("Is it a tumour?", "yes or no"), ("How many cells?", "how"), ("Name the organ.", "other"),
])
def test_kinds_of_questions(question, kind):
    assert subset.kind_of(question) == kind


def test_every_count_by_hand():
    items = [
        item(0), item(1, "B"), item(2, "B", "Where is it?"), item(3, "C"),
        item(4, "D", image=GREY[1]),  # a benchmark shows it
        item(5, "x", options=None),  # open
        item(6, "D"), item(7, "A"), item(8, "A"),
    ]  # fmt: skip
    passes = {f"pmc/test/{i}": (2, 4) for i in range(9)}
    passes |= {"pmc/test/6": (0, 4), "pmc/test/7": (4, 4)}
    del passes["pmc/test/8"]
    filters = subset.Filter(excluded={picture_id(GREY[1])})
    chosen, card = subset.choose(items, 3, passes, filters)
    assert card == {
        "read": 9, "wanted": 3, "seed": 0, "no multiple choice": 1,
        "shows a picture of a benchmark": 1, "difficulty not measured": 1, "never solved": 1,
        "always solved": 1, "of these dropped": 2, "left to choose from": 4, "chosen": 3,
        "by letter": {"A": 1, "B": 1, "C": 1}, "by type": {"what": 2, "where": 1}, "pictures": 1,
    }  # fmt: skip
    # One of each letter; B comes from the type taken least by then.
    assert [one.item_id[-1] for one in chosen] == ["0", "2", "3"]
    loose = subset.Filter(drop_never=False, drop_always=False, excluded=filters.excluded)
    _, card = subset.choose(items, 9, passes, loose)
    assert (card["of these dropped"], card["left to choose from"]) == (0, 6)
    _, card = subset.choose(items, 9)
    assert card["left to choose from"] == 8 and "never solved" not in card


def test_nothing_left_says_what_was_left_out():
    with pytest.raises(UserError, match="never solved: 1.*loosen the filters"):
        subset.choose([item(0)], 1, {"pmc/test/0": (0, 4)})


supplies = st.lists(
    st.tuples(st.sampled_from("ABCD"), st.sampled_from(["What?", "Where?", "Is it?"])),
    min_size=1, max_size=40,
)  # fmt: skip


@given(supplies, st.integers(1, 40), st.integers(0, 3), st.randoms(use_true_random=False))
def test_letters_are_as_equal_as_the_supply_allows_and_the_order_of_the_items_is_nothing(
    supply, n, seed, random
):
    items = [item(i, gold, question) for i, (gold, question) in enumerate(supply)]
    chosen, card = subset.choose(items, n, seed=seed)
    assert len(chosen) == card["chosen"] == min(n, len(items))
    assert len({one.item_id for one in chosen}) == len(chosen)
    had, took = Counter(one.gold for one in items), Counter(one.gold for one in chosen)
    for letter in had:  # a letter is behind another only where it had no more
        if took[letter] < max(took.values()) - 1:
            assert took[letter] == had[letter]
    random.shuffle(items)
    again, same = subset.choose(items, n, seed=seed)
    assert again == chosen and same == card


def test_types_are_equal_where_the_supply_allows():
    questions = ["What?", "Where?", "Is it?", "Why?"]
    items = [item(f"{g}{q}{i}", g, q) for g in "ABCD" for q in questions for i in range(3)]
    _, card = subset.choose(items, 16)
    assert set(card["by letter"].values()) == {4} and set(card["by type"].values()) == {4}


def test_what_is_written_is_read_back_and_the_card_lies_beside(tmp_path):
    items = [item(0, "B"), item(1, "A", "Où?", GREY[2])]
    path = subset.write(items, {"chosen": 2}, tmp_path / "s")
    back = read_items(path)
    for one, same in zip(items, back, strict=True):
        for name in ("item_id", "question", "options", "gold", "answer_format"):
            assert getattr(one, name) == getattr(same, name)
        assert picture_id(one.images[0]) == picture_id(same.images[0])
    card = json.loads((tmp_path / "s/card.json").read_text())
    assert card["chosen"] == 2 and len(card["sha256 of items.jsonl"]) == 64
    with pytest.raises(UserError, match="is there already"):
        subset.write(items, {}, tmp_path / "s")


def test_the_command_makes_the_same_bytes_again_and_knows_the_benchmarks(tmp_path):
    source = subset.write([item(i, "ABCD"[i % 4], image=GREY[i % 3]) for i in range(12)], {},
                          tmp_path / "all")  # fmt: skip
    root = tmp_path / "vqa"
    subset.write([item(0, image=GREY[1])], {}, root / "b")
    (root / "slake.jsonl").write_text((root / "b/items.jsonl").read_text())
    (root / "b/images").rename(root / "images")
    words = ["data", "subset", source, "--against", root, "-n", 6]
    done = medrl(*words, "--out", tmp_path / "one")
    assert done.exit_code == 0, done.output
    card = json.loads((tmp_path / "one/card.json").read_text())
    assert card["shows a picture of a benchmark"] == 4 and card["chosen"] == 6
    assert card["compared with"] == ["SLAKE"] and "PMC-VQA" in card["not compared with"]
    assert medrl(*words, "--out", tmp_path / "two").exit_code == 0
    for name in ("items.jsonl", "card.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    done = medrl(*words, "--out", tmp_path / "one")
    assert done.exit_code == 2 and "is there already" in done.stderr
