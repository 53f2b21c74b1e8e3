"""The reader of answers: from a completion to its answer and the rule that found it.

    parse("<think>...</think><answer>(C) effusion</answer>", answer_format="mcq",
          options=["nodule", "mass", "effusion"])          # Parsed(answer='C', rule='tag')

Reward and evaluation both call `parse`; nothing else reads answers. As a reward, a reader that
guesses pays for talking: where a text does not say one answer, there is none.

How a completion is read, first rule that answers wins (only the text after the last `</think>`):

1. `tag`: the last answer tag that is not empty, closed or cut off (`tag_unclosed`), holds just an
   answer: a letter, "C) effusion", an option text, a label. In a whole sentence it is
   `tag_sentence`. A tag that holds none of the known answers ends the search (`tag_other`).
2. `box`: the last LaTeX box.
3. `cue`: what the text declares: "Answer: C", "the option is C", "C is correct", 答案：C; and
   `line`: a line that holds just an answer, or a first line "C. Because ...". All must agree,
   unless the text takes back what it said ("wait, ...").
4. `mention`: the one answer named in a short text, or in its conclusion.
5. `think_tag`: an answer tag inside the reasoning.

What is denied ("not A", "B is ruled out") is no answer, but for a label that says just that ("no
DR"). Two answers, or a letter with the text of another option, are no answer (`conflict`). Without
a tag, reasoning that never closed is no answer (`unfinished`). `tests/score/parsing_cases.yaml` is
what is expected; `pytest tests/score/test_parsing.py` runs it.
"""

from __future__ import annotations

import re
import string
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from medrl_core.score import yes_no
from medrl_core.score.cues import ALL, RIGHT_AFTER, SPOILED, STOP, cues, last_revision
from medrl_core.score.folding import fold
from medrl_core.score.known import CLASH, UNNAMED, Known, Mention, Reading, exact, known_answers, read
from medrl_core.score.markup import (
    END_THINK,
    THINK,
    clean,
    format_ok,
    last_box,
    last_tag,
    without_special,
)
from medrl_core.score.matching import is_correct
from medrl_core.score.negation import State
from medrl_core.score.words import is_number, key, normalise

if TYPE_CHECKING:
    from medrl_core.data.items import Item

__all__ = ["TAG_RULES", "Parsed", "format_ok", "is_correct", "normalise", "parse", "parse_item"]

# Rules that found a closed answer tag with an answer in it; all others are format failures.
TAG_RULES = frozenset({"tag", "tag_sentence", "tag_other"})


class Parsed(NamedTuple):
    """What `parse` found: the answer, or None, and the name of the rule."""

    answer: str | None
    rule: str


CONFLICT = Parsed(None, "conflict")


# ---- a text that is just an answer ---------------------------------------------------------------

_ALONE = re.compile(r"[\s\"(\[<*:,.-]{0,4}([a-z])[\s\")\]>.,:;!?*]{0,5}")
# "la b", "a letra c": articles and nouns before a letter, in other languages too.
_BEFORE_ALONE = re.compile(
    r"(?:(?:a|o|la|el|le|die|der|das|letra|opcao|opcion|loption|lettre|antwort|reponse|respuesta|resposta|"
    r"buchstabe)\s){1,3}(?=[\"(]?[a-z][\")]?[\s.,;]*$)"
)
_LEADING = re.compile(
    r"(?:(?:so|thus|therefore|hence|final|correct|best|most likely|my|the|it|this|that|its|i|think|choose|"
    r"option|choice|letter|answer|diagnosis|is|shows|would be|must be|probably|likely)\b[ :,=]{0,2}){1,9}"
)
_PAIR = re.compile(r"[\s\"(\[<]{0,3}([a-z])([\")\]>.:,]{1,3}| ?[-/=] ?| (?=[\"(])| )\s?(.*)", re.DOTALL)


