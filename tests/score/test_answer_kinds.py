"""Each kind of difficulty that the reader of answers must handle, case by case."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from medrl_core.score.parsing import is_correct, parse

TABLE = yaml.safe_load((Path(__file__).parent / "answer_kinds.yaml").read_text(encoding="utf-8"))
CASES = [
    pytest.param(item, text, wanted, id=f"{kind}-{number}")
    for kind, cases in TABLE["kinds"].items()
    for number, (item, text, wanted) in enumerate(cases)
]


@pytest.mark.parametrize("kind", TABLE["kinds"])
def test_each_kind_has_ten_cases(kind):
    assert len(TABLE["kinds"][kind]) >= 10


@pytest.mark.parametrize("item, text, wanted", CASES)
def test_case(item, text, wanted):
    answer = parse(text, **TABLE["items"][item]).answer
    assert answer == wanted or (wanted is not None and is_correct(answer, wanted)), answer
