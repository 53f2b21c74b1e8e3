"""Words and numbers of a folded text, and the two forms in which answers are compared.

    normalise("The left lung: <5 CM.")      # 'left lung <5 cm'
    key("less than five centimetres")       # '<5 cm'

`normalise` is what an answer is shown as; `key` also says that plurals, number words and spelt-out
units are the same answer. A number keeps its sign, bound, decimals and per cent, so that none of
"-3", "<3", ".3", "3%", "3+" and "3-4" is the number 3. `pytest tests/score/test_words.py`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from medrl_core.score.folding import fold

# Chinese and Japanese write without spaces, Korean joins endings: each sign is a word of its own.
CJK = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7a3"
_UNITS = frozenset(
    "mm cm m km um nm in inch ft kg g mg ug mcg ng lb oz l dl ml cl ul cc s sec min h hr hrs d "
    "wk yr yrs yo mmhg hz khz mhz ghz ev kev mev kv ma gy cgy msv sv hu iu u ui meq mmol umol "
    "nmol mol pmol bpm ppm kcal cal kj j w v mv k c f kpa pa t px pixel dpi suv fold day week "
    "month year hour minute second time unit point degree percent litre mmh2o ng/ml mg/dl gram "
    "kilogram kilo pound ounce foot meter tesla watt volt celsius fahrenheit kelvin g/dl g/l "
    "mmol/l u/l ml/min cm2 cm3 mm2 mm3 m2 msec ms score grade".split()
)
_CORE = r"(?:\d++(?:[.,]\d++){0,20}+|(?<![\w.,)\]])[.,]\d++)"
_NUMBER = (
    r"(?:[<>≤≥~]\s?)?(?:(?<![\w)\].%])[-+±]{1,2}|^[-+±]\s)?[$€£¥]?"
    rf"{_CORE}(?:(?:\s?-\s?|[/:*^]|\s?x\s?){_CORE}){{0,8}}(?![^\W\d_{CJK}])"
    r"(?:\s?[%‰°]|\s?[$€£¥](?!\w)|[′+]{1,2}(?!\w)|-(?!\w))?"
)
# "a+", "her2+" and "rh-" keep their signs.
_SIGNED = r"(?:\+{1,2}(?!\w)|(?<![^\W\d_]{4})(?<!\d)-(?!\w))?"
_ASCII_WORD = re.compile(rf"[a-z]+{_SIGNED}")
_TOKEN = re.compile(
    rf"[a-z]++{_SIGNED}(?!\w)|(?=[<>≤≥~+±$€£¥.,\d-]){_NUMBER}|[{CJK}]|"
    rf"\d[\d.,]*[^\W\d_{CJK}][^\W_{CJK}]*|[^\W_{CJK}]+{_SIGNED}"
)
_GLUED = re.compile(  # "5cm" is "5 cm"
    r"([0-9])(?=[a-zμ])(?<![^\W\d_][0-9])(?=(?:"
    + "|".join(sorted(_UNITS, key=lambda unit: (-len(unit), unit)))
    + r")s?(?![^\W_]))"
)
# "non-malignant" is one word, like "nonmalignant"; so "malignant" is not found in it.
_SPACED = ("non", "pseudo", "quasi", "semi", "sub")
_PREFIXES = frozenset(
    "a an un pre post anti de dis in im ir il hyper hypo peri para intra inter extra infra supra "
    "ultra micro macro re mis ab near ex half co contra over under mid multi bi uni tri poly "
    "retro trans endo epi meta neo iso dys mal".split()
) | set(_SPACED)
_SPACED_PREFIX = re.compile(rf"\b({'|'.join(_SPACED)})\s(?=[^\W\d_])")
_LAST_LETTERS = re.compile(r"(?<![^\W_])[^\W\d_]{1,6}$")
_DIGIT = re.compile(r"\d")
_THOUSANDS = re.compile(r"(?<![\d.,])([1-9]\d{0,2}(?:,\d{3})+)(?![\d,])")
_COMMA = re.compile(r"(?<![\d.,])(\d+),(\d+)(?![\d,])")
_NO_UNIT = re.compile(r"(?<!\d)[.,](\d)")
_ZEROS = re.compile(r"(?<![\d.])(\d+)\.(\d*?)0+(?![\d.])")
_ARTICLES = ("a", "an", "the")
_STARTS = frozenset("<>≤≥~+-±$€£¥.,0123456789")


class Words(NamedTuple):
    """The words and numbers of a text, and where each starts and ends."""

    word: list[str]
    start: list[int]
    end: list[int]


def is_number(word: str) -> bool:
    """Say whether a word is a number, with its sign, bound or unit sign."""
    return word[0] in _STARTS and not word[-1].isalpha()


def is_unit(word: str) -> bool:
    """Say whether a word is a unit: "mm", "years"."""
    return word in _UNITS or singular(word) in _UNITS or same_word(word) in _UNITS


def _number(text: str) -> str:
    text = text.replace(" ", "")
    if text.lstrip("<>≤≥~+-±$€£¥")[0] in ".,":
        text = _NO_UNIT.sub(r"0.\1", text)
    if "," in text:
        text = _THOUSANDS.sub(lambda m: m[1].replace(",", ""), text)
        text = _COMMA.sub(r"\1.\2", text)
    if "." in text:
        text = _ZEROS.sub(lambda m: f"{m[1]}.{m[2]}" if m[2] else m[1], text)
    return text


def fused(text: str) -> str:
    """Write prefixes and their words as one word, and numbers apart from their units."""
    if "-" in text:
        parts = text.split("-")
        for i, part in enumerate(parts[:-1]):
            last = _LAST_LETTERS.search(part, max(0, len(part) - 8))
            if not (last and last[0] in _PREFIXES and parts[i + 1][:1].isalpha()):
                parts[i] = part + "-"
        text = "".join(parts)
    if any(prefix + " " in text for prefix in _SPACED):
        text = _SPACED_PREFIX.sub(r"\1", text)
    return _GLUED.sub(r"\1 ", text) if _DIGIT.search(text) else text


def split(text: str) -> Words:
    """Find the words and numbers of a folded and fused text."""
    simple = text.isascii() and not _DIGIT.search(text)
    found = list((_ASCII_WORD if simple else _TOKEN).finditer(text))
    words = [match[0] for match in found]
    if not simple:
        words = [_number(word) if word[0] in _STARTS else word for word in words]
    return Words(words, [match.start() for match in found], [match.end() for match in found])


@lru_cache(maxsize=65536)
def normalise(text: str) -> str:
    """Bring an answer text to the form in which it is shown and counted.

    Accents, case, punctuation, leading articles and spacing go; signs, bounds and decimals of
    numbers stay. Applying it twice changes nothing.
    """
    text = fold(text).replace("'", "").replace("&", " and ").strip()
    for _ in range(8):  # words that came side by side may be one: "non: union"
        before = text
        words = split(fused(text)).word
        while len(words) > 1 and words[0] in _ARTICLES:
            del words[0]
        text = " ".join(words)
        if text == before:
            break
    return text


# ---- words that say the same ---------------------------------------------------------------------

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
_TENS: dict[str, int] = dict(zip("twenty thirty forty fifty sixty seventy eighty ninety".split(),
                 range(20, 100, 10), strict=True))  # fmt: skip
_SPELT = {word: str(value) for value, word in enumerate(_SMALL)} | {
    word: str(value) for word, value in _TENS.items()
}
_ORDINALS = (
    "first 1st second 2nd third 3rd fourth 4th fifth 5th sixth 6th seventh 7th eighth 8th "
    "ninth 9th tenth 10th"
).split()
_SAME = dict(zip(_ORDINALS[::2], _ORDINALS[1::2], strict=True)) | {
    "millimeter": "mm", "millimetre": "mm", "centimeter": "cm", "centimetre": "cm", "metre": "m",
    "meter": "m", "milliliter": "ml", "millilitre": "ml", "liter": "l", "litre": "l", "gram": "g",
    "milligram": "mg", "kilogram": "kg", "microgram": "ug", "μg": "ug", "mcg": "ug", "μm": "um",
    "micrometer": "um", "micrometre": "um", "micron": "um", "hr": "hour", "hrs": "hour",
    "yr": "year", "yrs": "year",
}  # fmt: skip


def _pair(text: str) -> tuple[str, str]:
    many, _, one = text.partition(":")
    return many, one


_IRREGULAR: dict[str, str] = dict(
    _pair(pair)
    for pair in (
        "vertebrae:vertebra bronchi:bronchus thrombi:thrombus emboli:embolus nuclei:nucleus "
        "foci:focus fungi:fungus bacilli:bacillus cocci:coccus uteri:uterus humeri:humerus "
        "radii:radius calculi:calculus sulci:sulcus gyri:gyrus thalami:thalamus rami:ramus "
        "alveoli:alveolus villi:villus stimuli:stimulus menisci:meniscus "
        "diverticula:diverticulum septa:septum atria:atrium hila:hilum bacteria:bacterium "
        "ova:ovum ostia:ostium crania:cranium labia:labium haustra:haustrum "
        "infundibula:infundibulum "
        "foramina:foramen lumina:lumen stomata:stoma adenomata:adenoma fibromata:fibroma "
        "axes:axis testes:testis pelves:pelvis metastases:metastasis stases:stasis "
        "bases:base cases:case phases:phase diseases:disease doses:dose noses:nose "
        "apices:apex cortices:cortex indices:index matrices:matrix appendices:appendix "
        "phalanges:phalanx larynges:larynx meninges:meninx calices:calix calyces:calyx "
        "feet:foot teeth:tooth men:man women:woman children:child people:person mice:mouse "
        "costae:costa bursae:bursa scapulae:scapula fibulae:fibula tibiae:tibia ulnae:ulna "
        "maxillae:maxilla fossae:fossa aortae:aorta bullae:bulla papillae:papilla "
        "petechiae:petechia striae:stria pleurae:pleura conchae:concha fistulae:fistula "
        "larvae:larva valvulae:valvula areolae:areola corneae:cornea lacunae:lacuna "
        "lives:life halves:half knives:knife leaves:leaf calves:calf "
        "species:species series:series caries:caries rabies:rabies scabies:scabies "
        "herpes:herpes feces:feces faeces:faeces biceps:biceps triceps:triceps forceps:forceps "
        "ascites:ascites diabetes:diabetes pancreas:pancreas lens:lens news:news"
    ).split()
)
_BEFORE_NUMBER: dict[tuple[str, ...], str] = {
    ("less", "than"): "<", ("fewer", "than"): "<", ("smaller", "than"): "<", ("lower", "than"): "<",
    ("more", "than"): ">", ("greater", "than"): ">", ("larger", "than"): ">",
    ("bigger", "than"): ">",
    ("higher", "than"): ">", ("at", "least"): "≥", ("at", "most"): "≤", ("up", "to"): "≤",
    ("no", "more", "than"): "≤", ("not", "more", "than"): "≤", ("no", "less", "than"): "≥",
    ("not", "less", "than"): "≥", ("under",): "<", ("below",): "<", ("over",): ">", ("above",): ">",
    ("about",): "~", ("approximately",): "~", ("approx",): "~", ("around",): "~", ("roughly",): "~",
    ("circa",): "~", ("minus",): "-", ("negative",): "-", ("plus",): "+",
}  # fmt: skip


@lru_cache(maxsize=65536)
def singular(word: str) -> str:
    """Give the singular of an English word, Latin and Greek ones of medicine among them."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    if word.endswith("ies"):
        return word[:-3] + "y" if len(word) > 4 else word
    if word.endswith("uses") and not word.endswith(("auses", "fuses")):
        return word[:-2]
    if len(word) > 7 and word.endswith(("oses", "yses", "eses", "tases")):
        return word[:-2] + "is"
    return word[:-1]


