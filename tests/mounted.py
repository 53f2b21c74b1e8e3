"""Small disks that are full or read-only, for tests; they need the right to mount (root on Linux).

`pytest tests/commands/test_disk.py` uses them.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BALLAST = ".ballast"


@contextmanager
def disk(place: Path, size: str = "4m") -> Iterator[Path]:
    """Mount an empty disk of a size at a folder; the test is skipped where that is refused."""
    place.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size}", "medrl-test", place)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@contextmanager
def filled(place: Path, free: int) -> Iterator[None]:
    """Fill a disk but for so many bytes; afterwards there is room again."""
    ballast = place / BALLAST
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            file.truncate(max(0, file.tell() - free))
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def read_only(place: Path) -> Iterator[None]:
    """Show a folder read-only, to root too."""
    _mount("--bind", place, place)
    try:
        _mount("-o", "remount,bind,ro", place)
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def _mount(*words: str | Path) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"a test disk needs the right to mount: {done.stderr.strip()}")