def _exact(text: str, known: Known) -> str | None:
    """Read a text that is nothing but an answer: "c", "(c)", "c. effusion", "effusion"."""
    if len(text) > known.longest:
        return None
    forms = [text]
    for prefix in (_LEADING, _BEFORE_ALONE):
        if lead := prefix.match(forms[-1]):
            forms.append(forms[-1][lead.end() :])
    for form in forms:
        if known.letters:
            if (alone := _ALONE.fullmatch(form)) and alone[1] in known.letters:
                return alone[1].upper()
            if (pair := _PAIR.fullmatch(form)) and pair[1] in known.letters:
                if exact(pair[3], known) == pair[1].upper():
                    return pair[1].upper()
                if pair[2].strip():
                    return None  # "a. axial": not the article
        if (answer := exact(form, known)) is not None:
            return answer
    return None


# ---- what a text names ---------------------------------------------------------------------------

_DIRECTLY = re.compile(
    r"\b(?:no|not|without|absence of|absent|negative for|free of|lack of|kein\w*|sin|sans|sem)(?: (?:any|"
    r"obvious|evidence|signs?|of|visible|clear|apparent|definite|the|an?))* $"
    r"|(?:^|[.,;:!\n] ?)(?:the |any )?$"
)


def _denied_labels(reading: Reading, known: Known, denied: Sequence[Mention]) -> set[str]:
    """Give the labels that say what a text denies: "no sign of DR" says "no DR"."""
    found = set()
    for mention in denied:
        label = known.denied.get(mention.answer)
        start = mention.start
        near = reading.text[max(0, start - 60) : start]
        if label and (mention.answer not in known.graded or _DIRECTLY.search(near)):
            found.add(label)
    return found


def _one(reading: Reading, known: Known, mentions: Sequence[Mention]) -> Parsed | None:
    """Give the one answer that mentions claim; CONFLICT for several, None for none."""
    if any(mention.answer == CLASH for mention in mentions):
        return CONFLICT
    named = [mention for mention in mentions if mention.answer[:1] != UNNAMED]
    claimed = {mention.answer for mention in named if mention.state is State.CLAIMED}
    denied = [mention for mention in mentions if mention.state is State.DENIED]
    if claimed & {mention.answer for mention in denied}:
        return CONFLICT
    claimed |= _denied_labels(reading, known, denied)
    if len(claimed) > 1:
        return CONFLICT
    return Parsed(claimed.pop(), "") if claimed else None


_BECAUSE = re.compile(r"\b(?:because|since)\b")


def _sentence(reading: Reading, known: Known) -> Parsed | None:
    """Read a text that should name one answer; reasons after "because" count only if needed."""
    because = _BECAUSE.search(reading.text)
    if because:
        head = _between(reading.mentions, 0, because.start())
        if found := _one(reading, known, head):
            return found
    return _one(reading, known, reading.mentions)


_PREFIX = re.compile(
    r"^(?:(?:the )?(?:(?:final|correct|best) )?answer (?:is )?|(?:it|this|that) is |its |i think |"
    r"an? |the )+(?=\S)"
)
_UNKNOWING = re.compile(
    r"(?:i am |im |i |we |it is |its |this is |sorry |the image |the answer )?(?:sorry|cannot|cant|can not|"
    r"could not|unable|do not know|dont know|not possible|impossible|not sure|unsure|unknown|unclear|"
    r"uncertain|as an ai|not enough|insufficient|undetermined|indeterminate|not clear|not given)\b"
)


