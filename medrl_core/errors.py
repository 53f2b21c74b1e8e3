"""The one exception for mistakes a user can mend, and what a disk that refuses says to the user."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager

ROOM = "make room there, then give the same command again"
RIGHTS = "make it writable for you, or work in another folder"
IN_THE_WAY = "remove or rename what is in the way there, or give another place"
REMEDIES = {
    errno.ENOSPC: ROOM,
    errno.EDQUOT: ROOM,
    errno.EROFS: RIGHTS,
    errno.EACCES: RIGHTS,
    errno.EPERM: RIGHTS,
    errno.EEXIST: IN_THE_WAY,
    errno.ENOTDIR: IN_THE_WAY,
    errno.EISDIR: IN_THE_WAY,
    errno.ELOOP: IN_THE_WAY,
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EFBIG: "the system lets no file grow that large: raise the limit (ulimit -f)",
}
# Python and Arrow write "[Errno 28] ...: 'path'", of a copy 'from' -> 'to'; Rust "(os error 28)".
NUMBER = re.compile(r"(?:errno|os error) (\d+)\b(?:.*'([^']+)'$)?", re.IGNORECASE)
# All that torch says where a file came out shorter than what was written, or it could not end it.
CUT_SHORT = ("unexpected pos ", "iostream error")
# What Python says of a user whom the machine does not know, where HOME is not set either.
NO_HOME = "Could not determine home directory"


# Signs of a message at most: its beginning says what is wrong, its end what to do.
LONGEST = 1_000
TAIL = 300


class UserError(Exception):
    """Says in one line what is wrong, where, and what to do.

    A name or a value in it may come from a file: line ends, and signs that would steer a terminal,
    are written as escapes, and the middle of a line of more than LONGEST signs is left out.
    """

    def __init__(self, message: str):
        line = printable(message)
        if len(line) > LONGEST:
            line = f"{line[: LONGEST - TAIL]} ... {line[-TAIL:]}"
        super().__init__(line)


def first_three(texts: Collection[str], joint: str = ", ") -> str:
    """Return the first three of some texts, and how many more there are."""
    left = len(texts) - 3
    shown = joint.join(text[:200] for text in list(texts)[:3])
    return f"{shown}{joint}and {left} more" if left > 0 else shown


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
    """Turn what a disk that refuses raises inside into a UserError that names the place."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if line := of_disk(str(error), place):
            raise UserError(line) from error
        raise
