"""The one exception for mistakes a user can mend, and what a disk that refuses says to the user."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

ROOM = "make room there, then give the same command again"
RIGHTS = "make it writable for you, or work in another folder"
REMEDIES = {
    errno.ENOSPC: ROOM,
    errno.EDQUOT: ROOM,
    errno.EROFS: RIGHTS,
    errno.EACCES: RIGHTS,
    errno.EPERM: RIGHTS,
}
# Python and Arrow write "[Errno 28] ...: 'path'", of a copy 'from' -> 'to'; Rust "(os error 28)".
NUMBER = re.compile(r"(?:errno|os error) (\d+)\b(?:.*'([^']+)'$)?", re.IGNORECASE)
# All that torch says where a file came out shorter than what was written, or it could not end it.
CUT_SHORT = ("unexpected pos ", "iostream error")
# What Python says of a user whom the machine does not know, where HOME is not set either.
NO_HOME = "Could not determine home directory"


class UserError(Exception):
    """Says in one line what is wrong, where, and what to do.

    A name or a value in it may come from a file: line ends, and signs that would steer a terminal,
    are written as escapes.
    """

    def __init__(self, message: str):
        super().__init__(printable(message))


def printable(text: str) -> str:
    """Return a text with line ends, and signs that would steer a terminal, as escapes."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def of_disk(said: str, place: str | os.PathLike) -> str:
    """Return the line for the user if this is the message of a disk that refuses; "" if not.

    Arguments: `said` by any library; `place` where it wrote, for messages that name no file.
    """
    if NO_HOME in said:
        return "there is no home folder: set HOME to a folder that you can write, e.g. HOME=$PWD"
    found = NUMBER.search(said)
    short = any(words in said for words in CUT_SHORT)
    number = errno.ENOSPC if short else int(found[1]) if found else 0
    if number not in REMEDIES:
        return ""
    where = (found and found[2]) or os.fspath(place)
    return f"{where}: {os.strerror(number).lower()}: {REMEDIES[number]}"


@contextmanager
def on_disk(place: str | os.PathLike) -> Iterator[None]:
    """Turn what a full or read-only disk raises inside into a UserError that names the place."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if line := of_disk(str(error), place):
            raise UserError(line) from error
        raise
