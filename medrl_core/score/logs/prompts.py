r"""What a prompt shows: text and pictures out of chat messages, question and options out of text.

>>> question_and_options("Which lobe?\nA. Upper\nB. Lower\nAnswer:")
('Which lobe?', ('Upper', 'Lower'))
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from medrl_core.score.logs.golds import LETTERS

_OPTION = re.compile(r"\s*(?:[-*] )?(?:\(([A-Z])\)|\[([A-Z])\]|([A-Z])[).:])\s*(\S.*?)\s*$")
_IN_LINE = re.compile(r"(?<!\S)(?:\(([A-Z])\)|\[([A-Z])\]|([A-Z])[).:])\s+(?=\S)")
_HEADINGS = re.compile(r"(?:\n|^)\s*(?:Options|Choices|Answer choices)\s*:?\s*$", re.IGNORECASE)
# Lines of one option that is wrapped; more than these between two letters is other text.
_WRAPPED = 3


def question_and_options(prompt: str) -> tuple[str, tuple[str, ...] | None]:
    """Split a prompt into what it asks and the last block of lettered options in it.

    Lines of a block begin "A.", "A)", "(A)", "[A]" or "A:", from A on without a gap; "(A) yes (B)
    no" in one line counts too. A prompt with examples has several blocks: the last is the one that
    is asked.
    Returns: the text before the block without its heading, and the options; the whole text and
    None where there is no block of two or more.
    """
    lines = prompt.splitlines()
    begin, options = _last_block(lines)
    before = lines[:begin]
    if not options:
        before, options = _one_line(lines)
    if not options:
        return prompt.strip(), None
    asked = _HEADINGS.sub("", "\n".join(before)).strip()
    *_, asked = re.split(r"(?:^|\n)\s*Question:", asked)
    return asked.strip(), options


def _last_block(lines: Sequence[str]) -> tuple[int, tuple[str, ...]]:
    best: tuple[int, tuple[str, ...]] = (0, ())
    begin, options, between = 0, [], []
    for at, line in enumerate(lines):
        found = _OPTION.match(line)
        letter = (found[1] or found[2] or found[3]) if found else ""
        if found and options and letter == LETTERS[len(options) % 26]:
            options[-1] = " ".join([options[-1], *between])
            options.append(found[4])
            between = []
        elif found and letter == "A":
            begin, options, between = at, [found[4]], []
        elif options and line.strip():
            between.append(line.strip())
            if len(between) > _WRAPPED:
                options, between = [], []
        if len(options) > 1:
            best = begin, tuple(options)
    return best


def _one_line(lines: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    for at in range(len(lines) - 1, -1, -1):
        marks = list(_IN_LINE.finditer(lines[at]))
        letters = [mark[1] or mark[2] or mark[3] for mark in marks]
        if len(marks) > 1 and letters == list(LETTERS[: len(marks)]):
            ends = [mark.start() for mark in marks[1:]] + [len(lines[at])]
            spans = zip((mark.end() for mark in marks), ends, strict=True)
            options = tuple(lines[at][begin:end].strip(" ,;") for begin, end in spans)
            if all(options):
                return [*lines[:at], lines[at][: marks[0].start()]], options
    return [], ()


def text_and_images(content: Any) -> tuple[str, list[str]]:
    """Give the text of a message's content and its pictures (paths, addresses or data URLs).

    Arguments: `content` a text, or a list of parts: {"type": "text", "text": ...}, {"type":
    "image", "image": ...}, {"type": "image_url", "image_url": {"url": ...}}, "input_text",
    "output_text", "input_image" and inspect's "reasoning" (left out).
    """
    if isinstance(content, str):
        return content, []
    texts, images = [], []
    for part in content if isinstance(content, (list, tuple)) else []:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping):
            kind = str(part.get("type", ""))
            if kind in ("text", "input_text", "output_text", "refusal"):
                texts.append(str(part.get("text") or part.get("refusal") or ""))
            elif "image" in kind:
                place = part.get("image") or part.get("image_url") or part.get("path")
                place = place.get("url") if isinstance(place, Mapping) else place
                if isinstance(place, str):
                    images.append(place)
    return "\n".join(texts), images


def asked(messages: Any) -> tuple[str, list[str]]:
    """Give text and pictures of what was asked: a text, or the last user message of a chat."""
    if isinstance(messages, str):
        return messages, []
    if hasattr(messages, "tolist"):
        messages = messages.tolist()
    said = [m for m in messages or [] if isinstance(m, Mapping)]
    said = [m for m in said if m.get("role") == "user"] or said
    return text_and_images(said[-1].get("content")) if said else ("", [])


def answered(messages: Any) -> str:
    """Give the answer: a text, or the last assistant message of a chat."""
    if isinstance(messages, str):
        return messages
    if hasattr(messages, "tolist"):
        messages = messages.tolist()
    said = [m for m in messages or [] if isinstance(m, Mapping)]
    said = [m for m in said if m.get("role") == "assistant"] or said
    return text_and_images(said[-1].get("content"))[0] if said else ""
