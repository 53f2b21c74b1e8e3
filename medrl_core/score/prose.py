"""Prose without an answer tag: what it declares to be its answer, and what it only mentions.

    prose_answer("The film is dark, so the answer is (c).", known)     # Parsed('C', 'cue')

What a text declares must agree: "The answer is A. The answer is B." says none, and a first line
"C. effusion" with "The answer is D." says none. A mention counts in a single sentence, or in a
conclusion. `pytest tests/score/test_parsing.py` runs the tests.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from medrl_core.score import yes_no
from medrl_core.score.bare_answers import (
    EXPLAINS,
    LETTER_ALONE,
    LETTER_AND_TEXT,
    bare_answer,
    free_answer,
    free_line,
)
from medrl_core.score.cues import ALL, RIGHT_AFTER, SPOILED, STOP, cues, last_revision
from medrl_core.score.known import (
    CLASH,
    UNNAMED,
    Known,
    Mention,
    Parsed,
    Reading,
    claimed_answer,
    read,
)
from medrl_core.score.negation import State
from medrl_core.score.words import is_number

CONFLICT = Parsed(None, "conflict")


class _Declared(NamedTuple):
    """An answer that a text declares, where, and by which rule; `cut` where the text ends on it."""

    place: int
    answer: str
    rule: str
    final: bool = False
    cut: bool = False
    both: bool = False  # letter and text agree


_HEAD = re.compile(
    r"(?:[\s\"(\[:=-]|most likely|most probably|probably|likely|definitely|clearly|therefore|thus|"
    r"indeed|"
    r"simply|option|choice|letter|answer|an?\b|the\b|that\b|it\b|its\b|is\b|this\b|be\b|of\b|"
    r"case\b|either\b|"
    r"both\b|to be\b|number\b|als?o\b|la\b|el\b|le\b|die\b|der\b|das\b|opcion\b|opcao\b|lettre\b|"
    r"letra\b|buchstabe\b|選択肢|选项|選項)*"
)
_OTHER_LETTER = re.compile(r"[\s\"(\[]*([a-z])[\s\")\].,]*(?=$|\n|[.])")
_GOES_ON = frozenset(
    "is are was were seems appears in on at of with and or because since as due for by which "
    "that who has have but not rather over from to given here best instead likely most however "
    "when where so would could can may than it this there also both seen present visible based "
    "if while using the a an these those i we you your does do shows indicates suggests itself "
    "such".split()
)


def _is_head(reading: Reading, mention: Mention) -> bool:
    """Say whether a named text is meant itself, and is not part of "left hemisphere"."""
    if mention.letter or mention.last + 1 >= len(reading.words.word):
        return True
    if is_number(reading.words.word[mention.last]):
        return True  # a count: "2 kidneys"
    gap = reading.text[mention.end : reading.words.start[mention.last + 1]]
    return bool(gap.strip()) or "\n" in gap or not gap or (
        reading.words.word[mention.last + 1] in _GOES_ON
    )  # fmt: skip


_AND = re.compile(r"[\")\]]?\s?(?:[,/&]|or|and|, or|, and)\s?(?:option )?(?:an? |the )?[\"(\[]?")


def _between(mentions: Sequence[Mention], start: int, end: int) -> Sequence[Mention]:
    """Give the mentions that start in a part of the text."""
    low = bisect_left(mentions, start, key=lambda mention: mention.start)
    return mentions[low : bisect_left(mentions, end, low, key=lambda mention: mention.start)]


def _clause(reading: Reading, start: int, known: Known) -> Parsed | None:
    """Read what follows a cue: the answer it begins with, or else the only one in its clause."""
    text = reading.text
    stop = STOP.search(text, start, start + 240)
    end = stop.start() if stop else min(len(text), start + 240)
    inside = _between(reading.mentions, start, end)
    if any(mention.answer == CLASH for mention in inside):
        return CONFLICT
    answer = bare_answer(text[start:end], known)
    if answer is not None and not (inside and inside[0].state is not State.CLAIMED):
        return Parsed(answer, "")
    if known.free:
        clause = text[start:end]
        if clause.endswith(":") or re.match(r"step \d", clause):
            return None
        form = free_answer(EXPLAINS.sub("", clause))
        return Parsed(form, "") if form else None
    if inside:
        head = inside[0]
        lead = _HEAD.match(text, start, end)
        if head.state is State.CLAIMED and lead and lead.end() >= head.start:
            listed = [head]
            for mention in inside[1:]:  # "a or b": what follows at once is a second answer
                gap = text[listed[-1].end : mention.start]
                if not _AND.fullmatch(gap):
                    break
                listed.append(mention)
            if _is_head(reading, head):
                return claimed_answer(reading, known, listed)
        sure = [
            m for m in inside
            if (m.marked and _is_head(reading, m)) or head.state is State.DENIED
        ]  # fmt: skip
        if found := claimed_answer(reading, known, sure):
            return found
    other = _OTHER_LETTER.fullmatch(text, start, end) if known.letters else None
    return CONFLICT if other and other[1] not in known.letters else None


def declared_by_cues(reading: Reading, known: Known) -> list[_Declared]:
    """Find all places where a text says that it answers."""
    text, words = reading.text, reading.words
    found: list[_Declared] = []
    for cue in cues(text, words):
        if SPOILED.search(text, max(0, cue.start() - 40), cue.start()):
            continue
        stop = STOP.search(text, cue.end(), cue.end() + 240)
        if stop and text[stop.start()] == "?":
            continue
        read_ = _clause(reading, cue.end(), known)
        if read_ is None or cue["weak"] and (read_.answer is None or known.free):
            continue
        cut = (
            "\n" in cue[0]
            and len(text) < cue.end() + 9
            and text[-1] not in ".)"
            and bool(LETTER_ALONE.fullmatch(text, cue.end()))
        )
        found.append(_Declared(cue.start(), read_.answer or CLASH, "cue", bool(cue["final"]), cut))
    before: Mention | None = None
    for mention in reading.mentions:
        if mention.state is State.CLAIMED and mention.answer[:1] != UNNAMED:
            after = RIGHT_AFTER.match(text, mention.end)
            stop = after and STOP.search(text, after.end(), after.end() + 200)
            if after and not (stop and text[stop.start()] == "?"):
                found.append(_Declared(mention.start, mention.answer, "cue"))
                if before and _AND.fullmatch(text, before.end, mention.start):
                    found.append(_Declared(before.start, before.answer, "cue"))
        before = mention
    return found


_LEAD = re.compile(
    r"[\"(\[]{0,2}([a-z])(?:[\")\].:]{1,3}(?=\s|$)| - |,? (?:because|since|due to)\b)"
)
_LEAD_DENIED = re.compile(
    r"[^.\n]{0,80}?\b(?:(?:is|are) not (?:the )?(?:most likely |correct |right |best )?(?:answer|"
    r"option|choice|correct|right)|(?:is|are) (?:incorrect|wrong|false))\b"
)


def _lead(reading: Reading, known: Known) -> _Declared | None:
    """Read a first line "c. because of ..."; CLASH where its text is another option's."""
    lead = _LEAD.match(reading.text)
    if not lead or lead[1] not in known.letters:
        return None
    answer = lead[1].upper()
    if _LEAD_DENIED.match(reading.text, lead.end()):
        return None
    first = reading.mentions[0] if reading.mentions else None
    if first and first.start <= lead.start(1):
        if first.state is not State.CLAIMED:
            return None
        return _Declared(0, first.answer, "line", both=first.last > first.first)
    return _Declared(0, answer, "line")


