"""The parser: from a completion to its answer and the rule that found it.

Reward and evaluation both call `parse`; nothing else reads answers.
`tests/score/parsing_cases.yaml` lists what is expected of it. Run its

How a completion is read, first rule that answers wins (only the text after the last `</think>`):

1. `tag`: the last answer tag that is not empty, closed or cut off (`tag_unclosed`), holds just an
   answer: a letter, "C) effusion", an option text, a label. In a whole sentence it is
   `tag_sentence`. A tag that holds none of the known answers ends the search (`tag_other`).
2. `box`: the last LaTeX box.  3. `cue`: the last "Answer: C", "the option is C", "C is correct".
4. `line`: a line that holds just an answer.  5. `mention`: the one answer named in the last
   sentence that names any.  6. `think_tag`: an answer tag inside the reasoning.

Two different answers in one place are no answer (`conflict`); a negated one ("not A") is none
either. Without a tag, reasoning that never closed is not an answer (`unfinished`).
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from medrl_core.score.markup import (
    END_THINK,
    THINK,
    clean,
    format_ok,
    last_box,
    last_tag,
    normalise,
    plain,
    without_special,
)

__all__ = ["TAG_RULES", "Parsed", "format_ok", "is_correct", "normalise", "parse"]

# Rules that found a closed answer tag with an answer in it; all others are format failures.
TAG_RULES = frozenset({"tag", "tag_sentence", "tag_other"})


class Parsed(NamedTuple):
    """What `parse` found: the answer, or None, and the name of the rule."""

    answer: str | None
    rule: str


# ---- finding known answers in a cleaned text -----------------------------------------------------

_FILLER = (
    r"(?:(?:an|the|option|choice|answer|letter|any|evidence|signs?|of|be|is|for|likely|or|nor|and|"
    r"[A-Z]) ){0,6}"
)
_NEGATED_BEFORE = re.compile(
    r"(?:\b(?:not|no|never|nor|neither|cannot|isnt|arent|wasnt|cant|doesnt show|without|"
    r"rather than|instead of|unlike|except|rules? out|ruled out|ruling out|excludes?|excluded|"
    r"excluding|absence|absent|negative for|incorrect|wrong)[ :]{1,2})" + _FILLER + r"[(\[\"]?$",
    re.IGNORECASE,
)
_NEGATED_AFTER = re.compile(
    r"[)\].\"]{0,2} ?(?:(?:is|are|was|were|seems?|looks?|can|could|should|would|has|have) "
    r"(?:clearly |be |been |also |therefore ){0,2}(?:not|incorrect|wrong|unlikely|less likely|"
    r"excluded|absent|ruled out|eliminated|false)\b|(?:isnt|arent|wasnt|cannot|cant)\b)",
    re.IGNORECASE,
)
_AFTER_A = re.compile(r"\s*(?:$|[-–—.,;:!?)\]/\"&]|(?:or|and|because|since|as|due|for|is|seems)\b)")
_MARKED = re.compile(r"\b(?:option|choice|letter) ?[(\[]?$", re.IGNORECASE)
_BRACKETS = {"(": ")", "[": "]"}
_LETTER = re.compile(r"(?<![\w-])[A-Za-z](?![\w-])")
_BECAUSE = re.compile(r"\b(?:because|since)\b", re.IGNORECASE)
_LEADING = re.compile(
    r"^(?:(?:so|thus|therefore|hence|final|correct|best|my|the|it|this|that|its|i|think|choose|option|"
    r"choice|letter|answer|diagnosis|is|shows)\b[ :,=]{0,2})+",
    re.IGNORECASE,
)
_LETTER_TEXT = re.compile(r"[(\[]?([A-Za-z])(?:[)\].:,]{1,2}| ?[-–—=] )\s?(.*)", re.DOTALL)
_EDGES = " \n.,:;!?()[]\"-–—=<>"


class _Known(NamedTuple):
    """The answers an item knows: letters, and normalised texts with what they stand for.

    An item is free when it has no options and no label set: any text can be its answer.
    """

    free: bool
    letters: str
    terms: dict[str, str]
    pattern: re.Pattern[str] | None


@lru_cache(maxsize=4096)
def _known(free: bool, letters: str, pairs: tuple[tuple[str, str], ...]) -> _Known:
    terms: dict[str, str] = {}
    doubled = set()
    for text, answer in pairs:
        # An answer is read without its markup, so an option is known without its own too.
        for key in {normalise(text), normalise(clean(plain(text)))}:
            if terms.setdefault(key, answer) != answer:
                doubled.add(key)  # two options with one text: the text says nothing
    terms = {key: answer for key, answer in terms.items() if key and key not in doubled}
    if not terms:
        return _Known(free, letters, {}, None)
    ordered = sorted(terms, key=lambda t: (-len(t), t))
    words = "|".join(r"[\W_]{1,3}".join(map(re.escape, term.split())) for term in ordered)
    pattern = re.compile(rf"(?<!\w)(?<!\d\.)(?:{words})(?!\w|\.\d)", re.IGNORECASE)
    return _Known(free, letters, terms, pattern)


def _negated(text: str, start: int, end: int) -> bool:
    before, after = text[max(0, start - 70) : start], text[end : end + 60]
    return bool(_NEGATED_BEFORE.search(before) or _NEGATED_AFTER.match(after))


def _exact(text: str, known: _Known) -> str | None:
    """Read a text that is nothing but an answer: "C", "(c)", "C. effusion", "effusion"."""
    for form in (text, _LEADING.sub("", text, count=1)):
        bare = form.strip(_EDGES)
        if len(bare) == 1 and bare.upper() in known.letters:
            return bare.upper()
        if (term := normalise(bare)) in known.terms:
            return known.terms[term]
        pair = _LETTER_TEXT.fullmatch(form.strip())
        if pair and pair[1].upper() in known.letters:
            rest = known.terms.get(normalise(pair[2]))
            if rest == pair[1].upper():
                return rest
        if {"yes", "no"} <= known.terms.keys():
            word = re.match(r"(yes|no)\b(?=[.,;:!]|\s*$)", bare, re.IGNORECASE)
            if word:
                return known.terms[word[1].lower()]
    return None


def _named(text: str, known: _Known, marked_only: bool) -> set[str]:
    """Collect the answers that a cleaned text names and does not negate.

    With `marked_only`, letters count only as "(C)" or "option C", and texts from four signs on:
    a stray letter or a number in free prose is no answer.
    """
    names = set()
    spans = list(known.pattern.finditer(text)) if known.pattern else []
    for span in spans:
        term = normalise(span[0])
        kept = term in ("yes", "no") or not _negated(text, *span.span())
        if kept and not (marked_only and len(term) < 4) and term in known.terms:
            names.add(known.terms[term])
    if not known.letters:
        return names
    blank = list(text)
    for span in spans:  # a letter inside an option text ("hepatitis B") is no letter
        blank[span.start() : span.end()] = "#" * (span.end() - span.start())
    text = "".join(blank)
    for letter in _LETTER.finditer(text):
        before = text[max(0, letter.start() - 12) : letter.start()]
        closing = _BRACKETS.get(before[-1:])
        marked = _MARKED.search(before) or closing == text[letter.end() : letter.end() + 1]
        word = letter[0] in "aAiI" and not _AFTER_A.match(text, letter.end())
        usable = marked or (not word and not marked_only)
        known_letter = letter[0].upper() in known.letters
        if usable and known_letter and not _negated(text, *letter.span()):
            names.add(letter[0].upper())
    return names


def _one(names: set[str]) -> Parsed | None:
    if len(names) > 1:
        return Parsed(None, "conflict")
    return Parsed(next(iter(names)), "") if names else None


def _sentence(text: str, known: _Known) -> Parsed | None:
    """Read a text that should name one answer; reasons after "because" count only if needed."""
    head = _BECAUSE.split(text, maxsplit=1)[0]
    return _one(_named(head, known, False)) or _one(_named(text, known, False))


# ---- rules for text without a tag ----------------------------------------------------------------

_CUE = re.compile(
    r"(?:(?<!incorrect )(?<!wrong )(?<!not the )\b(?:answer|option|choice|diagnosis)"
    r"(?: (?:here|choice|option|letter|would|should|must|will|to (?:the|this) question)){0,3}"
    r"\s?(?:\b(?:is|be|are)\b|[:=→]|[-–—]>?)|"
    r"\bi(?:d| would| will| ll)? (?:think|believe|choose|chose|pick|select|say|guess|go with)\b"
    r"(?: (?:that|its|it is|it must be))?|\b(?:must|has to) be\b)[\s:]{0,3}",
    re.IGNORECASE,
)
_IS_CORRECT = re.compile(
    r"(?<![\w-])(?:([A-Z])|(?:[Oo]ption|[Cc]hoice) [(\[]?([A-Za-z]))[)\]]? "
    r"(?:is|seems|appears|looks) (?:the |most |clearly |to be |likely |therefore ){0,3}"
    r"(?:correct|right|best|answer)\b"
)
_STOP = re.compile(r"[.!?](?=\s|$)|\n")
_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n")
_LEAD_LETTER = re.compile(r"[(\[]?([A-Z])[)\].:]{1,2}(?:\s|$)")
_PREFIX = re.compile(
    r"^(?:(?:the )?(?:(?:final|correct|best) )?answer (?:is )?|(?:it|this|that) is |its |i think |"
    r"an? |the )+(?=\S)"
)


def _free_text(text: str) -> str:
    """Normalise an answer that is on no list, without "the answer is" before it."""
    return _PREFIX.sub("", normalise(text))


def _cue(text: str, known: _Known) -> Parsed | None:
    """Read the last place where the text says that it answers."""
    cues = [(m.start(), m.end(), None) for m in _CUE.finditer(text)]
    cues += [(m.start(), m.end(), (m[1] or m[2]).upper()) for m in _IS_CORRECT.finditer(text)]
    for _, end, letter in sorted(cues, reverse=True, key=lambda cue: cue[:2]):
        if letter:
            if letter in known.letters:
                return Parsed(letter, "cue")
            continue
        clause = text[end : end + 200]
        stop = _STOP.search(clause)
        clause = clause[: stop.start()] if stop else clause
        answer = _exact(clause, known)
        if answer:
            return Parsed(answer, "cue")
        if known.free and _free_text(clause):
            return Parsed(_free_text(clause), "cue")
        if found := _sentence(clause, known):
            return Parsed(found.answer, found.rule or "cue")
    return None


def _lead_letter(line: str, known: _Known) -> str | None:
    """Read "C. Because of ...", unless the rest is another option's text or denies C."""
    lead = _LEAD_LETTER.match(line)
    if not lead or lead[1] not in known.letters or _negated(line, *lead.span(1)):
        return None
    return lead[1] if known.terms.get(normalise(line[lead.end() :]), lead[1]) == lead[1] else None


