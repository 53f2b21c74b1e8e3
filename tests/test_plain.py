"""YAML gives what the user wrote: by version 1.2, where 010 is no 8 and no is no false."""

from __future__ import annotations

import pytest

from medrl.studies import parameters
from medrl_core.errors import UserError
from medrl_core.plain import line, parse_yaml


@pytest.mark.parametrize(("text", "value"), [
    ("010", "010"), ("1:30", "1:30"), ("no", "no"), ("Yes", "Yes"), ("on", "on"), ("0x10", "0x10"),
    ("1_000", "1_000"), ("2026-01-01", "2026-01-01"), ("true", True), ("False", False), ("10", 10),
    ("-3", -3), ("0", 0), ("1e-4", 0.0001), ("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("~", None),
    ("", None), ("null", None), ("[no, 010, 7]", ["no", "010", 7]), ("{a: no}", {"a": "no"}),
    ("'7'", "7"), ("{<<: {a: 1}, b: 2}", {"a": 1, "b": 2}),
])  # fmt: skip
def test_a_scalar_is_what_it_looks_like(text, value):
    found = parse_yaml(text, "-p x")
    assert found == value and type(found) is type(value)
    assert parse_yaml(line(found), "again") == value


@pytest.mark.parametrize("word", ["k=010", "k=1:30", "top_p=no"])
def test_a_surprising_number_is_refused_as_it_was_written(word):
    name, text = word.split("=")
    with pytest.raises(UserError, match=f"{name} = '{text}' is refused .*allowed: "):
        parameters.check("02_support", {name: parse_yaml(text, word)})
