"""Whether a model's folder is whole: each file can be read and is as it was saved.

safetensors and JSON have no checksums. So `hub.save` leaves SHA256SUMS, which `sha256sum -c` reads
too, and the micro base's card names its weights.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache
from pathlib import Path

from medrl_core.errors import UserError

SUMS, CARD = "SHA256SUMS", "card.json"
_LINE = re.compile(r"(?P<sum>[0-9a-f]{64})  (?P<name>[^/\0]+)")
_AGAIN = "get or save the model again"


@lru_cache(maxsize=64)
def _file_hash(path: str, _mtime_ns: int) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file, hex; kept as long as the file is not written again."""
    return _file_hash(str(path), path.stat().st_mtime_ns)


def weights_hash(folder: Path) -> str:
    """First 16 hex digits of the SHA-256 over the names and bytes of a folder's weight files.

    Raises: UserError if there are none.
    """
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise UserError(f"model folder {folder} holds no .safetensors file: {_AGAIN}")
    digest = hashlib.sha256()
    for path in weights:
        digest.update(f"{path.name}:{file_hash(path)}".encode())
    return digest.hexdigest()[:16]


def write_sums(folder: Path) -> None:
    """Write SHA256SUMS of all files of a model's folder; cards for people, *.md, are left out."""
    files = sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path.suffix != ".md" and path.name != SUMS
    )
    lines = [f"{file_hash(path)}  {path.name}\n" for path in files]
    (folder / SUMS).write_text("".join(lines))


def check(folder: Path) -> None:
    """Check all files of a model's folder before any is loaded.

    Raises: UserError that names the file which is missing, cut off or not as it was saved.
    """
    check_form(folder)
    if (folder / SUMS).is_file():
        _check_sums(folder)
    elif (folder / CARD).is_file():
        told = read_card(folder).get("weights")
        if told and told != weights_hash(folder):
            raise UserError(f"{folder}: its weights are not those that {CARD} names: {_AGAIN}")


def check_form(folder: Path) -> None:
    """Check that each JSON and safetensors file has its form; the weights are not read.

    Raises: UserError that names the file which is cut off or damaged.
    """
    for path in sorted(folder.glob("*.json")):
        try:
            json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{path} is no whole JSON ({error}): {_AGAIN}") from error
    for path in sorted(folder.glob("*.safetensors")):
        _check_header(path)


def _check_header(path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np"):
            pass
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is no whole safetensors file ({error}): {_AGAIN}") from error


def _check_sums(folder: Path) -> None:
    sums = folder / SUMS
    lines = sums.read_text(encoding="utf-8", errors="replace").splitlines()
    entries = [_LINE.fullmatch(line) for line in lines]
    if not all(entries) or not entries:
        raise UserError(f"{sums} is damaged: {_AGAIN}, or remove it to go on without the check")
    for entry in entries:
        path = folder / entry["name"]
        if not path.is_file():
            raise UserError(f"{path} is missing, {SUMS} lists it: {_AGAIN}")
        if file_hash(path) != entry["sum"]:
            raise UserError(
                f"{path} is not as it was saved (see {SUMS}): {_AGAIN}, or remove {SUMS} if you "
                "changed the file"
            )


def read_card(folder: Path) -> dict:
    """The card.json of a model's folder; a UserError names one that is damaged."""
    path = folder / CARD
    try:
        content = json.loads(path.read_bytes())
        if not isinstance(content["exposure"], dict):
            raise ValueError("exposure is no mapping")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is no card of a model ({error!r}): {_AGAIN}") from error
    return content