def _line(text: str, known: _Known) -> Parsed | None:
    """Read lines that hold just an answer; a list of several options is none."""
    lines = text.split("\n")
    answers = [_exact(line, known) for line in lines]
    if known.free and not any(answers):
        short = len(lines) == 1 and len(text.split()) <= 10
        return Parsed(_free_text(text), "line") if short and _free_text(text) else None
    bare = {a for a, line in zip(answers, lines, strict=True) if a and len(line.strip(_EDGES)) == 1}
    led = {letter for line in lines if (letter := _lead_letter(line, known))}
    for names in (bare, {a for a in answers if a} | led):
        if len(names) == 1:
            return Parsed(names.pop(), "line")
    return Parsed(None, "conflict") if any(answers) else None


def _mention(text: str, known: _Known) -> Parsed | None:
    for sentence in reversed(_SENTENCES.split(text)):
        if found := _one(_named(sentence, known, True)):
            return Parsed(found.answer, found.rule or "mention")
    return None


def _in_place(raw: str, known: _Known, rule: str) -> Parsed:
    """Read the content of a tag or a box."""
    text = clean(raw)
    if rule == "tag_unclosed":
        text = text.split("\n", 1)[0]  # what follows the line may be anything
    if answer := _exact(text, known):
        return Parsed(answer, rule)
    if found := _sentence(text, known):
        if found.answer is None:
            return found
        return Parsed(found.answer, "tag_sentence" if rule == "tag" else rule)
    other = "" if known.letters else _free_text(text)
    if not other:
        return Parsed(None, "no_option")
    return Parsed(other, "tag_other" if rule == "tag" and not known.free else rule)


