"""Texts that are just an answer: "c", "(c) effusion", "the left lung".

    bare_answer("so the answer is (c).", known)     # 'C'
    free_answer("It is a pleural effusion.")        # 'pleural effusion'

`pytest tests/score/test_parsing.py` runs the tests.
"""

from __future__ import annotations

import re

from medrl_core.score.known import Known, exact
from medrl_core.score.words import normalise

LETTER_ALONE = re.compile(r"[\s\"(\[<*:,.-]{0,4}([a-z])[\s\")\]>.,:;!?*]{0,5}")
# "la b", "a letra c": articles and nouns before a letter, in other languages too.
_BEFORELETTER_ALONE = re.compile(
    r"(?:(?:a|o|la|el|le|die|der|das|letra|opcao|opcion|loption|lettre|antwort|reponse|respuesta|"
    r"resposta|buchstabe)\s){1,3}(?=[\"(]?[a-z][\")]?[\s.,;]*$)"
)
_LEADING = re.compile(
    r"(?:(?:so|thus|therefore|hence|final|correct|best|most likely|my|the|it|this|that|its|i|think|"
    r"choose|option|choice|letter|answer|diagnosis|is|shows|would be|must be|probably|"
    r"likely)\b[ :,=]{0,2}){1,9}"
)
LETTER_AND_TEXT = re.compile(
    r"[\s\"(\[<]{0,3}([a-z])([\")\]>.:,]{1,3}| ?[-/=] ?| (?=[\"(])| )\s?(.*)", re.DOTALL
)


def bare_answer(text: str, known: Known) -> str | None:
    """Read a text that is nothing but an answer: "c", "(c)", "c. effusion", "effusion"."""
    if len(text) > known.longest:
        return None
    forms = [text]
    for prefix in (_LEADING, _BEFORELETTER_ALONE):
        if lead := prefix.match(forms[-1]):
            forms.append(forms[-1][lead.end() :])
    for form in forms:
        if known.letters:
            if (alone := LETTER_ALONE.fullmatch(form)) and alone[1] in known.letters:
                return alone[1].upper()
            if (pair := LETTER_AND_TEXT.fullmatch(form)) and pair[1] in known.letters:
                if exact(pair[3], known) == pair[1].upper():
                    return pair[1].upper()
                if pair[2].strip():
                    return None  # "a. axial": not the article
        if (answer := exact(form, known)) is not None:
            return answer
    return None


_PREFIX = re.compile(
    r"^(?:(?:the )?(?:(?:final|correct|best) )?answer (?:is )?|(?:it|this|that) is |its |i think |"
    r"an? |the )+(?=\S)"
)
_UNKNOWING = re.compile(
    r"(?:i am |im |i |we |it is |its |this is |sorry |the image |the answer )?(?:sorry|cannot|cant|"
    r"can not|"
    r"could not|unable|do not know|dont know|not possible|impossible|not sure|unsure|unknown|"
    r"unclear|"
    r"uncertain|as an ai|not enough|insufficient|undetermined|indeterminate|not clear|not given)\b"
)


# "The imaging modality used is CT.": what a sentence about the picture says is the answer.
_SUBJECT = re.compile(
    r"(?:the|this) (?:\w+ ){0,2}?(?:image|picture|scan|x ray|xray|film|answer|modality|plane|view|"
    r"condition|"
    r"abnormality|pathology|diagnosis|finding|lesion|mass|organ|organ system|structure|location|"
    r"sequence|disease)s?(?: (?:used|shown|seen|depicted|present|here|in (?:this|the) (?:image|"
    r"picture))){0,2}"
    r" (?:is|are|was|shows) (?:an? |the |located in |located on |most likely |probably ){0,2}(?=\S)"
)
_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|had|shows?|can|could|will|would|does|do|did|may|might|must|"
    r"need|needs|"
    r"lies|lie|occurs|affects|signif\w+|extends|refers|appears|seems|represents|contains|includes|"
    r"means|helps)\b"
)
EXPLAINS = re.compile(
    r"(?:, (?:which|as|due|also|specifically|i\.?e|meaning|where|who)| because| since| which)\b.*|"
    r";.*|\s?\([^()]{0,80}\)[\s.]*$",
    re.DOTALL,
)


def free_answer(text: str) -> str:
    """Normalise an answer that is on no list, without "the answer is" before it; "" for none."""
    form = _PREFIX.sub("", normalise(text))
    return "" if _UNKNOWING.match(form) else form


_STOPS = re.compile(r"[.!?]\s")


def free_line(text: str) -> str | None:
    """Read a short text as the answer that it is; a sentence only where it is about the picture."""
    if "\n" in text or len(text.split()) > 24 or _STOPS.search(text):
        return None
    form = normalise(EXPLAINS.sub("", text))
    if subject := _SUBJECT.match("the " + form.removeprefix("this ").removeprefix("the ")):
        form = ("the " + form.removeprefix("this ").removeprefix("the "))[subject.end() :]
    else:
        form = _PREFIX.sub("", form)
    long = len(form.split()) > 10
    return None if long or not form or _VERB.search(form) or _UNKNOWING.match(form) else form
