"""Tokens and passwords of the environment are taken out of what a run leaves behind.

So are the places of the clone and of the home folder. Nothing of ours writes any of these; but a
notebook shows whatever a library prints, a warning or an error too.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TextIO
from urllib.parse import unquote, urlsplit

NAMED = re.compile(
    r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|PASS|CREDENTIALS?|AUTH|APIKEY|KEY)(?:$|_)",
    re.IGNORECASE,
)
SHORTEST = 8  # what is shorter, such as "true", stands in many texts by chance
TEXTS = (".csv", ".ipynb", ".json", ".md", ".svg")


def known() -> dict[str, str]:
    """Return each secret of the environment, as text, URL, Python and JSON write it, with its name.

    A variable counts by its name; of an address with a password, the password counts.
    """
    found = {}
    for name, value in os.environ.items():
        secrets = [value] if NAMED.search(name) else []
        if "://" in value and "@" in value:
            user = urlsplit(value).netloc.rpartition("@")[0]
            secrets.append(user.partition(":")[2] or user)
        for secret in secrets:
            forms = {secret, unquote(secret)}
            forms |= {repr(form)[1:-1] for form in forms}
            forms |= {json.dumps(form)[1:-1] for form in forms} | {
                json.dumps(form, ensure_ascii=False)[1:-1] for form in forms
            }
            found |= {form: name for form in forms if len(form) >= SHORTEST}
    return found


def hidden(text: str) -> str:
    """Return a text with the name of its variable in place of each secret."""
    for secret, name in sorted(known().items(), key=lambda one: -len(one[0])):
        text = text.replace(secret, f"[{name}]")
    return text


def remove(folder: Path, places: bool = False) -> None:
    """Take secrets out of all texts of a run's folder.

    Arguments: `places` also shortens paths in the clone and in the home folder; of a run that
    failed they help to find the reason.
    """
    for path in folder.rglob("*"):
        if path.suffix in TEXTS and path.is_file():
            text = path.read_text(encoding="utf-8")
            clean = hidden(text)
            if places:
                short = {f"{Path.cwd()}/": "", f"{os.path.expanduser('~')}/": "~/"}
                for place in sorted(short, key=len, reverse=True):  # one may lie in the other
                    clean = clean.replace(place, short[place])
            if clean != text:
                path.write_text(clean, encoding="utf-8")


class Hiding:
    """A stream that passes texts on without secrets."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, secrets hidden."""
        return self._stream.write(hidden(text))

    def flush(self) -> None:
        """Pass on what is held back."""
        self._stream.flush()
