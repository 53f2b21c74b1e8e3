"""Files and folders that are there whole or not at all, and the SHA-256 of a file."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os.path import samestat
from pathlib import Path
from typing import BinaryIO

from filelock import lock_descriptor

from medrl_core.errors import UserError


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Write a file that appears at `path` when the block ends, whole or not at all.

    Yields: the open file, beside the place; an error or a kill leaves what was at `path` before.
    """
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        with partial.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file of bytes, whole or not at all."""
    with writing(path) as stream:
        stream.write(content)


def write_text(path: Path, text: str) -> None:
    """Write a file of UTF-8 text, whole or not at all."""
    write_bytes(path, text.encode())


class Busy(UserError):
    """Another process holds the lock."""


@contextmanager
def locked(path: Path, what: str) -> Iterator[int]:
    """Hold a lock file while `what` is being made; a second holder is told so at once.

    The lock ends with its process, so a killed one leaves nothing that stands in the way.

    Yields: the descriptor that holds the lock; a child that inherits it holds the lock too, until
    it ends. Raises: UserError where another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        held = lock_descriptor(file.fileno(), blocking=False)
        # The holder before may have removed the file after we opened it.
        if not held or not path.exists() or not samestat(os.fstat(file.fileno()), path.stat()):
            raise Busy(f"{what} is being made here by another process; wait for it")
        try:
            yield file.fileno()
        finally:
            path.unlink(missing_ok=True)  # while it is held: nobody can have taken it in between


def lock_of(folder: Path) -> Path:
    """Return the lock file of a folder, beside it."""
    return folder.with_name(f".{folder.name}.lock")


def partial_of(folder: Path) -> Path:
    """Return where this process makes a folder before it is put in place."""
    return folder.with_name(f".{folder.name}.partial-{os.getpid()}")


def replace(folder: Path, partial: Path) -> None:
    """Put a finished folder in place of the old one; `mend` ends what a kill cuts off."""
    old = folder.with_name(f".{folder.name}.old-{os.getpid()}")
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def mend(folder: Path, last: str = "") -> None:
    """Clear what killed processes left of a folder, whose lock is held where it has one.

    Arguments: `last` names the file that is written last, so that a partial folder with it is
    whole; without one, none counts as whole.
    """
    for partial in folder.parent.glob(f".{folder.name}.partial-*"):
        if last and (partial / last).is_file():
            replace(folder, partial)
        else:
            shutil.rmtree(partial)
    for old in folder.parent.glob(f".{folder.name}.old-*"):
        if folder.exists():
            shutil.rmtree(old)
        else:
            old.rename(folder)


def mend_all(parent: Path, last: str) -> None:
    """Clear what killed processes left below a folder; what is being made now is left alone."""
    left = {*parent.glob(".*.partial-*"), *parent.glob(".*.old-*")}
    for name in {path.name.rsplit(".", 1)[0][1:] for path in left}:
        folder = parent / name
        with suppress(Busy), locked(lock_of(folder), name):
            mend(folder, last)
