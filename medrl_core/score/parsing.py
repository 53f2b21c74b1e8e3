"""The reader of answers: from a completion to its answer and the rule that found it.

    parse("<think>...</think><answer>(C) effusion</answer>", answer_format="mcq",
          options=["nodule", "mass", "effusion"])          # Parsed(answer='C', rule='tag')

Reward and evaluation both call `parse`; nothing else reads answers. As a reward, a reader that
guesses pays for talking: where a text does not say one answer, there is none.

How a completion is read, first rule that answers wins (only the text after the last `</think>`):

1. `tag`: the last answer tag that is not empty, closed or cut off (`tag_unclosed`), contains just
   an answer: a letter, "C) effusion", an option text, a label. In a whole sentence it is
   `tag_sentence`. A tag that contains none of the known answers ends the search (`tag_other`).
2. `box`: the last LaTeX box.
3. `cue`: what the text declares: "Answer: C", "the option is C", "C is correct", 答案：C; and
   `line`: a line that contains just an answer, or a first line "C. Because ...". All must agree,
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
from collections.abc import Mapping, Sequence
from functools import lru_cache

from medrl_core.score import yes_no
from medrl_core.score.bare_answers import bare_answer, free_answer
from medrl_core.score.folding import fold
from medrl_core.score.known import Known, Parsed, Reading, claimed_answer, known_answers, read
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
from medrl_core.score.prose import CONFLICT, agreed, clashes, declared_by_cues, prose_answer
from medrl_core.score.words import key, normalise

__all__ = ["TAG_RULES", "Parsed", "format_ok", "is_correct", "normalise", "parse"]

# Rules that found a closed answer tag with an answer in it; all others are format failures.
TAG_RULES = frozenset({"tag", "tag_sentence", "tag_other"})


_BECAUSE = re.compile(r"\b(?:because|since)\b")


def _sentence(reading: Reading, known: Known) -> Parsed | None:
    """Read a text that should name one answer; reasons after "because" count only if needed."""
    because = _BECAUSE.search(reading.text)
    if because:
        head = [m for m in reading.mentions if m.start < because.start()]
        if found := claimed_answer(reading, known, head):
            return found
    return claimed_answer(reading, known, reading.mentions)


def _in_place(raw: str, known: Known, rule: str) -> Parsed:
    """Read the content of a tag or a box."""
    text = clean(raw)
    if rule == "tag_unclosed":
        text = text.split("\n", 1)[0]  # what follows the line may be anything
    if (answer := bare_answer(text, known)) is not None:
        return Parsed(answer, rule)
    in_sentence = "tag_sentence" if rule == "tag" else rule
    if known.yes_no and (word := yes_no.said(text, in_tag=True)):
        if word == yes_no.BOTH or clashes(text, known):
            return CONFLICT
        starts = re.match(r"(?:yes|no)[.,;:!]", text)
        return Parsed(known.yes_no[word == "no"], rule if starts else in_sentence)
    reading = read(text, known)
    if declared := declared_by_cues(reading, known) if not known.free else []:
        found = agreed(declared, reading.text)
        if found is not None:
            return Parsed(found.answer, found.rule if found.answer is None else in_sentence)
    if found := _sentence(reading, known):
        return found if found.answer is None else Parsed(found.answer, in_sentence)
    other = "" if known.letters or reading.mentions else free_answer(text)
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
    return prose_answer(prose, known) if prose else None


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


def _report(text: str) -> Parsed:
    """Read the words of the answer tag of a completion in the asked format; else there are none."""
    if not format_ok(text):
        return Parsed(None, "no_tag")
    return Parsed(normalise(text.partition("<answer>")[2].partition("</answer>")[0]), "tag")


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
        letters = string.ascii_lowercase[: len(options)]
        own = tuple(zip(options, letters.upper(), strict=True))
        known = known_answers(False, letters, _pairs(own, extra))
    else:
        own = tuple((label, label) for label in label_set)
        known = known_answers(not own, "", _pairs(own, extra))
    return _parse(fold(without_special(text)), known)
