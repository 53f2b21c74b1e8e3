"""What must hold of the reader for any text: denials, units, signs, case, Unicode forms, length."""

from __future__ import annotations

import re
import sys
import unicodedata
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, example, given
from hypothesis import strategies as st

from medrl_core.score import cues, folding, known, markup, negation, parsing, words, yes_no
from medrl_core.score.parsing import is_correct, normalise, parse

HERE = Path(__file__).parent
KINDS = yaml.safe_load((HERE / "answer_kinds.yaml").read_text(encoding="utf-8"))
CASES = [
    (KINDS["items"][item], text) for cases in KINDS["kinds"].values() for item, text, _ in cases
]
LABELS = (
    "fracture", "no fracture", "malignant", "non-malignant", "left", "bilateral lungs", "5",
    "3.5 cm",
    "yes", "no", "normal", "no DR", "T2-weighted", "肺炎", "Crohn's disease", "hepatitis B",
    "not seen here",
    "A", "pleural effusion, left", "<5 mm", "and", "but", "absent", "unlikely", "right", "wrong",
)  # fmt: skip
ANY_LABEL = st.sampled_from(LABELS) | st.text(min_size=1, max_size=12)
SHAPES = (
    "<answer>{}</answer>", "<answer>{}.</answer>", "\\boxed{{{}}}", "{}", "{}.",
    "The answer is {}.",
    "Answer: {}", "<think>hm</think>{}", "**{}**", "<answer>It is {}</answer>", "I think it is {}.",
    "The correct option is ({})", "Final answer: {}\n",
)  # fmt: skip
UNITS = (
    "mm cm m km kg g mg ml l % ° °C mmHg Hz HU Gy years weeks days hours minutes seconds degrees "
    "percent millimetres centimeters litres points times mg/dl mmol/l bpm ppm $ € + - /5 -6 .5 ,5 "
    ":30 x10 ^2 rd"
).split()
SIGNS = ("-", "+", "<", ">", "≤", "≥", "~", "±", "−", "– ", "about ", "less than ", "at least ",
         "minus ",
         "up to ", ".", "$", "0.", "1/", "2-", "more than ", "nearly ", "not ")  # fmt: skip


@given(ANY_LABEL, st.sampled_from(SHAPES), st.sampled_from(["not ", "Not ", "NOT ", "not a "]))
@example("not", "{}", "not ")
@example("no", "<answer>{}</answer>", "not ")
def test_not_before_a_label_never_gives_the_label(label, shape, denial):
    # A label of several sentences has a start of its own: "not A. B".
    assume(not re.search(r"[.;!?]\s|→|\s-\s", folding.fold(label)))
    others = tuple(one for one in ("oedema", "tumour") if normalise(one) != normalise(label))
    text = shape.format(denial + " ".join(label.split()))
    for labels in ((label, *others), (label,), (label, f"{label} x")):
        answer = parse(text, answer_format="open", label_set=labels).answer
        given = normalise(label)
        assert answer is None or not given or normalise(answer) != given, answer
        parsed = parse(text, answer_format="mcq", options=labels)
        assert parsed.answer != "A", parsed


@given(ANY_LABEL, st.sampled_from(SHAPES))
def test_not_before_a_free_answer_is_never_right(label, shape):
    assume(normalise(label))
    answer = parse(shape.format("not " + label), answer_format="open").answer
    assert not is_correct(answer, label)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("letter", "ABCDI")
@pytest.mark.parametrize(
    "denial", ["not {}", "not option {}", "not ({})", "{} is wrong", "neither {}"]
)
def test_a_denied_letter_is_no_answer(shape, letter, denial):
    options = [f"finding {i}" for i in range(10)]
    text = shape.format(denial.format(letter))
    assert parse(text, answer_format="mcq", options=options).answer != letter


NUMBERS = st.integers(0, 999).map(str) | st.sampled_from(["1.5", "0.5", "12,5", "2.50"])
GIVEN = st.sampled_from(
    ["{}", "<answer>{}</answer>", "\\boxed{{{}}}", "The answer is {}.", "Answer: {}"]
)


@given(NUMBERS, st.sampled_from(UNITS), st.sampled_from(["", " "]), GIVEN)
def test_a_number_with_a_unit_is_not_the_bare_number(number, unit, space, shape):
    assume(not (space and unit in "/5 .5 ,5 :30 ^2 rd - +".split()))
    check_number(number, shape.format(number + space + unit))


@given(NUMBERS, st.sampled_from(SIGNS), GIVEN)
def test_a_number_with_a_sign_is_not_the_bare_number(number, sign, shape):
    assume(not (number.startswith("0") and sign in (".", "0.")) and "," not in number)
    assume(not (sign == "." and shape == "{}"))
    assume(not (sign == "– " and "answer" in shape.lower()))  # a dash between words
    check_number(number, shape.format(sign + number))


def check_number(number: str, text: str) -> None:
    other = "7" if number != "7" else "8"
    assert not is_correct(parse(text, answer_format="open").answer, number)
    for labels in ((number,), (number, other)):
        answer = parse(text, answer_format="open", label_set=labels).answer
        assert not is_correct(answer, number)
    assert parse(text, answer_format="mcq", options=(number, "none of it")).answer != "A"


