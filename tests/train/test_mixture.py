from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny
from medrl_core.errors import UserError
from medrl_core.train.mixture import mix, shares


def items(name: str, n: int) -> list:
    return [replace(tiny.plain_item(item_id=f"{name}-{i}"), dataset=name) for i in range(n)]


@pytest.mark.parametrize(
    ("weights", "n", "expected"),
    [
        ({"a": 1, "b": 1}, 10, {"a": 5, "b": 5}),
        ({"a": 1, "b": 1}, 3, {"a": 2, "b": 1}),  # equal remainders: the first gets it
        ({"a": 1, "b": 2}, 10, {"a": 3, "b": 7}),  # 3.33 and 6.67
        ({"a": 0.5, "b": 0.25, "c": 0.25}, 9, {"a": 5, "b": 2, "c": 2}),  # 4.5, 2.25, 2.25
        ({"a": 100, "b": 1}, 4, {"a": 4, "b": 0}),
        ({"a": 3}, 7, {"a": 7}),
    ],
)
def test_shares_by_hand(weights, n, expected):
    assert shares(weights, n) == expected


@given(
    st.dictionaries(st.text(max_size=3), st.floats(0.01, 100), min_size=1, max_size=6),
    st.integers(0, 500),
)
def test_shares_sum_up_and_lie_next_to_the_exact_ones(weights, n):
    found = shares(weights, n)
    assert sum(found.values()) == n
    for name, weight in weights.items():
        assert abs(found[name] - n * weight / sum(weights.values())) < 1 + 1e-6


def test_a_mixture_holds_its_shares_once_each_and_depends_on_the_seed_alone():
    parts = {"a": items("a", 20), "b": items("b", 8)}
    first = mix(parts, {"a": 3, "b": 1}, 16, seed=1)
    assert Counter(item.dataset for item in first) == {"a": 12, "b": 4}
    assert len({item.item_id for item in first}) == 16
    assert [item.dataset for item in first] != sorted(item.dataset for item in first)
    assert [i.item_id for i in mix(parts, {"a": 3, "b": 1}, 16, seed=1)] == [
        i.item_id for i in first
    ]
    assert [i.item_id for i in mix(parts, {"a": 3, "b": 1}, 16, seed=2)] != [
        i.item_id for i in first
    ]


@pytest.mark.parametrize(
    ("weights", "n", "message"),
    [
        ({"a": 1}, 4, "must agree"),
        ({"a": 1, "b": 0}, 4, "positive weights"),
        ({"a": 1, "b": 1}, 8, "needs 4 items of b, which has 3"),
    ],
)
def test_a_mixture_that_cannot_be_made_is_refused(weights, n, message):
    with pytest.raises(UserError, match=message):
        mix({"a": items("a", 5), "b": items("b", 3)}, weights, n)
