"""The answers an item knows, and where a text names them.

    known = known_answers(("left", "right"), letters=True)
    mentions("it is (b), not left", known)     # B claimed; A denied

`pytest tests/score/test_parsing.py` runs the tests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from medrl_core.score.folding import fold
from medrl_core.score.markup import clean
from medrl_core.score.negation import State, states
from medrl_core.score.words import (
    Words,
    fused,
    is_number,
    is_unit,
    key,
    normalise,
    same_word,
    split,
)

_DENIALS = (("no",), ("none",), ("not",))
_ENDS_LETTER = tuple('.,;:!?()[]/"&-→<\n+')
CLASH = "\0clash"  # named where letter and text are of different options
UNNAMED = "\0"  # starts what no answer names by itself: the "DR" of the label "no DR"

# Labels that deny: "no DR" is what a text says that denies "DR".
_DENYING_LABEL = re.compile(
    r"(?:no|not|without|non|absence of|absent|negative for|free of|lack of|no (?:sign|signs|"
    r"evidence)"
    r" of|kein|keine|sin|sans|pas de|sem) (?P<a>.+)|(?P<b>.+) (?:absent|negative|free|not present|"
    r"not seen)|non(?P<c>\w{4,}.*)"
)
_MARKING = frozenset(
    "option options choice letter answer alternative opcion opcao alternativa letra lettre "
    "buchstabe antwort reponse respuesta resposta opzione optie вариант".split()
)
_LETTER_AFTER = frozenset(
    "is are isnt was seems appears looks or and nor because since as due for rather not but over "
    "instead would could can cannot must has fits with given here should best und oder ist y o "
    "es et ou est e sondern sino mais".split()
)
_WORD_AFTER = frozenset(
    "or and nor because since is isnt seems but rather not instead sino sondern mais mas oder "
    "und".split()
)
_LETTER_BEFORE = frozenset(
    "is be are was its answer option options choice letter choose chose pick picked select "
    "selected say think believe guess with for to than not nor neither or and but so therefore "
    "hence thus probably likely definitely either both of that as isnt cant cannot correct "
    "incorrect wrong it exclude excluded eliminate except out by opt go ist nicht oder und es no "
    "o y est pas ou et e nao lautet la der die sino sondern mais mas pero aber но opcion letra "
    "buchstabe lettre antwort then best final 是 为 為 选 選 项 項 案 は 解 」".split()
)
_COUNT_AFTER = frozenset(
    "and or is are was were because since as in on at here with but not so due for which "
    "that".split()
)
_COUNT_BEFORE = frozenset(
    "than least most over under above below about approximately approx around nearly almost "
    "roughly minus plus negative to exceeding between from until circa beyond".split()
)


# The words of a known text, whether plurals and number words are it too, and its answer.
Terms = tuple[tuple[str, ...], bool, str]


@dataclass(frozen=True, eq=False)
class Known:
    """The answers an item knows, ready to be found.

    An item is `free` when it has no options and no label set: any text can be its answer.
    `texts` and `keys` map normalised texts and keys to answers; `starts` maps the first word of
    each to its words and answer; `denied` maps an answer to the label that denies it, and `graded`
    are those that other labels grade ("mild DR").
    """

    free: bool
    letters: str
    texts: dict[str, str]
    keys: dict[str, str]
    starts: dict[str, list[Terms]]
    denied: dict[str, str]
    graded: frozenset[str]
    yes_no: tuple[str, str] | None
    longest: int


class Mention(NamedTuple):
    """A place where a text names an answer: its first and last word, where these start and end."""

    answer: str
    first: int
    last: int
    start: int
    end: int
    letter: bool
    marked: bool
    state: State = State.CLAIMED


class Reading(NamedTuple):
    """A text with its words and all answers that it names."""

    text: str
    words: Words
    mentions: list[Mention]


@lru_cache(maxsize=16384)
def known_answers(free: bool, letters: str, pairs: tuple[tuple[str, str], ...]) -> Known:
    """Prepare the answers of an item.

    Arguments:
        free: any text can be an answer.
        letters: the letters of the options, in lower case; "" where there are none.
        pairs: texts and the answer that each stands for.
    """
    texts: dict[str, str] = {}
    doubled: set[str] = set()
    for text, answer in pairs:
        # An answer is read without its markup, so an option is known without its own too.
        for form in {normalise(text), normalise(clean(fold(text)))}:
            if texts.setdefault(form, answer) != answer:
                doubled.add(form)  # two options with one text: the text says nothing
    texts = {form: answer for form, answer in texts.items() if form and form not in doubled}
    owners: dict[str, set[str]] = {}
    for form in [*texts, *doubled]:
        owners.setdefault(key(form), set()).add(texts.get(form, form))
    keys = {
        key(form): answer for form, answer in texts.items()
        if len(owners[key(form)]) == 1
    }  # fmt: skip
    yes_no = (texts["yes"], texts["no"]) if {"yes", "no"} <= texts.keys() else None
    terms = {
        form: answer for form, answer in texts.items()
        if not (yes_no and form in ("yes", "no"))
    }  # fmt: skip
    denied: dict[str, str] = {}
    graded: set[str] = set()
    for form, answer in texts.items():
        match = _DENYING_LABEL.fullmatch(form)
        what = match and (match["a"] or match["b"] or match["c"])
        if what:
            named = terms.setdefault(what, UNNAMED + what)
            denied[named] = answer
            if any(other.endswith(" " + what) for other in texts if other not in (form, what)):
                graded.add(named)
    starts: dict[str, list[Terms]] = {}
    for form, answer in terms.items():
        words = tuple(form.split())
        loose = answer[:1] == UNNAMED or keys.get(key(form)) == answer
        starts.setdefault(same_word(words[0]), []).append((words, loose, answer))
    for entries in starts.values():
        entries.sort(key=lambda entry: -len(entry[0]))
    # Longest text that can be just an answer: with markup, "so the correct answer is", a letter.
    longest = 2 * max((len(text) for text, _ in pairs), default=0) + 50
    return Known(free, letters, texts, keys, starts, denied, frozenset(graded), yes_no, longest)


def exact(text: str, known: Known) -> str | None:
    """Give the answer that a text is, and nothing besides."""
    form = normalise(text)
    if form in known.texts:
        return known.texts[form]
    return known.keys.get(key(form)) if form else None


def _is_count(text: str, words: Words, first: int, last: int) -> bool:
    """Say whether a number in a text is the bare number: no bound before it, no unit after it."""
    if first:
        before, gap = words.word[first - 1], text[words.end[first - 1] : words.start[first]]
        if len(gap) < 3 and before in _COUNT_BEFORE or gap.strip() in ("<", ">", "≤", "≥", "~"):
            return False
        if gap and gap[-1] in "+-±<>≤≥~":
            return False
    if last + 1 == len(words.word):
        return text[words.end[last] :].strip()[:1] not in tuple("+-±%°′$€£¥^*/")
    gap, after = text[words.end[last] : words.start[last + 1]], words.word[last + 1]
    if gap.strip()[:1] in tuple("+-±%°′$€£¥^*/") and gap.strip():
        return False
    if gap.strip():
        return True
    if after in _COUNT_AFTER:
        return True
    return len(after) > 3 and not is_unit(after) and not is_number(after)


def _text_at(
    text: str, words: Words, place: int, starts: Mapping[str, Sequence[Terms]]
) -> Mention | None:
    """Find the longest known text that starts at a word."""
    for terms, loose, answer in starts[same_word(words.word[place])]:
        last = place + len(terms) - 1
        if last >= len(words.word):
            continue
        if not all(
            words.word[place + i] == term
            or (loose and term != "1" and same_word(words.word[place + i]) == same_word(term))
            for i, term in enumerate(terms)
        ):
            continue
        if any(
            words.start[i + 1] - words.end[i] > 3 or "\n" in text[words.end[i] : words.start[i + 1]]
            for i in range(place, last)
        ):
            continue
        start, end = words.start[place], words.end[last]
        if text[start - 1 : start] == "-" and text[max(0, start - 2) : start - 1].isalnum():
            continue  # the rest of a compound: "post-effusion"
        if text[end : end + 1] == "-" and text[end + 1 : end + 2].isalnum():
            continue  # "effusion-free"
        numbers = is_number(terms[0]) or is_number(terms[-1])
        if numbers and not _is_count(text, words, place, last):
            continue
        if terms in _DENIALS and text[end : end + 1] not in (".", ",", ";", "", "\n"):
            continue  # "no mass" does not name the label "no"
        return Mention(answer, place, last, start, end, False, True)
    return None


_STARTS_CLAUSE = re.compile(r"[.;:!?\n,→=]\s?[\"(\[]?$|\s-\s$|[(\[]$|/\s?$|&\s?$")


def _letter_at(text: str, words: Words, place: int, letters: str) -> Mention | None:
    """Find an option's letter: "(c)", "option c", or one alone where a sentence has room for it."""
    word, start, end = words.word[place], words.start[place], words.end[place]
    before, after = text[start - 1 : start], text[end : end + 1]
    more = place + 1 < len(words.word)
    gap_before = text[words.end[place - 1] : start] if place else text[:start]
    gap_after = text[end : words.start[place + 1]] if more else text[end:]
    previous = words.word[place - 1] if place else ""
    following = words.word[place + 1] if more else ""
    if before.isalnum() and before.isascii() or after.isalnum() and after.isascii():
        return None
    sure = Mention(word.upper(), place, place, start, end, True, True)
    if before + after in ("()", "[]", '""', "<>", "「」"):
        return sure
    if gap_after == "-" or gap_before == "-":
        return None  # "b-cell"
    listed = gap_after in ("/", " & ", "&") and following in letters
    if _is_letter(following) and gap_after in (".", "/", "&", " ", " & ", ". ") and not listed:
        return None  # "a.m.", "a/p", "c t"
    if _is_letter(previous) and gap_before in (".", " ", ". "):
        return None
    is_word = word in "ai"
    room = (
        not following
        or following in (_WORD_AFTER if is_word else _LETTER_AFTER)
        or following > "\u2fff"
        or "\n" in gap_after
        or gap_after.lstrip()[:1] in _ENDS_LETTER
        and bool(gap_after.strip())
    )
    if not room:
        return None
    asks = previous == "answer" and is_word and following  # "answer a question"
    if previous in _MARKING and len(gap_before) < 4 and not asks:
        return sure
    starts = not place or bool(_STARTS_CLAUSE.search(gap_before))
    if starts or previous in _LETTER_BEFORE or previous > "\u2fff":
        return sure._replace(marked=False)
    return None


