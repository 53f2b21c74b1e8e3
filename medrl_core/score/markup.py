"""Markup of completions: answer and think tags, LaTeX boxes, Markdown, and answer normalisation.

The parser builds on it. Every pattern is bounded, so the time grows with the length of the text.
"""

from __future__ import annotations

import re
import unicodedata


class _Space(dict):
    """Maps punctuation and symbols to a space for str.translate; digits' signs stay."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        keep = char in "%+." or unicodedata.category(char)[0] in "LMN"
        self[code] = char if keep else " "
        return self[code]


class _Unmarked(dict):
    """Drops combining marks in str.translate."""

    def __missing__(self, code: int) -> str:
        self[code] = "" if unicodedata.category(chr(code)) == "Mn" else chr(code)
        return self[code]


_SPACE = _Space()
_UNMARKED = _Unmarked()
_APOSTROPHES = re.compile(r"['’‘`´]")
_LONE_DOT = re.compile(r"(?<!\d)\.|\.(?!\d)")
_ARTICLES = re.compile(r"^(?:(?:a|an|the) )+(?=\S)")


def plain(text: str) -> str:
    """Turn full-width and like characters to plain ones and drop accents (é is e)."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKD", text).translate(_UNMARKED)
    return unicodedata.normalize("NFKC", text)


def normalise(text: str) -> str:
    """Bring an answer text to the form in which answers are compared.

    Accents, case, punctuation, leading articles and spacing go; decimal points, plus and percent
    signs stay. Applying it twice changes nothing.
    """
    text = plain(plain(text).lower())
    text = _LONE_DOT.sub(" ", _APOSTROPHES.sub("", text).translate(_SPACE))
    return _ARTICLES.sub("", " ".join(text.split()))


_SPECIAL = re.compile(r"<\|[^<>|\n]{1,40}\|>")  # "<|im_end|>" of a chat template
_LATEX = re.compile(
    r"\\(?:textbf|textit|textrm|text|mathrm|mathbf|mathsf|mathit|displaystyle|left|right|quad|"
    r"bf|rm|[()\[\],;! ])"
)
_MARKS = re.compile(r"[*`$#{}\\~]|(?<!\w)_+|_+(?!\w)|['’‘´]")
_TAG = re.compile(r"<\s{0,3}(/?)\s{0,3}answer\s{0,3}>", re.IGNORECASE)
_ANY_TAG = re.compile(r"<\s{0,3}/?\s{0,3}(?:[A-Za-z_]{2,20}|[biu])\s{0,3}>")  # not "<C>"
THINK = re.compile(r"<\s{0,3}think\s{0,3}>", re.IGNORECASE)
END_THINK = re.compile(r"<\s{0,3}/\s{0,3}think\s{0,3}>", re.IGNORECASE)
_BOX = re.compile(r"\\(?:boxed|fbox)\s{0,3}\{")


def clean(text: str) -> str:
    """Take markup away and leave words, punctuation and single line breaks."""
    text = _MARKS.sub("", _LATEX.sub(" ", _BOX.sub(" ", _ANY_TAG.sub(" ", text))))
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def last_tag(text: str) -> tuple[str, str] | None:
    """Give content and rule of the last answer tag that holds more than space."""
    found = None
    start = None
    for tag in _TAG.finditer(text):
        if tag[1]:  # a closing tag
            if start is not None and clean(text[start:tag.start()]):
                found = text[start:tag.start()], "tag"
            start = None
        elif start is None or not clean(text[start:tag.start()]):
            start = tag.end()
        else:  # opened again without having been closed
            found = text[start:tag.start()], "tag_unclosed"
            start = tag.end()
    if start is not None and clean(text[start:]):
        found = text[start:], "tag_unclosed"
    return found


def last_box(text: str) -> str | None:
    """Give the content of the last LaTeX box, up to its brace or the end of the line."""
    *_, start = [None, *_BOX.finditer(text)]
    if start is None:
        return None
    depth, end = 1, start.end()
    while end < len(text) and depth and text[end] != "\n":
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        end += 1
    return text[start.end() : end - (depth == 0)]


def without_special(text: str) -> str:
    """Drop a chat template's special tokens."""
    return _SPECIAL.sub(" ", text)


def format_ok(text: str) -> bool:
    """Say whether the whole completion is one think tag and then one answer tag, neither empty.

    Source: the format reward of GRPO-CARE, arXiv 2506.16141.
    """
    text = text.strip()
    tags = ("<think>", "</think>", "<answer>", "</answer>")
    if any(text.count(tag) != 1 for tag in tags):
        return False
    if not (text.startswith("<think>") and text.endswith("</answer>")):
        return False
    thought, _, rest = text.removeprefix("<think>").partition("</think>")
    between, _, answer = rest.removesuffix("</answer>").partition("<answer>")
    return bool(thought.strip() and answer.strip()) and not between.strip()
