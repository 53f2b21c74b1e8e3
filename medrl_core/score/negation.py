"""What a text denies: "no acute fracture", "pneumonia is ruled out", "neither A nor B", 不是.

A denial reaches from its word to the end of the clause; "but", "however" and a new clause end it.
What cannot be said to be denied or claimed ("effusion cannot be excluded") is UNCLEAR.
`pytest tests/score/test_parsing.py` runs the tests.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum

from medrl_core.score.words import Words


class State(Enum):
    """What a text says of an answer that it names."""

    CLAIMED = "claimed"
    DENIED = "denied"
    UNCLEAR = "unclear"


_REACH = 14  # words from a denial to what it denies
_DENIALS = frozenset(
    "no not never nor neither cannot isnt arent wasnt werent cant couldnt doesnt dont didnt wont "
    "wouldnt shouldnt hasnt havent without unlike except excepting excluding excludes exclude "
    "excluded absence absent lack lacks lacking incorrect wrong false eliminate eliminates "
    "eliminated eliminating discard discards discarded reject rejects rejected deny denies "
    "denied dismiss dismisses dismissed nothing none nobody hardly barely unlikely untrue "
    "negative sans doubt kein keine keinen keiner keines keinem nicht ohne weder noch ningun "
    "ninguna ninguno sin nunca tampoco ni nest pas aucun aucune jamais nao nem nenhum nenhuma "
    "sem nessun nessuna senza geen niet zonder не нет без ليس ليست لا بدون غير لم".split()
)
# After "is" they deny what came before: "A is wrong, B is right"; else what follows: "wrong: A".
_BOTH_WAYS = frozenset(
    "wrong incorrect false excluded absent eliminated discarded rejected dismissed denied "
    "unlikely untrue negative out".split()
)
_COPULAS = frozenset(
    "can is are was were be been being seems looks appears seem look appear".split()
)
_NO_DENIAL_BEFORE = frozenset(
    "only just merely simply doubt question wonder surprisingly necessarily".split()
)
_ENDS = frozenset(
    "but however although though yet whereas while therefore thus hence because since instead "
    "which positive sondern aber jedoch sino pero mais mas ma maar но а однако لكن بل".split()
)
_NEW_CLAUSE = frozenset(
    "it this that there the these they we i its rather only so then most more probably likely "
    "consistent showing suggesting with his her patient overall".split()
)
_TWO_WORDS = {
    ("ruled", "out"), ("rule", "out"), ("rules", "out"), ("ruling", "out"), ("rather", "than"),
    ("other", "than"), ("instead", "of"), ("free", "of"), ("apart", "from"), ("aside", "from"),
    ("opposed", "to"), ("anything", "but"), ("all", "but"), ("everything", "but"), ("any", "but"),
    ("option", "but"), ("answer", "but"), ("nothing", "but"),
    ("least", "likely"), ("less", "likely"),
}  # fmt: skip
_STOP = re.compile(r"[;!?.]\s|\n|\s-\s|→")  # between two words

_DENYING = (
    r"(?:incorrect|wrong|false|untrue|unlikely|less likely|least likely|improbable|implausible|"
    r"excluded|absent|ruled out|out of the question|eliminated|rejected|dismissed|discarded|denied|"
    r"negative|impossible|doubtful|inconsistent|inappropriate|not|never|no longer|"
    r"nicht|kein\w?|falsch|incorrect[ao]|fals[ao]|errad[ao]|descartad[ao]|exclue?|fausse?|faux)"
)
_SEEN = (
    r"(?:seen|present|visible|shown|identified|detected|evident|found|noted|demonstrated|observed|"
    r"appreciated|likely|possible|correct|right|true|supported|consistent|visualized|visualised|"
    r"mentioned|apparent|indicated|suggested|here|there)"
)
_BE = (
    r"(?:is|are|was|were|be|seems?|looks?|appears?|can|could|should|would|may|might|must|will|has|"
    r"have|had|does|do|did|ist|sind|wird|es|son|est|sont|sao|foi)"
)
_AFTER = re.compile(
    r"[)\]\"]{0,2}(?: ?\([a-z0-9 ]{1,12}\))?(?:"
    rf" {_BE} (?:(?:\w{{2,15}}ly|be|been|to|also|therefore|most|very|quite|so|thus|an?|the|"
    rf"considered|currently|still|just|simply|ne) ){{0,4}}{_DENYING}\b(?! (?:only|just|merely)\b)"
    r"| (?:isnt|arent|wasnt|werent|cannot|cant|couldnt|doesnt|dont|didnt|hasnt|wont|wouldnt|"
    r"shouldnt|nest pas)\b"
    rf"| (?:not|never|nowhere) (?:be |been |clearly |really )?{_SEEN}\b"
    r"| (?:can|could|may) (?:safely |now |be |also )*(?:ruled out|excluded|dismissed|eliminated)\b"
    r"|(?: |: ?| - | \(|\? )(?:wrong|incorrect|false|absent|excluded|ruled out|unlikely|eliminated|"
    r"negative|none|no)(?=[).,;!\n]|$)"
    r"| (?:absent|excluded|ruled out|unlikely|eliminated|no es|nao e)\b"
    r"| ?(?:被)?(?:排除|不成立|可能性(?:小|不大|低)|阴性|陰性|(?:是)?(?:错|錯|不正确|不正確|不对|"
    r"不對)|(?:で|て)は(?:ない|なく|ありません)|じゃない|は?(?:ない|なし|ありません|否定)|(?:を|"
    r"は)認めない|が(?:ない|なし)|は(?:誤り|間違い|除外))"
    r"| ?(?:아니|없|제외)"
    r")"
)
_OPEN_QUESTION = re.compile(
    r"[)\]\"]{0,2} (?:can ?not|cant|could not|couldnt|may not|is not|isnt|was not|wasnt) (?:yet |"
    r"be |been |completely |entirely |fully |definitively |safely )*(?:excluded|ruled out|"
    r"dismissed)\b"
)
_AFFIRMED = re.compile(
    r"[)\]\"]{0,2} (?:is|are|was|were) (?:\w+ly |also )?(?:present|seen|visible|noted|likely|shown|"
    r"there|correct|right|evident|identified|the)\b"
    r"|[)\]\"]{0,2} instead\b(?! of)|[)\]\"]{0,2} is(?=[.,;!]|$)"
)
_CJK_BEFORE = re.compile(
    r"(?:没有|沒有|没|沒|無|无|不是|并非|並非|非|未见|未見|未|否认|否認|排除|除外|不考虑|不考慮|"
    r"不选|不選|不)"
    r"(?:明显|明顯|任何|急性|证据|證據|显示|見|见|看到|发现|發現|可见|的|选|選|项|項|"
    r" ){0,4}[「\"(]?$"
)
_CONNECTED = re.compile(
    r"[\")\]]?(?:\s?[,/&+]\s?(?:(?:and|or|nor|und|oder|y|o|et|ou|e)\s)?|\s(?:and|or|nor|und|oder|y|"
    r"o|"
    r"et|ou|e|noch|ni|nem)\s|\s?[、和与與或及や]\s?)(?:(?:option|options|choice|letter|the|an?|any|"
    r"also|possible|acute|large|small|other)\s){0,2}[\"(\[]?"
)


def _before(text: str, words: Words, place: int) -> State:
    """Look from a word back to the start of its clause for a denial that reaches it."""
    for i in range(place - 1, max(-1, place - 1 - _REACH), -1):
        gap = text[words.end[i] : words.start[i + 1]]
        word, after = words.word[i], words.word[i + 1]
        if i == place - 1 and words.word[i] == "not" and gap[:1] == " ":
            return State.DENIED
        comma = "," in gap and gap[:1] != " "
        if gap != " " and not comma and _STOP.search(gap):
            break
        if comma and after in _NEW_CLAUSE:
            break
        before = words.word[i - 1] if i else ""
        if before == "so" and word in _COPULAS:
            return State.UNCLEAR  # "... and so can pneumonia"
        if (before, word) in _TWO_WORDS:
            earlier = words.word[i - 2] if i > 1 else ""
            if earlier in _COPULAS or comma:
                break  # "A is ruled out, B ...": it denies A
            if word == "out" and {earlier, words.word[i - 3] if i > 2 else ""} & _DENIALS:
                return State.UNCLEAR
            return State.DENIED
        if word in _DENIALS:
            if comma and word not in ("without", "unlike", "except"):
                break  # "No, ...", "A is not, B is"
            if word in _BOTH_WAYS and before in _COPULAS:
                break
            if after in _NO_DENIAL_BEFORE:
                continue
            if word == "doubt" and before in _DENIALS or word in _BOTH_WAYS and gap[:1] in ")]":
                break
            earlier = words.word[i - 2] if i > 1 else ""
            if word.startswith("exclud") and {before, earlier} & _DENIALS:
                return State.UNCLEAR
            return State.DENIED
        if word in _ENDS and not (word == "instead" and after == "of"):
            break
    start = words.start[place]
    cjk = max(text[max(0, start - 2) : start], default="") > "\u2fff"
    if cjk and _CJK_BEFORE.search(text, max(0, start - 14), start):
        return State.DENIED
    return State.CLAIMED


def _affirmed(text: str, words: Words, span: tuple[int, int], end: int) -> bool:
    """Say whether a text claims what comes after a comma: "no effusion, pneumonia is seen"."""
    gap = text[words.end[span[0] - 1] : words.start[span[0]]] if span[0] else ""
    return gap.strip() == "," and bool(_AFFIRMED.match(text, end))


def states(text: str, words: Words, spans: Sequence[tuple[int, int]]) -> list[State]:
    """Say of each named answer whether the text claims or denies it.

    Answers in one list share a denial: "A and B are wrong", "no effusion, pneumonia or fracture".

    Arguments:
        text: a folded text without markup.
        words: all its words.
        spans: for each named answer its first and last word, in order, not overlapping.
    """
    found: list[State] = []
    start = 0
    while start < len(spans):
        stop = start + 1
        only_commas = True
        while stop < len(spans):
            gap = text[words.end[spans[stop - 1][1]] : words.start[spans[stop][0]]]
            if len(gap) > 40 or not _CONNECTED.fullmatch(gap):
                break
            if gap.strip() == "," and words.word[spans[stop][0]] > "\u2fff":
                break  # Chinese lists have another comma
            only_commas &= gap.strip() in (",", ', "')
            stop += 1
        size = stop - start
        end = words.end[spans[stop - 1][1]]
        before = _before(text, words, spans[start][0])
        last = before
        if _OPEN_QUESTION.match(text, end):
            last = State.UNCLEAR
        elif _AFTER.match(text, end):
            last = State.DENIED
        elif (
            before is State.DENIED and only_commas
            and _affirmed(text, words, spans[stop - 1], end)
        ):  # fmt: skip
            last = State.CLAIMED
        others = before if only_commas or last is before else last
        found += [others] * (size - 1) + [last]
        start = stop
    return found