def forms(text: str) -> list[str]:
    """The same text in other case, Unicode form and width, and between white space."""
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)
    return [
        text.upper(), text.lower(), text.swapcase(), unicodedata.normalize("NFC", text),
        unicodedata.normalize("NFD", text), unicodedata.normalize("NFKC", text),
        unicodedata.normalize("NFKD", text), f" \n\t{text}\r\n ", f"\u200b{text}\ufeff", wide,
        text.replace(" ", "\u00a0"), text.replace("\n", "\r\n"),
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(len(CASES)))
def test_case_unicode_form_and_space_around_change_nothing(number):
    item, text = CASES[number]
    want = parse(text, **item)
    for form in forms(text):
        assert parse(form, **item) == want, form


PIECES = st.sampled_from([
    "<answer>", "</answer>", "<think>", "</think>", "\\boxed{", "}", "\n", " ", ". ", "(", ")", "A",
    "a", "B",
    "i", "not ", "no ", "or ", "is wrong", "answer is ", "Answer: ", "option ", "is correct", "yes",
    "fracture", "no fracture", "left", "5", "-", "<", "%", " mm", "é", "Ａ", "ﬁ", "答案：", "，",
    "’", "&lt;",
])  # fmt: skip


@given(st.text(max_size=20) | st.lists(PIECES, max_size=14).map("".join))
def test_any_text_is_read_alike_in_all_its_forms(text):
    options = ("fracture", "no fracture", "left", "5")
    for item in (
        {"answer_format": "mcq", "options": options},
        {"answer_format": "open", "label_set": options},
        {"answer_format": "open", "label_set": ("yes", "no")}, {"answer_format": "open"},
    ):  # fmt: skip
        want = parse(text, **item)
        for form in (text.swapcase(), unicodedata.normalize("NFD", text), f"\n {text} \n"):
            assert parse(form, **item) == want, form


@given(st.text(max_size=30))
def test_folding_twice_changes_nothing(text):
    assume("&" not in text)
    assert folding.fold(folding.fold(text)) == folding.fold(text)


# ---- time ----------------------------------------------------------------------------------------


def steps(text: str, item: dict) -> int:
    """Count the steps of the interpreter that reading a text takes."""
    count = 0

    def counted(frame, event, arg):
        nonlocal count
        count += 1
        frame.f_trace_opcodes = True
        return counted

    parsing._told_before.cache_clear()
    before = sys.gettrace()
    sys.settrace(counted)
    try:
        parse(text, **item)
    finally:
        sys.settrace(before)
    return count


HOSTILE = [
    "a ", "A. ", "not ", "no a, ", "fracture ", "fracture, ", "fracture-", "answer is ",
    "answer is a. ",
    "5 ", "5-", "5,", "-", "is wrong ", "a and b, ", "yes ", "no. ", "there is no ", "<answer>",
    "_", "**",
    "$", "non-", "(a", "\\boxed{", "&amp;", "答案", "没有", "option a: ", "<", "i think ", "\n",
    "a\n", "'",
    "answer: a\n", "because a ", "wait ", "? ",
]  # fmt: skip
ITEMS = [
    {"answer_format": "mcq", "options": ("fracture", "no fracture", "left", "5")},
    {"answer_format": "open", "label_set": ("yes", "no", "fracture")},
    {"answer_format": "open"},
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_steps_grow_with_the_length_and_no_faster(piece):
    for item in ITEMS:
        short, long = (steps(piece * (size // len(piece)), item) for size in (800, 3_200))
        assert long < 4.5 * short + 3_000, (piece, item, short, long)


@pytest.mark.slow
@pytest.mark.parametrize("piece", HOSTILE)
def test_100_kb_come_to_an_end(piece):
    for item in ITEMS:
        parse(piece * (100_000 // len(piece)), **item)


def unbounded(parsed, inside: bool = False) -> bool:
    """Say whether an unbounded repeat has another inside: the patterns that can take forever."""
    for op, value in parsed:
        name = str(op)
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            low, high, what = value
            endless = high >= 1000 and name != "POSSESSIVE_REPEAT"
            if endless and inside or unbounded(what, inside or endless):
                return True
        elif name == "SUBPATTERN":
            if unbounded(value[3], inside):
                return True
        elif name == "BRANCH":
            if any(unbounded(one, inside) for one in value[1]):
                return True
        elif name in ("ASSERT", "ASSERT_NOT"):
            if unbounded(value[1], inside):
                return True
        elif name == "ATOMIC_GROUP" and unbounded(value, inside):
            return True
    return False


def patterns():
    for module in (cues, folding, known, markup, negation, parsing, words, yes_no):
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern):
                yield f"{module.__name__}.{name}", value


@pytest.mark.parametrize(("name", "pattern"), [pytest.param(*one, id=one[0]) for one in patterns()])
def test_no_pattern_repeats_a_repeat_without_end(name, pattern):
    assert not unbounded(re._parser.parse(pattern.pattern, pattern.flags))


def test_the_check_of_patterns_can_fail():
    assert unbounded(re._parser.parse("(?:a+b?)+"))
    assert not unbounded(re._parser.parse("(?:ab?)+"))
