"""The printout of medbridgerl is refused, in one line that says what it has."""

from __future__ import annotations

import pytest

from medrl_core.errors import UserError
from medrl_core.score.logs import recognise


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n=== OVERALL ===\nN = 40\npass@16 = 0.7250\n", "only pass@16 = 0.7250 of 40 items"),
        ("[10/40] pass@4=0.50 format_fail=0.1\n", "only its averages"),
    ],
)
def test_it_keeps_no_answers(tmp_path, text, said):
    path = tmp_path / "results_x.txt"
    path.write_text(text)
    (tmp_path / "data.jsonl").write_text('{"dataset_name": "d", "question": "?", "answer": "A"}\n')
    for place in (path, tmp_path):
        with pytest.raises(UserError, match="keeps no answers") as told:
            recognise.read(place)
        assert said in str(told.value) and "\n" not in str(told.value)