# "The imaging modality used is CT.": what a sentence about the picture says is the answer.
_SUBJECT = re.compile(
    r"(?:the|this) (?:\w+ ){0,2}?(?:image|picture|scan|x ray|xray|film|answer|modality|plane|view|condition|"
    r"abnormality|pathology|diagnosis|finding|lesion|mass|organ|organ system|structure|location|sequence|"
    r"disease)s?(?: (?:used|shown|seen|depicted|present|here|in (?:this|the) (?:image|picture))){0,2}"
    r" (?:is|are|was|shows) (?:an? |the |located in |located on |most likely |probably ){0,2}(?=\S)"
)
_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|had|shows?|can|could|will|would|does|do|did|may|might|must|need|needs|"
    r"lies|lie|occurs|affects|signif\w+|extends|refers|appears|seems|represents|contains|includes|means|helps)\b"
)
_EXPLAINS = re.compile(
    r"(?:, (?:which|as|due|also|specifically|i\.?e|meaning|where|who)| because| since| which)\b.*|;.*|"
    r"\s?\([^()]{0,80}\)[\s.]*$",
    re.DOTALL,
)


def _free_text(text: str) -> str:
    """Normalise an answer that is on no list, without "the answer is" before it; "" for none."""
    form = _PREFIX.sub("", normalise(text))
    return "" if _UNKNOWING.match(form) else form


# ---- prose: what it declares ---------------------------------------------------------------------


class _Declared(NamedTuple):
    """An answer that a text declares, where, and by which rule; `cut` where the text ends on it."""

    place: int
    answer: str
    rule: str
    final: bool = False
    cut: bool = False
    both: bool = False  # letter and text agree


_HEAD = re.compile(
    r"(?:[\s\"(\[:=-]|most likely|most probably|probably|likely|definitely|clearly|therefore|thus|indeed|"
    r"simply|option|choice|letter|answer|an?\b|the\b|that\b|it\b|its\b|is\b|this\b|be\b|of\b|case\b|either\b|"
    r"both\b|to be\b|number\b|als?o\b|la\b|el\b|le\b|die\b|der\b|das\b|opcion\b|opcao\b|lettre\b|letra\b|"
    r"buchstabe\b|選択肢|选项|選項)*"
)
_OTHER_LETTER = re.compile(r"[\s\"(\[]*([a-z])[\s\")\].,]*(?=$|\n|[.])")
_GOES_ON = frozenset(
    "is are was were seems appears in on at of with and or because since as due for by which that who "
    "has have but not rather over from to given here best instead likely most however when where so "
    "would could can may than it this there also both seen present visible based if while using the a "
    "an these those i we you your does do shows indicates suggests itself such".split()
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
    text, words = reading.text, reading.words
    stop = STOP.search(text, start, start + 240)
    end = stop.start() if stop else min(len(text), start + 240)
    inside = _between(reading.mentions, start, end)
    if any(mention.answer == CLASH for mention in inside):
        return CONFLICT
    answer = _exact(text[start:end], known)
    if answer is not None and not (inside and inside[0].state is not State.CLAIMED):
        return Parsed(answer, "")
    if known.free:
        clause = text[start:end]
        if clause.endswith(":") or re.match(r"step \d", clause):
            return None
        form = _free_text(_EXPLAINS.sub("", clause))
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
                return _one(reading, known, listed)
        sure = [
            m for m in inside
            if (m.marked and _is_head(reading, m)) or head.state is State.DENIED
        ]  # fmt: skip
        if found := _one(reading, known, sure):
            return found
    other = _OTHER_LETTER.fullmatch(text, start, end) if known.letters else None
    return CONFLICT if other and other[1] not in known.letters else None


def _cues(reading: Reading, known: Known) -> list[_Declared]:
    """Find all places where a text says that it answers."""
    text, words = reading.text, reading.words
    found = []
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
            "\n" in cue[0] and len(text) < cue.end() + 9 and text[-1] not in ".)"
            and bool(_ALONE.fullmatch(text, cue.end()))
        )
        found.append(
            _Declared(cue.start(), read_.answer or CLASH, "cue", bool(cue["final"]), cut)
        )
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
    r"[^.\n]{0,80}?\b(?:(?:is|are) not (?:the )?(?:most likely |correct |right |best )?(?:answer|option|choice|"
    r"correct|right)|(?:is|are) (?:incorrect|wrong|false))\b"
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
        if first.answer not in (answer, CLASH) or first.state is State.CLAIMED:
            both = first.last > first.first or not first.letter
            return _Declared(0, first.answer if both else answer, "line", both=both)
        return None  # denied
    return _Declared(0, answer, "line")


