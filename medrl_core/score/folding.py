"""One form for texts that differ in case, width, accents, quotes, dashes or hidden signs.

    fold("Réponse\u202f: “Ｃ”")   # 'reponse : "c"'

All that reads answers works on folded texts, so no reading depends on case or Unicode form.
`pytest tests/score/test_parsing.py` runs the tests.
"""

from __future__ import annotations

import html
import unicodedata

_SIGNS = {
    "‐‑‒–−": "-",
    "—―": " - ",
    "“”„‟«»「」『』〝〞": '"',
    "‘’‚‛ʼ`´ʹ": "'",
    "≦⩽⪕": "≤",
    "≧⩾⪖": "≥",
    "≈∼〜≃≅": "~",
    "→⇒⟶➜➔": "→",
    "。।": ". ",
    "،": ", ",
    "؛": ";",
    "؟": "?",
    "×✕": "x",
    "⁄∕": "/",
    "•●▪◦‣∙": " ",
    "\r\u2028\u2029\x0b\x0c\x85": "\n",
    "ı": "i",
    "№": "#",
}
# Accents of Latin, Greek and Cyrillic; vowel signs of Arabic. Other marks are part of the letter.
_ACCENTS = ((0x300, 0x36F), (0x64B, 0x65F), (0x670, 0x670), (0x640, 0x640), (0xFE00, 0xFE0F))


class _Table(dict[int, str]):
    """For str.translate: the entries of `_SIGNS`; digits of all scripts; accents and hidden go."""

    def __missing__(self, code: int) -> str:
        hidden = unicodedata.category(chr(code)) == "Cf"
        accent = any(low <= code <= high for low, high in _ACCENTS)
        digit = unicodedata.decimal(chr(code), None)
        self[code] = "" if hidden or accent else chr(code) if digit is None else str(digit)
        return self[code]


_TABLE = _Table({ord(sign): plain for signs, plain in _SIGNS.items() for sign in signs})


def _plain(text: str) -> str:
    if text.isascii():
        text = text.lower().replace("\r", "\n").replace("`", "'")
        return text.replace("\x0b", "\n").replace("\x0c", "\n")
    text = unicodedata.normalize("NFKD", text.translate({0x2116: "#"}).casefold())
    text = unicodedata.normalize("NFKC", text.translate(_TABLE)).casefold()
    return unicodedata.normalize("NFKC", text.translate(_TABLE))


def fold(text: str) -> str:
    """Bring a text to lower case, plain letters and one form of each sign; drop HTML entities.

    Applied twice it changes nothing, and its time grows with the length of the text.
    """
    text = _plain(text)
    if "&" in text:
        text = _plain(html.unescape(text))
    if ">" in text or "=" in text:
        text = text.replace("<=", "≤").replace(">=", "≥").replace("->", "→").replace("=>", "→")
    return text
