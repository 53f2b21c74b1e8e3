"""What the tests of untrusted files share: an object that acts when unpickled, and refusals."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from medrl_core.errors import UserError


class Pickled:
    """Makes a folder as soon as somebody unpickles it."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def refused(call: Callable[[], object], *words: str) -> str:
    """Return the one line that a call is refused with, which holds all the words."""
    with pytest.raises(UserError) as caught:
        call()
    said = str(caught.value)
    assert "\n" not in said and all(word in said for word in words), said
    return said