_MARKER = re.compile(r"\(?(?:[a-z]|\d{1,2})[).:]\s")
_OPTION_LINE = re.compile(r"(?:^|[.;:]\s)(?:option )?[\"(\[]{0,2}([a-z])[\")\].:]{1,3}\s")


def _lines(
    reading: Reading, known: Known, said: Sequence[_Declared]
) -> tuple[list[_Declared], str]:
    """Find lines that hold just an answer; a list of several options is none.

    Arguments: `said` what cues declare; their lines are theirs.
    Returns: what the lines declare, and "" or the rule of a text that lists options.
    """
    taken = sorted(one.place for one in said)
    text = reading.text
    bare, whole, led, place = [], [], set(), 0
    announced = False
    for line in text.split("\n"):
        if known.letters and (alone := _ALONE.fullmatch(line)) and alone[1] in known.letters:
            cut = announced and place + len(line) == len(text) and line[-1] not in ".)"
            bare.append(_Declared(place, alone[1].upper(), "line", cut=cut))
        elif known.letters == "" and (marker := _MARKER.match(line)):
            if (answer := _exact(line[marker.end() :], known)) is not None:
                whole.append(_Declared(place, answer, "line"))
        elif bisect_left(taken, place) < bisect_left(taken, place + len(line)):
            pass
        elif (answer := _exact(line, known)) is not None:
            both = bool(known.letters) and bool(_PAIR.match(line))
            whole.append(_Declared(place, answer, "line", both=both))
        led.update(option for option in _OPTION_LINE.findall(line) if option in known.letters)
        announced = line.endswith(":")
        place += len(line) + 1
    listed = len(led | {one.answer.lower() for one in whole}) > 1
    lead = None if listed else _lead(reading, known)
    if bare:
        return bare + ([lead] if lead and lead.place == 0 and not bare[0].place == 0 else []), ""
    if listed:
        return [], "conflict" if whole else "none"
    return whole + ([lead] if lead else []), ""


_PLANS = re.compile(
    r"(?:to (?:determine|solve|answer|find|identify|get|understand|figure)|let us|lets|first|step|we (?:need|"
    r"must|can|will|should)|i (?:need|will|would need|must)|in order to|the question|this question|"
    r"here(?: are| is|s)|the following|if |when |consider|think)\b"
)
_CONCLUDES = re.compile(
    r"\b(?:consistent with|suggest\w*|indicat\w*|points? to|pointing to|fits?|compatible with|represents?|"
    r"diagnos\w*|conclude\w*|conclusion|therefore|thus|hence|overall|most likely|in summary|shows?|"
    r"reveals?|demonstrates?|evidence of|findings?)\b"
)
_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n")


# "The small intestines are a part of ...": said of the option, not an answer.
_DEFINED = re.compile(
    r" (?:is|are|was|were|can|could|may|has|have|refers?|means?|does|do|would|will)\b(?! (?:\w+ly )?(?:seen|"
    r"present|visible|shown|likely|noted|evident|affected|here|there|the answer|found|identified)\b)"
)
_IS_BEFORE = re.compile(r"\bis (?:an? |the )?$")
_OR_BEFORE = re.compile(r"\b(?:or|versus|vs) (?:an? |the )?$")


