"""Yes and no as sentences say them: "No, ...", "... is yes.", "there is no evidence of ...".

    said("There is no fracture.")            # 'no'
    said("Yes, there is no fracture.")       # 'both': it says two things

Only what answers counts: a denial in the middle of reasoning is none, "it cannot be said" is none.
`pytest tests/score/test_parsing.py` runs the tests.
"""

from __future__ import annotations

import re

from medrl_core.score.cues import last_revision

BOTH = "both"

_EITHER = re.compile(r"[\"(]?\byes\b[\")]?\s?(?:or|/|and|,|vs)\s?[\"(]?no\b[\")]?|"
                     r"[\"(]?\bno\b[\")]?\s?(?:or|/|and|,|vs)\s?[\"(]?yes\b[\")]?")  # fmt: skip
_STARTS = re.compile(
    r"(?:^|(?<=[.!?\n:;])\s?)(?:[\"(*-]\s?)?(?:(?:so|well|thus|therefore|hence|ok|okay|and|but|"
    r"answer|final answer|conclusion|in conclusion|overall)(?:\s?[,:]\s?|\s)){0,2}"
    r"[\"(]?(yes|no|yep|yeah|yup|nope|nah)(?=[\s.,;:!)\"-]|$)"
)
_ENDS = re.compile(
    r"(?<!not )(?:\b(?:is|be|are|was|definitely|say|answer|so|thus|therefore|hence)|"
    r"[=:→,])\s?[\"(]?(yes|no)\b"
    r"(?=[\")]{0,2}(?:\s?[.,;!\n)]|$| because\b| since\b| as\b))"
)
_NOT_AN_ANSWER = re.compile(
    r",? (?:i|we) (?:can|will|would|could|am able to|would like to|do) (?:help|answer|explain|"
    r"provide|"
    r"assist|tell|do that|give|clarify|elaborate)\b|[\")]{0,2} (?:if|means|when|unless|to|for|or|"
    r"doubt|question|matter)\b"
)
_DENIED_FIRST = re.compile(
    r"[.!]\s(?:there (?:is|are) no\b|no\b)|[\s,;:\"-]{1,3}(?:(?:there|it|this|that|they|these|"
    r"those|(?:the|this|these|a|an) (?:\w+ ){1,4}?)"
    r"\s?(?:is|are|was|were|does|do|has|have|can|shows?|seems? to be) (?:\w+ly )?(?:no|not)\b|no\b|"
    r"(?:there|it|this|that) (?:isnt|arent|wasnt|doesnt|cannot)\b|not\b)"
)
_NOUNS = (
    r"(?! (?:any additional|additional|details?|step|reasoning|logical|known|mention|mentioned|"
    r"definitive|single|clear|way|doubt|question|answer|information|image|images|picture|option|"
    r"options|need|reason|right|wrong|correct|one|universal|specific|such|more|known answer|direct|"
    r"simple|straightforward|context|data|consensus|guarantee|difference|possible way|"
    r"scientific|longer|matter|point)\b)"
)
_THERE_IS_NO = re.compile(
    r"(?:(?:so|thus|therefore|hence|overall|in conclusion|based on [\w ]{3,40}|in (?:the|"
    r"this) [\w -]{3,30}|"
    r"on (?:the|this) [\w -]{3,30}|well|i (?:can )?see|i (?:do|can) ?not see|answer),?:? ){0,2}"
    r"(?:(?:that )?there (?:is|are|was|were|appears? to be|seems? to be) (?:clearly |currently |"
    r"actually |"
    rf"really )?(?:no\b{_NOUNS}|not (?:any|an?|enough evidence)\b|nothing\b)|theres no\b{_NOUNS}|"
    rf"no\b(?=[ ](?:\w|[a-z])){_NOUNS}(?! \d)|(?:there|they) (?:isnt|arent|wasnt) (?:any|an?)\b|"
    r"(?:any|an?) [\w -]{3,40} (?:is|are) absent\b|neither\b)"
)
_NOT_SEEN = re.compile(
    r"i (?:dont|cannot|cant|do not|can not) see (?:any |an? |evidence )?(?!the (?:image|picture))|"
    r"(?:the|this|an?|it|no)?[\w ,-]{0,60}?\b(?:is|are|was|were|does|do|has|have|can)"
    r"(?: \w+ly)? ?(?:not|never) (?:be )?(?:seen|present|visible|evident|identified|shown|detected|"
    r"found|noted|observed|demonstrated|show|have|contain|reveal|demonstrate|display|exhibit)\b|"
    r"(?:the|this|it)?[\w ,-]{0,60}?\b(?:shows?|demonstrates?|reveals?|has|have|contains?|"
    r"displays?) no\b"
    rf"{_NOUNS}"
)
_UNKNOWING = re.compile(
    r"\b(?:sure|certain|determine[d]?|tell|know|known|unknown|unclear|possible|impossible|unable|"
    r"assess|"
    r"enough|sufficient|applicable|given|provided|say|answer|decide|information|image itself|"
    r"understand|able|definitive|clear)\b"
)
_DENYING = re.compile(
    r"\b(?:no|not|without|absent|absence|negative|isnt|arent|doesnt|never|none)\b"
)


def said(text: str, *, in_tag: bool = False) -> str | None:
    """Say which of yes and no a cleaned text answers.

    Arguments:
        text: folded, without markup.
        in_tag: all of the text is meant as the answer, so each denial counts.

    Returns:
        "yes", "no", BOTH where it says both, None where neither.
    """
    text = _EITHER.sub("#", text.replace("#", " "))
    found: list[tuple[int, str]] = []
    denies = False
    for match in _STARTS.finditer(text):
        word, end = ("yes" if match[1][0] == "y" else "no"), match.end(1)
        if _NOT_AN_ANSWER.match(text, end) or _asks(text, end):
            continue
        if match[1] == "no" and re.match(r" [^(-]|\s$", text[end : end + 2]):
            continue  # "No fracture": a denial, below
        if word == "yes" and _DENIED_FIRST.match(text, end):
            denies = True
        found.append((match.start(1), word))
    for match in _ENDS.finditer(text):
        if not (_NOT_AN_ANSWER.match(text, match.end(1)) or _asks(text, match.end(1))):
            found.append((match.start(1), match[1]))
    if found:
        revised = last_revision(text)
        words = {word for place, word in found if place > revised} or {word for _, word in found}
        return words.pop() if len(words) == 1 and not denies else BOTH
    first = re.split(r"(?<=[.!?])\s|\n", text, maxsplit=1)[0]
    if in_tag:
        if "#" in text:
            return BOTH
        return "no" if _DENYING.search(first) and not _UNKNOWING.search(first) else None
    if first.endswith("?") or _UNKNOWING.search(first[:80]):
        return None
    return "no" if _THERE_IS_NO.match(first) or _NOT_SEEN.match(first) else None


def _asks(text: str, place: int) -> bool:
    """Say whether the sentence at a place is a question."""
    stop = re.compile(r"[.!?\n]").search(text, place, place + 200)
    return bool(stop) and stop[0] == "?"