_MARKER = re.compile(r"\(?(?:[a-z]|\d{1,2})[).:]\s")
_OPTION_LINE = re.compile(r"(?:^|[.;:]\s)(?:option )?[\"(\[]{0,2}([a-z])[\")\].:]{1,3}\s")


def _lines(
    reading: Reading, known: Known, said: Sequence[_Declared]
) -> tuple[list[_Declared], str]:
    """Find lines that contain just an answer; a list of several options is none.

    Arguments: `said` what cues declare; their lines are theirs.
    Returns: what the lines declare, and "" or the rule of a text that lists options.
    """
    taken = sorted(one.place for one in said)
    text = reading.text
    bare: list[_Declared] = []
    whole: list[_Declared] = []
    led: set[str] = set()
    place, announced = 0, False
    for line in text.split("\n"):
        if known.letters and (alone := LETTER_ALONE.fullmatch(line)) and alone[1] in known.letters:
            cut = announced and place + len(line) == len(text) and line[-1] not in ".)"
            bare.append(_Declared(place, alone[1].upper(), "line", cut=cut))
        elif known.letters == "" and (marker := _MARKER.match(line)):
            if (answer := bare_answer(line[marker.end() :], known)) is not None:
                whole.append(_Declared(place, answer, "line"))
        elif bisect_left(taken, place) < bisect_left(taken, place + len(line)):
            pass
        elif (answer := bare_answer(line, known)) is not None:
            both = bool(known.letters) and bool(LETTER_AND_TEXT.match(line))
            whole.append(_Declared(place, answer, "line", both=both))
        led.update(option for option in _OPTION_LINE.findall(line) if option in known.letters)
        announced = line.endswith(":")
        place += len(line) + 1
    listed = len(led | {one.answer.lower() for one in whole}) > 1
    lead = None if listed else _lead(reading, known)
    if bare:
        return bare + ([lead] if lead and lead.place == 0 and bare[0].place != 0 else []), ""
    if listed:
        return [], "conflict" if whole else "none"
    return whole + ([lead] if lead else []), ""