def _mention(reading: Reading, known: Known) -> Parsed | None:
    """Read the one answer that a short text names, or the conclusion of a longer one."""
    text = reading.text
    sure = [
        m for m in reading.mentions
        if m.marked and _is_head(reading, m)
        and (m.letter or m.end - m.start > 3 or _IS_BEFORE.search(text, max(0, m.start - 8), m.start))
        and not (not m.letter and _DEFINED.match(text, m.end))
    ]  # fmt: skip
    if not sure:
        return None
    starts = [0, *(m.end() for m in _SENTENCES.finditer(text))]
    last = text[starts[-1] :] if len(text) > starts[-1] else ""
    if text[-1] not in ".!\")]" and len(text) > 60 or _PLANS.match(text):
        return None
    ending = _between(sure, starts[-1], len(text))
    if ending and _CONCLUDES.search(last) and not _PLANS.match(last) and not last.endswith("?"):
        if found := _one(reading, known, ending):
            return Parsed(found.answer, found.rule or "mention")
    if len(starts) > 1 or "?" in text:
        return None
    if len(sure) == 1 and _OR_BEFORE.search(text, max(0, sure[0].start - 16), sure[0].start):
        return None  # something else, or this
    found = _one(reading, known, [m for m in reading.mentions if m.marked])
    return Parsed(found.answer, found.rule or "mention") if found else None


def _agreed(declared: list[_Declared], text: str) -> Parsed | None:
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


def _clashes(text: str, known: Known) -> bool:
    """Say whether yes or no comes with the letter of the other."""
    return bool(known.letters and known.yes_no) and any(
        letter in known.letters and known.yes_no[word == "no"] != letter.upper()
        for letter, word in _LETTER_YES_NO.findall(text)
    )


_STOPS = re.compile(r"[.!?]\s")


def _free_line(text: str) -> Parsed | None:
    """Read a short text as the answer that it is; a sentence only where it is about the picture."""
    if "\n" in text or len(text.split()) > 24 or _STOPS.search(text):
        return None
    form = normalise(_EXPLAINS.sub("", text))
    if subject := _SUBJECT.match("the " + form.removeprefix("this ").removeprefix("the ")):
        form = ("the " + form.removeprefix("this ").removeprefix("the "))[subject.end() :]
    else:
        form = _PREFIX.sub("", form)
    long = len(form.split()) > 10
    return None if long or not form or _VERB.search(form) or _UNKNOWING.match(form) else (
        Parsed(form, "line")
    )


def _prose(text: str, known: Known) -> Parsed | None:
    """Read a text without tag or box."""
    reading = read(text, known)
    text = reading.text
    declared = _cues(reading, known)
    if known.free:
        if declared:
            return _agreed(declared[-1:], text)
        return _free_line(text)
    lines, listed = _lines(reading, known, declared)
    found = _agreed(declared + lines, text)
    if known.yes_no:
        word = yes_no.said(text)
        if word == yes_no.BOTH or _clashes(text, known):
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


# ---- places --------------------------------------------------------------------------------------


def _in_place(raw: str, known: Known, rule: str) -> Parsed:
    """Read the content of a tag or a box."""
    text = clean(raw)
    if rule == "tag_unclosed":
        text = text.split("\n", 1)[0]  # what follows the line may be anything
    if (answer := _exact(text, known)) is not None:
        return Parsed(answer, rule)
    in_sentence = "tag_sentence" if rule == "tag" else rule
    if known.yes_no and (word := yes_no.said(text, in_tag=True)):
        if word == yes_no.BOTH or _clashes(text, known):
            return CONFLICT
        starts = re.match(r"(?:yes|no)[.,;:!]", text)
        return Parsed(known.yes_no[word == "no"], rule if starts else in_sentence)
    reading = read(text, known)
    if declared := _cues(reading, known) if not known.free else []:
        found = _agreed(declared, reading.text)
        if found is not None:
            return Parsed(found.answer, found.rule if found.answer is None else in_sentence)
    if found := _sentence(reading, known):
        return found if found.answer is None else Parsed(found.answer, in_sentence)
    other = "" if known.letters or reading.mentions else _free_text(text)
    if not other or _hides(other, known):
        return Parsed(None, "no_option")
    return Parsed(other, "tag_other" if rule == "tag" and not known.free else rule)


