"""Words that announce an answer, in the languages that models answer in.

    text = "so the answer is c"
    [text[cue.end() :] for cue in cues(text, split(text))]     # ["c"]

The patterns read folded texts: no capitals, no accents. `pytest tests/score/test_parsing.py`.
"""

from __future__ import annotations

import re

from medrl_core.score.words import Words

_TO_BE = r"\s?(?:\b(?:is|be|are|was)\b|[:=→]|-{1,2}(?!\w))"
_ENGLISH = (
    r"(?P<final>final )?(?:answer|option|choice|diagnosis|response|conclusion|letter|"
    r"impression)s?\b"
    r"(?: (?:here|choice|option|letter|number|would|should|must|will|can|could|may|might|then|thus|"
    r"therefore|to (?:the|this|your) question|for (?:the|this) (?:question|image|case)|"
    r"in this case))"
    rf"{{0,3}}{_TO_BE}"
    r"|correct ?[:=→](?! ?\n)"
    r"|(?:correct|right|best|most likely|most appropriate|final) (?:one|diagnosis|finding) (?:is|:)"
)
_FOREIGN = (
    # Spanish, Portuguese, Italian
    r"(?:respuesta|opcion|alternativa|solucion|resposta|opcao|gabarito|risposta|opzione|soluzione)"
    r"(?: (?:corr?ec?t[ao]|final|adecuada|certa|corretta|giusta|esatta|finale|mas probable|seria|"
    r"sarebbe))"
    r"{0,3}\s?(?:\b(?:no |non |nao )?(?:es|e|seria|sarebbe)\b|:|=|→)"
    r"|la (?:correcta|giusta|correta) (?:es|e)\b"
    # French
    r"|(?:reponse|loption|choix)"
    r"(?: (?:correcte?|exacte|finale|juste|bonne|attendue))?\s?(?:\b(?:est|serait|nest)\b|:)"
    # German, Dutch
    r"|(?:antwort|losung|antwortmoglichkeit|optie|antwoord)\s?(?:\b(?:ist|lautet|ware|is|luidt)\b|"
    r":)"
    r"|richtig(?:e antwort)? (?:ist|ware)(?: antwort| option| die)?\b"
    # Russian, Polish, Turkish, Vietnamese, Indonesian
    r"|ответ\s?(?:-|:|это)|odpowiedz\s?(?:to|jest|:)|(?:cevap|yanit)\s?:|[dđ]ap an(?: [dđ]ung)?\s?"
    r"(?:la|:)|jawaban(?:nya)?(?: adalah|:)"
)
_WEAK = (
    r"i(?: would| will|d| ll)? (?:think|believe|choose|chose|pick|select|say|guess|go with|"
    r"opt for)\b"
    r"(?: (?:that|its|it is|this is|it must be|the answer is))?"
    r"|ich wahle\b|je choisis\b|elijo\b|escolho\b|scelgo\b"
    r"|(?:must|has to) be\b|most likely(?: diagnosis)? (?:is|represents)\b"
)
_AFTER_CUE = r"[\s:]{0,3}"
# Before a letter alone: "so: c", "leaving d", "it is b".
_BEFORE_LETTER = (
    r"(?:so|thus|therefore|hence|leaving|leaves|(?:it|this|that) is|its|cest|es ist|es)\b[,:]?"
    r"(?=\s[\"(\[]?[a-z][\")\]]?(?:[.,;!\n]|$))"
)
_AT_WORD = re.compile(rf"(?:{_ENGLISH}|{_FOREIGN}|(?P<weak>{_WEAK}|{_BEFORE_LETTER})){_AFTER_CUE}")
_FIRST_WORDS = frozenset(
    "final answer answers option options choice choices diagnosis response conclusion letter "
    "impression correct right best most respuesta opcion alternativa solucion resposta opcao "
    "gabarito risposta opzione soluzione la reponse loption choix antwort losung "
    "antwortmoglichkeit optie antwoord richtig richtige ответ odpowiedz cevap yanit dap đap "
    "jawaban jawabannya i must has ich je elijo escolho scelgo so thus therefore hence leaving "
    "leaves it this that its cest es".split()
)
# Scripts without spaces, or with other word limits: searched in the text itself.
_ELSEWHERE = re.compile(
    r"(?P<final>(?!))?(?P<weak>(?!))?(?:"
    r"(?:答案|答え|正解|解答|回答|正答|答)\s?(?:应该|應該|应|應|就|便|选项|選項)?(?:是|为|為|选|選|"
    r"は|が|:|=|→){1,2}"
    r"(?:选项|選項|選択肢)?"
    r"|(?:故|应|應|本题|因此|所以|我|我们|最终)(?:选择|選擇|选|選)(?:项|項|择)?:?|(?:选择|選擇|"
    r"选项|選項|選択肢|选|選)"
    r"(?:是|为|:)?(?=\s?[\"(「]?[a-z](?![a-z]))|而是"
    r"|(?:정답|답|답변)\s?(?:은|는|:)"
    r"|(?:الاجابة|الاجابه|الجواب|الخيار|الاختيار|اجابة|الحل)(?: (?:الصحيحة|الصحيحه|الصحيح|"
    r"النهائية))?"
    r"\s?(?:هي|هو|:)?"
    rf"|उत्तर(?: है|\s?:)?){_AFTER_CUE}"
)