_PLANS = re.compile(
    r"(?:to (?:determine|solve|answer|find|identify|get|understand|figure)|let us|lets|first|step|"
    r"we (?:need|"
    r"must|can|will|should)|i (?:need|will|would need|must)|in order to|the question|this question|"
    r"here(?: are| is|s)|the following|if |when |consider|think)\b"
)
_CONCLUDES = re.compile(
    r"\b(?:consistent with|suggest\w*|indicat\w*|points? to|pointing to|fits?|compatible with|"
    r"represents?|"
    r"diagnos\w*|conclude\w*|conclusion|therefore|thus|hence|overall|most likely|in summary|shows?|"
    r"reveals?|demonstrates?|evidence of|findings?)\b"
)
_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n")


# "The small intestines are a part of ...": said of the option, not an answer.
_DEFINED = re.compile(
    r" (?:is|are|was|were|can|could|may|has|have|refers?|means?|does|do|would|"
    r"will)\b(?! (?:\w+ly )?(?:seen|"
    r"present|visible|shown|likely|noted|evident|affected|here|there|the answer|found|"
    r"identified)\b)"
)
_IS_BEFORE = re.compile(r"\bis (?:an? |the )?$")
_OR_BEFORE = re.compile(r"\b(?:or|versus|vs) (?:an? |the )?$")


def _mention(reading: Reading, known: Known) -> Parsed | None:
    """Read the one answer that a short text names, or the conclusion of a longer one."""
    text = reading.text
    sure = [
        m for m in reading.mentions
        if m.marked and _is_head(reading, m)
        and (
            m.letter or m.end - m.start > 3
            or _IS_BEFORE.search(text, max(0, m.start - 8), m.start)
        )
        and (m.letter or not _DEFINED.match(text, m.end))
    ]  # fmt: skip
    if not sure:
        return None
    starts = [0, *(m.end() for m in _SENTENCES.finditer(text))]
    last = text[starts[-1] :] if len(text) > starts[-1] else ""
    if text[-1] not in '.!")]' and len(text) > 60 or _PLANS.match(text):
        return None
    ending = _between(sure, starts[-1], len(text))
    concludes = _CONCLUDES.search(last) and not _PLANS.match(last) and not last.endswith("?")
    if ending and concludes and (found := claimed_answer(reading, known, ending)):
        return Parsed(found.answer, found.rule or "mention")
    if len(starts) > 1 or "?" in text:
        return None
    if len(sure) == 1 and _OR_BEFORE.search(text, max(0, sure[0].start - 16), sure[0].start):
        return None  # something else, or this
    found = claimed_answer(reading, known, [m for m in reading.mentions if m.marked])
    return Parsed(found.answer, found.rule or "mention") if found else None


def agreed(declared: list[_Declared], text: str) -> Parsed | None:
    """Give the answer on which all that a text declares agrees."""
    if not declared:
        return None
    revised = last_revision(text)
    declared = [one for one in declared if one.place > revised] or declared
    declared = [one for one in declared if one.final] or declared
    if any(one.both for one in declared):
        # "C. Female ... The correct answer is:\n\nA": the text may go on, "A" may be a word.
        declared = [one for one in declared if not one.cut] or declared
    answers = {one.answer for one in declared}
    if len(answers) > 1 or CLASH in answers:
        return CONFLICT
    rules = {one.rule for one in declared}
    return Parsed(answers.pop(), "cue" if "cue" in rules else "line")


_LETTER_YES_NO = re.compile(r"\b([a-z])[)\].:]{1,2}\s?(yes|no)\b")


def clashes(text: str, known: Known) -> bool:
    """Say whether yes or no comes with the letter of the other."""
    if not known.letters or not known.yes_no:
        return False
    yes, no = known.yes_no
    return any(
        letter in known.letters and letter.upper() != (no if word == "no" else yes)
        for letter, word in _LETTER_YES_NO.findall(text)
    )


def prose_answer(text: str, known: Known) -> Parsed | None:
    """Read a text without tag or box."""
    reading = read(text, known)
    text = reading.text
    declared = declared_by_cues(reading, known)
    if known.free:
        if declared:
            return agreed(declared[-1:], text)
        form = free_line(text)
        return Parsed(form, "line") if form else None
    lines, listed = _lines(reading, known, declared)
    found = agreed(declared + lines, text)
    if known.yes_no:
        word = yes_no.said(text)
        if word == yes_no.BOTH or clashes(text, known):
            return CONFLICT
        if word:
            answer = known.yes_no[word == "no"]
            rule = "line" if re.match(r"[\"(]?(?:yes|no)\b", text) else "cue"
            if found and found.answer != answer:
                return CONFLICT
            return found or Parsed(answer, rule)
    if ALL.search(text) and found is None:
        return None
    if found:
        return CONFLICT if ALL.search(text) and found.rule == "line" else found
    if listed:
        return Parsed(None, listed)
    return _mention(reading, known)
