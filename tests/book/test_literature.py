"""What others found: agreement follows from our interval, and a number that is missing is said."""

from __future__ import annotations

import re

import pytest

from conftest import ROOT
from medrl.book import literature
from medrl.book.chapter import Chapter
from medrl_core.errors import UserError


def entry(low, high):
    return {"value": 0.1, "low": low, "high": high, "n": 8, "unit": "points"}


@pytest.mark.parametrize(
    ("low", "high", "side", "said"),
    [(0.05, 0.2, "above", "Agrees."), (0.05, 0.2, "below", "Disagrees."),
     (-0.2, -0.05, "below", "Agrees."), (-0.2, -0.05, "above", "Disagrees."),
     (-0.1, 0.2, "above", "Ours cannot say: the interval holds 0."),
     (None, None, "below", "Ours cannot say: the interval holds 0."),
     (0.05, 0.2, None, "To be compared by eye.")],
)  # fmt: skip
def test_agreement_follows_from_the_whole_interval(low, high, side, said):
    assert literature.agreement(entry(low, high), side) == said
    assert literature.agreement(None, side) == "Not measured here."


def test_every_question_has_a_source_and_a_number_that_a_notebook_makes(tmp_path):
    chapter = Chapter("micro", tmp_path / "runs", ROOT / "data/records")
    text = literature.blocks(ROOT / "data/literature.yaml", chapter)
    assert text.count("### ") == text.count("**They found.**") == 10
    known = set(re.findall(r"@\w+\{(\w+),", (ROOT / "book/references.bib").read_text()))
    assert set(re.findall(r"\{cite\}`(\w+)`", text)) <= known
    # Recorded on real strips, so it is there without any run of this clone.
    assert "Disagrees." in text.split("### Does SFT or RL change")[1]
    assert text.count("Not measured here.") == 9


def test_a_file_that_does_not_fit_is_one_line(tmp_path):
    (tmp_path / "literature.yaml").write_text("- {question: why}\n")
    with pytest.raises(UserError, match=r"literature.yaml: .*source"):
        literature.blocks(tmp_path / "literature.yaml", None)