# Before a cue: it names a wrong answer, or none.
SPOILED = re.compile(
    r"\b(?:incorrect|wrong|not the|not an?|no|another|any|each|every|possible|other|false|which|"
    r"what|"
    r"if the|if|whether|suppose|assuming|unless|nor the|find the|choose the|isnt the|first|initial|"
    r"incorrecta|falsche|fausse|errada)"
    r"(?: (?:correct|right|best|final|the|single|definitive|clear|answer|that|"
    r"of the following))?\s$"
)
# After an answer: "... is correct". Neither "is the right lung" nor "is the best way to" is meant.
RIGHT_AFTER = re.compile(
    r"[)\]\"]{0,2}(?:,? (?:is|are|seems|appears|looks|would be|must be|was|remains|fits)(?: to be)?"
    r"(?: (?:the|most|clearly|likely|therefore|single|only|best|thus|indeed|your|our|my|definitely|"
    r"probably|also|more|very)){0,4}"
    r" (?:correct|right|best|true|likely|accurate|appropriate|answer|choice|option|diagnosis)s?"
    r"(?: (?:answer|option|choice|diagnosis|one|response|letter))?"
    r"(?=[).,;:!\"\n]|$| (?:because|since|as|here|for|and|in this|to this|given|due|so|but|"
    r"based)\b)"
    r"| (?:fits|matches) (?:best|the (?:image|picture|findings))"
    r"| (?:es|e|est|ist) (?:la |a |die |le )?(?:correct[ao]|corretta|correcte|bonne|richtig|"
    r"korrekt|certa|respuesta|reponse|antwort|resposta)\b"
    r"|\s?(?:项|項)?(?:是)?(?:正确|正確|对的|對的)(?:的|答案)?|\s?が(?:正解|正しい)|\s?(?:هي|"
    r"هو) (?:الصحيح|الاجابة))"
)
_REVISION = re.compile(
    r"\b(?:wait|actually|on second thoughts?|correction|scratch that|my mistake|i was wrong|"
    r"let me (?:re\w+|correct)|reconsider\w*|i made an? (?:mistake|error)|i meant?|"
    r"i take that back|rather,|no, the)\b"
)
STOP = re.compile(r"[.!?](?=\s|$)|\n")
# "All options are correct" takes back whatever was said.
ALL = re.compile(
    r"\b(?:all|both|none|neither|any)(?: of)?(?: the| these| those)?(?: \w+)? (?:options|answers|"
    r"choices)"
    r"(?: given| provided| above| listed)? (?:are|is|seem|could be|can be|apply)\b"
)


def last_revision(text: str) -> int:
    """Give the last place where a text takes back what it said before; -1 where it does not."""
    *_, last = [None, *_REVISION.finditer(text)]
    return last.start() if last else -1


def cues(text: str, words: Words) -> list[re.Match[str]]:
    """Find all cues of a text, in order; the groups `final` and `weak` say of which kind each is.

    Arguments: `text` folded, without markup; `words` its words.
    """
    found: list[re.Match[str]] = []
    end = 0
    for word, start in zip(words.word, words.start, strict=True):
        if word in _FIRST_WORDS and start >= end and (cue := _AT_WORD.match(text, start)):
            found.append(cue)
            end = cue.end()
    if not text.isascii():
        found += _ELSEWHERE.finditer(text)
        found.sort(key=lambda cue: cue.start())
    return found