def _parse(text: str, known: _Known) -> Parsed:
    if not text.strip():
        return Parsed(None, "empty")
    *_, end = [None, *END_THINK.finditer(text)]
    said = text[end.end() :] if end else text
    if tag := last_tag(said):
        return _in_place(tag[0], known, tag[1])
    if end is None and THINK.search(text):
        return Parsed(None, "unfinished")
    box = last_box(said)
    if box is not None and (found := _in_place(box, known, "box")).rule != "no_option":
        return found
    prose = clean(said)
    for rule in (_cue, _line, _mention):
        if prose and (found := rule(prose, known)):
            return found
    if end and (tag := last_tag(text[: end.start()])):
        return Parsed(_in_place(tag[0], known, tag[1]).answer, "think_tag")
    return Parsed(None, "none")


def _report(text: str) -> Parsed:
    """Read the words of the answer tag of a completion in the asked format; else there are none."""
    if not format_ok(text):
        return Parsed(None, "no_tag")
    return Parsed(normalise(text.partition("<answer>")[2].partition("</answer>")[0]), "tag")


def _pairs(own: tuple[tuple[str, str], ...], extra: tuple[tuple[str, str], ...]):
    """Add the synonyms of known answers; without known answers, a synonym maps to its text."""
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

    Arguments: `text` the completion, without special tokens; `answer_format` "mcq", "open" or
    "report"; `options` the option texts in order A, B, ... (mcq); `label_set` the answers an open
    item knows (none: any text); `synonyms` other spellings and the answer each stands for.
    Returns: Parsed. For mcq the answer is an option's letter. For open it is a label of the label
    set, or where none is named the normalised text. For report it is the normalised text of the
    answer tag of a completion that is reasoning and answer in tags, nothing else. None where
    nothing is answered.
    Raises: ValueError for an unknown format, or for mcq without 1 to 26 options; never for a text.
    """
    if answer_format not in ("mcq", "open", "report"):
        raise ValueError(f"answer_format must be mcq, open or report, not {answer_format!r}")
    if answer_format == "report":
        return _report(text)
    extra = tuple((synonyms or {}).items())
    if answer_format == "mcq":
        if not options or len(options) > 26:
            raise ValueError("an mcq item needs 1 to 26 options")
        letters = string.ascii_uppercase[: len(options)]
        known = _known(False, letters, _pairs(tuple(zip(options, letters, strict=True)), extra))
    else:
        own = tuple((label, label) for label in label_set)
        known = _known(not own, "", _pairs(own, extra))
    return _parse(plain(without_special(text)), known)


def is_correct(answer: str | None, gold: str) -> bool:
    """Say whether a parsed answer is the gold answer: same letter, or same normalised text.

    Arguments: `answer` as `parse` gives it; `gold` the item's letter or text.
    """
    return answer is not None and normalise(answer) == normalise(gold)