def _is_letter(word: str) -> bool:
    return len(word) == 1 and word.isalpha() and word.isascii()


_JOINED = re.compile(r"[)\].:,\"]{0,3}\s?-?\s?(?:of\s)?(?:an?\s|the\s)?[\"(\[]?")


def _merged(text: str, found: list[Mention]) -> list[Mention]:
    """Take a letter and the text beside it as one: "(c) effusion" names C, or clashes."""
    merged: list[Mention] = []
    for mention in found:
        if merged and merged[-1].letter != mention.letter:
            last = merged[-1]
            gap = text[last.end : mention.start]
            beside = len(gap) < 12 and "\n" not in gap and bool(_JOINED.fullmatch(gap))
            if mention.letter:  # "effusion (b)"
                beside = beside and gap[-1:] in "([" and gap[-1:] != ""
            else:
                beside = beside and bool(gap.strip()) and gap.strip() not in (",", '"')
            if beside and UNNAMED not in (mention.answer[:1], last.answer[:1]):
                answer = mention.answer if mention.answer == last.answer else CLASH
                merged[-1] = Mention(
                    answer, last.first, mention.last, last.start, mention.end, False, True
                )
                continue
        merged.append(mention)
    return merged


def read(text: str, known: Known) -> Reading:
    """Find all answers that a cleaned text names, and whether it claims or denies each."""
    text = fused(text)
    words = split(text)
    found: list[Mention] = []
    starts, letters, end = known.starts, known.letters, -1
    for place, word in enumerate(words.word):
        if place <= end:
            continue
        mention = None
        if same_word(word) in starts:
            mention = _text_at(text, words, place, starts)
        if mention is None and len(word) == 1 and word in letters:
            mention = _letter_at(text, words, place, letters)
        if mention is not None:
            found.append(mention)
            end = mention.last
    if not found:
        return Reading(text, words, [])
    found = _merged(text, found)
    said = states(text, words, [(m.first, m.last) for m in found])
    return Reading(
        text, words, [m._replace(state=state) for m, state in zip(found, said, strict=True)]
    )


