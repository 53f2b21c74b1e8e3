"""Groups of items: their names, kinds and causes."""

from __future__ import annotations

import pytest

from medrl_core.data import groups


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
