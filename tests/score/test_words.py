"""Words, numbers and the two forms in which answers are compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medrl_core.score.words import is_number, is_unit, key, normalise, singular

SIGNS = " .,-+<>%$'°abct5013x/:^()\n&;’—≤~="
TEXTS = st.text(max_size=12) | st.text(alphabet=SIGNS, max_size=10) | st.lists(
    st.sampled_from(["non", " ", "-", "5", "3", ".", ",", "mm", "the ", "a ", "two", "twenty",
                     "sub", "less than", "percent", "%", "<", "x", "'s", "her2", "+", "c", "中"]),
    max_size=8,
).map("".join)  # fmt: skip


@pytest.mark.parametrize("text, normal, same", [
    ("The left lung.", "left lung", "left lung"),
    ("-3", "-3", "-3"), ("− 3", "-3", "-3"), ("minus 3", "minus 3", "-3"),
    (".5", "0.5", "0.5"), (",5", "0.5", "0.5"), ("1,5", "1.5", "1.5"), ("1,500", "1500", "1500"),
    ("5.0", "5", "5"), ("0.50", "0.5", "0.5"), ("<5", "<5", "<5"), ("≤ 5", "≤5", "≤5"),
    ("less than five", "less than five", "<5"), ("at least 5", "at least 5", "≥5"),
    ("5 %", "5%", "5%"), ("5 percent", "5 percent", "5%"), ("5+", "5+", "5+"), ("+5", "+5", "+5"),
    ("5CM", "5 cm", "5 cm"), ("5 centimetres", "5 centimetres", "5 cm"), ("3–5", "3-5", "3-5"),
    ("3 to 5", "3 to 5", "3-5"), ("5/10", "5/10", "5/10"), ("1:30", "1:30", "1:30"),
    ("6.5 x 6.2 x 8.8cm", "6.5x6.2x8.8 cm", "6.5x6.2x8.8 cm"), ("$5", "$5", "$5"),
    ("non-malignant", "nonmalignant", "nonmalignant"), ("sub acute", "subacute", "subacute"),
    ("a-typical", "atypical", "atypical"), ("X-ray", "x ray", "x ray"), ("Rh-", "rh-", "rh-"),
    ("HER2+", "her2+", "her2+"), ("T2-weighted", "t2 weighted", "t2 weighted"),
    ("Crohn’s", "crohns", "crohn"), ("X&amp;Y", "x and y", "x and y"), ("two", "two", "2"),
    ("twenty-one kidneys", "twenty one kidneys", "21 kidney"), ("5 mm²", "5 mm2", "5 mm2"),
    ("the third ventricle", "third ventricle", "3rd ventricle"), ("肺炎。", "肺 炎", "肺 炎"),
    ("ＭＲＩ", "mri", "mri"), ("Ménière", "meniere", "meniere"), ("٣", "3", "3"), ("?", "", ""),
])  # fmt: skip
def test_forms(text, normal, same):
    assert normalise(text) == normal
    assert key(text) == same


@pytest.mark.parametrize("one, many", [
    ("kidney", "kidneys"), ("biopsy", "biopsies"), ("mass", "masses"), ("metastasis", "metastases"),
    ("vertebra", "vertebrae"), ("bronchus", "bronchi"), ("diagnosis", "diagnoses"),
    ("sinus", "sinuses"), ("disease", "diseases"), ("foramen", "foramina"), ("apex", "apices"),
    ("abscess", "abscesses"), ("branch", "branches"), ("cause", "causes"), ("foot", "feet"),
])  # fmt: skip
def test_singular(one, many):
    assert singular(many) == one == singular(one)


@pytest.mark.parametrize("word", ["pelvis", "ascites", "pus", "axis", "gas", "ct", "series"])
def test_what_is_no_plural_stays(word):
    assert singular(word) == word


def test_numbers_and_units():
    assert all(map(is_number, ["5", "-5", "<5", "5%", "0.5", "3-5", "$5", "2x3"]))
    assert not any(map(is_number, ["3rd", "t2", "five", "her2+", "a"]))
    assert all(map(is_unit, ["mm", "years", "mmhg", "millimetres", "degrees"]))
    assert not any(map(is_unit, ["kidneys", "lung"]))


@given(TEXTS)
def test_normalise_twice_changes_nothing_and_keeps_the_key(text):
    assert normalise(normalise(text)) == normalise(text)
    assert key(normalise(text)) == key(text)
