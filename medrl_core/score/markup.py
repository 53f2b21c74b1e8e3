"""Markup of completions: answer and think tags, LaTeX boxes and commands, Markdown.

    last_tag("<answer>c</answer> so <answer>d")   # ("d", "tag_unclosed")

All but `format_ok` read folded texts (see `folding`). Every pattern is bounded, so the time grows
with the length of the text. `pytest tests/score/test_parsing.py` runs the tests.
"""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"<\|[^<>|\n]{1,40}\|>")  # "<|im_end|>" of a chat template
_LATEX_SIGNS = {
    "times": " x ", "pm": "±", "leq": "≤", "le": "≤", "geq": "≥", "ge": "≥", "lt": "<", "gt": ">",
    "approx": "~", "sim": "~", "circ": "°", "degree": "°", "rightarrow": "→", "to": "→",
    "cdot": "*", "neg": "not ", "lnot": "not ", "neq": "not ", "ne": "not ",
}  # fmt: skip
_LATEX = re.compile(
    r"\\(?:(" + "|".join(_LATEX_SIGNS) + r")(?![a-z])|textbf|textit|textrm|text|mathrm|mathbf|"
    r"mathsf|mathit|displaystyle|left|right|quad|bf|rm|[()\[\],;! ])"
)
# A star between digits is a product; all others are Markdown's.
_MARKS = re.compile(
    r"(?<!\d)\*+|\*+(?!\d)|\*\*+|~~|(?<!\d)(?<!\d )\$(?!\d)|[#{}\\]|(?<!\w)_{1,3}|_{1,3}(?!\w)"
)
_MARKED = re.compile(r"[*~$#{}\\_]")
_MATHS = re.compile(r"\$([^$\n]{1,200})\$")
_ANSWER = r"(?:final[ _-]?)?answer"
_TAG = re.compile(rf"<\s{{0,3}}(/?)\s{{0,3}}{_ANSWER}\s{{0,3}}>")
_ANY_TAG = re.compile(r"<\s{0,3}/?\s{0,3}(?:[a-z_]{2,20}|[biu])\s{0,3}>")  # not "<c>"
_THINK = r"(?:think(?:ing)?|thought|reasoning)"
THINK = re.compile(rf"[<◁]\s{{0,3}}{_THINK}\s{{0,3}}[>▷]")
END_THINK = re.compile(rf"[<◁]\s{{0,3}}/\s{{0,3}}{_THINK}\s{{0,3}}[>▷]")
_BOX = re.compile(r"\\(?:boxed|fbox)\s{0,3}\{")


def _latex(match: re.Match[str]) -> str:
    return _LATEX_SIGNS.get(match[1] or "", " ")


def clean(text: str) -> str:
    """Take markup away and leave words, signs and single line breaks."""
    if "<" in text:
        text = _ANY_TAG.sub(" ", text)
    if "\\" in text:
        text = _LATEX.sub(_latex, _BOX.sub(" ", text))
    if "$" in text:
        text = _MATHS.sub(lambda maths: maths[1].replace("_", ""), text)
    text = text.replace("'", "")
    if _MARKED.search(text):
        text = _MARKS.sub("", text)
    if "\n" not in text:
        return " ".join(text.split())
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def last_tag(text: str) -> tuple[str, str] | None:
    """Give content and rule of the last answer tag that contains more than space."""
    if "answer" not in text:
        return None
    found = None
    start = None
    for tag in _TAG.finditer(text):
        if tag[1]:  # a closing tag
            if start is not None and clean(text[start : tag.start()]):
                found = text[start : tag.start()], "tag"
            start = None
        elif start is None or not clean(text[start : tag.start()]):
            start = tag.end()
        else:  # opened again without having been closed
            found = text[start : tag.start()], "tag_unclosed"
            start = tag.end()
    if start is not None and clean(text[start:]):
        found = text[start:], "tag_unclosed"
    return found


def last_box(text: str) -> str | None:
    """Give the content of the last LaTeX box, up to its brace or the end of the line."""
    if "\\" not in text:
        return None
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
    return _SPECIAL.sub(" ", text) if "<|" in text else text


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
