"""Damage a file, cut off at several lengths or one bit flipped at many places, and read it.

Each damage has one of two ends: the file is refused in one line that names it, or it is read as if
it were whole, because the bit has no meaning.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

from typer.testing import CliRunner

from medrl.commands import main as cli
from medrl_core.errors import UserError


def cuts(whole: bytes) -> Iterator[bytes]:
    """The file cut off at several lengths; the first is empty."""
    for share in (0, 0.1, 0.3, 0.5, 0.7, 0.9):
        yield whole[: int(share * len(whole))]
    for left in (1, 2, 8):
        yield whole[:-left]


def flips(whole: bytes, times: int) -> Iterator[bytes]:
    """The file with one bit flipped, at places drawn with a seed."""
    draw = random.Random(len(whole))
    for _ in range(times):
        damaged = bytearray(whole)
        damaged[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        yield bytes(damaged)


def list_flips(whole: bytes, times: int) -> Iterator[bytes]:
    """A safetensors file with one bit of its list flipped; the list's length stands before it."""
    listed = 8 + int.from_bytes(whole[:8], "little")
    return (damaged + whole[listed:] for damaged in flips(whole[:listed], times))


def check(path: Path, read: Callable, tried, flipped: int, cut: bool = True, same=None) -> int:
    """Damage a file again and again; each time it has to be refused by name, or read whole.

    Arguments: `read` reads the file; `same` compares what was read with what is read undamaged.
    Returns: how often it was refused.
    """
    whole, before, refused = path.read_bytes(), read(), 0
    for damaged in (*(cuts(whole) if cut else ()), *flips(whole, flipped)):
        with tried():
            path.write_bytes(damaged)
            try:
                found = read()
            except UserError as error:
                assert path.name in str(error) and "\n" not in str(error)
                refused += 1
            else:
                assert same(found, before) if same else found == before
    path.write_bytes(whole)
    assert refused
    return refused


def of_one_form(found: object, before: object) -> bool:
    return type(found) is type(before)


def refused(*words: object) -> str:
    """The one line with which a command refuses."""
    done = CliRunner().invoke(cli.app, [str(word) for word in words])
    assert done.exit_code == 2 and done.stdout == "", (done.output, done.exception)
    line = done.stderr.splitlines()[-1]
    assert line.startswith("medrl: ")
    return line