_NOT_WORD = re.compile(r"\W")


def _hides(text: str, known: Known) -> bool:
    """Say whether a text changes a known answer: "subacute infarct" acute infarct, "-3" the 3."""
    squeezed = _NOT_WORD.sub("", text)
    if any(len(form) > 3 and _NOT_WORD.sub("", form) in squeezed for form in known.texts):
        return True
    numbers = re.findall(r"\d+", key(text))
    return any(number in known.keys for number in numbers)


def _told(told: str, known: Known, thought: bool) -> Parsed | None:
    """Read a completion but for its reasoning; `thought` says whether it had any that closed."""
    if tag := last_tag(told):
        return _in_place(tag[0], known, tag[1])
    if not thought and THINK.search(told):
        return Parsed(None, "unfinished")
    box = last_box(told)
    if box is not None and (found := _in_place(box, known, "box")).rule != "no_option":
        return found
    prose = clean(told)
    return _prose(prose, known) if prose else None


_told_before = lru_cache(maxsize=16384)(_told)  # samples of one item often end alike


def _parse(text: str, known: Known) -> Parsed:
    if not text.strip():
        return Parsed(None, "empty")
    *_, end = [None, *END_THINK.finditer(text)]
    told = text[end.end() :] if end else text
    found = (_told_before if len(told) < 400 else _told)(told, known, end is not None)
    if found:
        return found
    if end and (tag := last_tag(text[: end.start()])):
        return Parsed(_in_place(tag[0], known, tag[1]).answer, "think_tag")
    return Parsed(None, "none")


def _pairs(own: tuple[tuple[str, str], ...], extra: tuple[tuple[str, str], ...]):
    """Add the synonyms of known answers; without known answers, a synonym maps to its text."""
    if not extra:
        return own
    answers = {normalise(text): answer for text, answer in own}
    if not own:
        return tuple((text, normalise(answer)) for text, answer in extra)
    return own + tuple(
        (text, answers[normalise(answer)]) for text, answer in extra if normalise(answer) in answers
    )


def parse(
    text: str,
    *,
    answer_format: str,
    options: Sequence[str] | None = None,
    label_set: Sequence[str] = (),
    synonyms: Mapping[str, str] | None = None,
) -> Parsed:
    """Find the answer of a completion, and the rule that found it.

    Arguments: `text` the completion, without special tokens; `answer_format` "mcq" or "open";
    `options` the option texts in order A, B, ... (mcq); `label_set` the answers an open item
    knows (none: any text); `synonyms` other spellings and the answer each stands for.
    Returns: Parsed. For mcq the answer is an option's letter. For open it is a label of the label
    set, or where none is named the normalised text. None where nothing is answered.
    Raises: ValueError for an unknown format, or for mcq without 1 to 26 options; never for a text.
    """
    if answer_format not in ("mcq", "open"):
        raise ValueError(f"answer_format must be 'mcq' or 'open', not {answer_format!r}")
    extra = tuple((synonyms or {}).items())
    if answer_format == "mcq":
        if not options or len(options) > 26:
            raise ValueError("an mcq item needs 1 to 26 options")
        letters = string.ascii_lowercase[: len(options)]
        own = tuple(zip(options, letters.upper(), strict=True))
        known = known_answers(False, letters, _pairs(own, extra))
    else:
        own = tuple((label, label) for label in label_set)
        known = known_answers(not own, "", _pairs(own, extra))
    return _parse(fold(without_special(text)), known)


def parse_item(text: str, item: Item) -> Parsed:
    """Parse a completion of an item with the item's own options, labels and synonyms."""
    return parse(
        text,
        answer_format=item.answer_format,
        options=item.options,
        label_set=item.label_set,
        synonyms=item.synonyms,
    )