# ---- the one answer that mentions claim


class Parsed(NamedTuple):
    """What `parse` found: the answer, or None, and the name of the rule."""

    answer: str | None
    rule: str


_DIRECTLY = re.compile(
    r"\b(?:no|not|without|absence of|absent|negative for|free of|lack of|kein\w*|sin|sans|"
    r"sem)(?: (?:any|obvious|evidence|signs?|of|visible|clear|apparent|definite|the|an?))* $"
    r"|(?:^|[.,;:!\n] ?)(?:the |any )?$"
)


def _denied_labels(reading: Reading, known: Known, denied: Sequence[Mention]) -> set[str]:
    """Give the labels that say what a text denies: "no sign of DR" says "no DR"."""
    found: set[str] = set()
    for mention in denied:
        label = known.denied.get(mention.answer)
        start = mention.start
        near = reading.text[max(0, start - 60) : start]
        if label and (mention.answer not in known.graded or _DIRECTLY.search(near)):
            found.add(label)
    return found


def claimed_answer(reading: Reading, known: Known, mentions: Sequence[Mention]) -> Parsed | None:
    """Give the one answer that mentions claim, "conflict" for several, None for none."""
    if any(mention.answer == CLASH for mention in mentions):
        return Parsed(None, "conflict")
    named = [mention for mention in mentions if mention.answer[:1] != UNNAMED]
    claimed = {mention.answer for mention in named if mention.state is State.CLAIMED}
    denied = [mention for mention in mentions if mention.state is State.DENIED]
    if claimed & {mention.answer for mention in denied}:
        return Parsed(None, "conflict")
    claimed |= _denied_labels(reading, known, denied)
    if len(claimed) > 1:
        return Parsed(None, "conflict")
    return Parsed(claimed.pop(), "") if claimed else None
