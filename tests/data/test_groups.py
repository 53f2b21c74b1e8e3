"""Groups of items: their names, kinds and causes."""

from __future__ import annotations

import pytest

from medrl_core.data import groups
from medrl_core.errors import UserError


@pytest.mark.parametrize(
    ("group", "kind", "label", "cause"),
    [
        ("drawn:chest film", "drawn", "chest film", "habit"),
        ("drawn:skin photo", "drawn", "skin photo", "known"),
        ("drawn:tissue slide", "drawn", "tissue slide", "words"),
        ("drawn:blood smear", "drawn", "blood smear", "sight"),
        ("books:head CT", "books", "head CT", "habit"),
        ("strips:bloodmnist:backward", "strips", "BloodMNIST, backward", ""),
        ("vqa:VQA-RAD", "vqa", "VQA-RAD", ""),
        ("mine/items.jsonl", "own", "items", ""),
    ],
)
def test_a_group_says_what_it_is(group, kind, label, cause):
    assert (groups.kind(group), groups.label(group), groups.cause(group)) == (kind, label, cause)


def table(path, *splits):
    rows = [f"Is it {n}?,yes,{split}" for n, split in enumerate(splits)]
    path.write_text("\n".join(["question,answer,split", *rows]))
    return str(path)


def test_items_of_your_own_are_trained_on_only_where_they_say_so(tmp_path):
    """Else the same questions would teach and examine."""
    named = table(tmp_path / "named.csv", "train", "train", "test", "val")
    assert [len(groups.load(named, split)) for split in groups.SPLITS] == [2, 1, 1]
    some = table(tmp_path / "some.csv", "train", "")
    none = table(tmp_path / "none.csv", "", "")
    assert len(groups.load(none, "test")) == 2
    for source in (some, none):
        for split in ("train", "val"):
            with pytest.raises(UserError, match=f"does not say which of its items are for {split}"):
                groups.load(source, split)


def test_at_most_n_of_your_own_items_are_drawn_in_their_order(tmp_path):
    source = table(tmp_path / "many.csv", *["test"] * 9)
    drawn = groups.load(source, "test", n=4, seed=1)
    assert drawn == groups.load(source, "test", n=4, seed=1)
    places = [int(one.item_id.rpartition("/")[2]) for one in drawn]
    assert places == sorted(places) and len(set(places)) == 4


def test_no_such_group_is_one_line():
    with pytest.raises(UserError, match="group 'mine' is no file or folder, and none of drawn"):
        groups.load("mine", "test")