@lru_cache(maxsize=65536)
def same_word(word: str) -> str:
    """Give the form that a word shares with its plural, its spelt-out number or its unit."""
    word = _SPELT.get(word, word)
    word = singular(word)
    return _SAME.get(word, word)


def number_words(text: str) -> str:
    """Write number words as digits: "twenty one kidneys" of a normalised text is "21 kidneys"."""
    found: list[str] = []
    tens = 0
    for word in text.split():
        if tens and word in _SMALL[1:10]:
            found[-1] = str(tens + _SMALL.index(word))
        else:
            found.append(_SPELT.get(word, word))
        tens = _TENS.get(word, 0)
    return " ".join(found)


@lru_cache(maxsize=65536)
def key(text: str) -> str:
    """Bring an answer text to the form that all texts of the same answer share.

    On top of `normalise`: plurals, number words ("twenty-one" is 21), ordinals, spelt-out units
    and bounds ("less than 5" is "<5"); articles inside go.
    """
    words = number_words(normalise(text)).split()
    found = [same_word(word) for word in words if word != "the" or len(words) == 1]
    return " ".join(_bounds(found))


def _bounds(words: list[str]) -> list[str]:
    """Join a number and the words before or after it that change its value."""
    found: list[str] = []
    for word in words:
        if word == "percent" and found and is_number(found[-1]):
            found[-1] += "%"
            continue
        if is_number(word):
            if found[-1:] == ["to"] and len(found) > 1 and is_number(found[-2]):
                word = f"{found[-2]}-{word}"
                del found[-2:]
            for length in (3, 2, 1):
                sign = _BEFORE_NUMBER.get(tuple(found[len(found) - length :]))
                if sign and len(found) >= length:
                    del found[-length:]
                    word = sign + word
                    break
        found.append(word)
    return found
