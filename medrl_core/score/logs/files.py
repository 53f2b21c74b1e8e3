"""Files of logs: JSON, JSON lines and tables, plain or compressed, read strictly.

Every fault is one line that names the file, and the line or field in it.
"""

from __future__ import annotations

import gzip
import json
import lzma
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from medrl_core.errors import UserError

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
# No log that this project reads is larger; a smaller file that unpacks to more is a trap.
LARGEST = 8 << 30
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError)


def read_bytes(path: Path) -> bytes:
    """Read a file whole, unpacked where it is compressed by gzip or Zstandard."""
    try:
        data = path.read_bytes()
        if data.startswith(_GZIP):
            return gzip.decompress(data)
        return unpack_zstd(data) if data.startswith(_ZSTD) else data
    except _BROKEN as error:
        raise UserError(f"{path} cannot be read ({error}); it is damaged or cut off") from error


def unpack_zstd(data: bytes) -> bytes:
    """Unpack Zstandard data of one or several frames; OSError where it is damaged."""
    try:
        return _stream(data).read()
    except OSError as error:
        raise OSError(f"Zstandard: {error}") from error


def _stream(file: BinaryIO | bytes) -> pa.CompressedInputStream:
    """Open Zstandard data; it raises OSError where it is damaged or cut off."""
    source = pa.BufferReader(file) if isinstance(file, bytes) else file
    return pa.CompressedInputStream(source, "zstd")


def head(path: Path, size: int = 1 << 16) -> bytes:
    """Read the first bytes of a file, unpacked; what is damaged further on does not matter."""
    try:
        with path.open("rb") as file:
            first = file.read(4)
            file.seek(0)
            if first.startswith(_GZIP):
                return gzip.GzipFile(fileobj=file).read(size)
            if first.startswith(_ZSTD):
                return _stream(file).read(size)
            return file.read(size)
    except _BROKEN as error:
        raise UserError(f"{path} cannot be read ({error}); it is damaged or cut off") from error


def text(path: Path) -> str:
    """Read a UTF-8 text file."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no UTF-8 text (byte {error.start}); convert it") from error


def decoded(data: bytes | str) -> Any:
    """Decode JSON: by orjson, and by Python where a value is NaN or a half surrogate.

    Raises: json.JSONDecodeError or RecursionError.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return json.loads(data)


def json_value(path: Path) -> tuple[Any, int]:
    """Read a JSON file.

    Returns: its value, and how many quotation marks within texts had lost their backslash (0 in a
    file that is as it was written; scripts that blank out paths leave such files).
    """
    written = text(path)
    try:
        return decoded(written), 0
    except RecursionError as error:
        raise UserError(f"{path} is nested too deeply to be a log") from error
    except json.JSONDecodeError as error:
        fixed, count = _escaped(written)
        try:
            if count:
                return json.loads(fixed), count
        except (json.JSONDecodeError, RecursionError):
            pass
        raise UserError(
            f"{path} is not JSON at line {error.lineno}, column {error.colno} ({error.msg}); "
            "it is damaged or cut off: copy or write it again"
        ) from error


_VALUE = re.compile(r'\s*(?:["{\[\-0-9]|true\b|false\b|null\b|NaN\b|-?Infinity\b)')
_AFTER_COMMA = {"{": re.compile(r'\s*"(?:[^"\\]|\\.)*"\s*:'), "[": _VALUE}


def _escaped(written: str) -> tuple[str, int]:
    """Escape quotation marks that end no text: what follows them cannot follow a text in JSON."""
    pieces, lost, at, nested = [], 0, 0, []
    mark = re.compile(r'["{}\[\]]')
    while found := mark.search(written, at):
        sign = found[0]
        if sign in "{[":
            nested.append(sign)
        elif sign in "}]":
            nested = nested[:-1]
        pieces.append(written[at : found.end()])
        at = found.end()
        if sign != '"':
            continue
        while True:
            end = re.compile(r'(?:[^"\\]|\\.)*"', re.DOTALL).match(written, at)
            if not end:
                return written, 0
            pieces.append(written[at : end.end() - 1])
            at = end.end()
            if _ends(written, at, nested):
                pieces.append('"')
                break
            pieces.append('\\"')
            lost += 1
    pieces.append(written[at:])
    return "".join(pieces), lost


def _ends(written: str, at: int, nested: list[str]) -> bool:
    following: Any = re.compile(r"\s*(.?)", re.DOTALL).match(written, at)  # it matches anything
    sign = following[1]
    if sign == ",":
        return bool(_AFTER_COMMA[nested[-1] if nested else "["].match(written, following.end()))
    return sign in ":}]" or not sign


def json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read the objects of a JSON-lines file, or of a JSON array, with their numbers from 1.

    Raises: UserError naming the line that is no JSON object.
    """
    start = head(path, 4096).decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if start.startswith("["):
        rows, _ = json_value(path)
        for number, row in enumerate(rows, 1):
            if not isinstance(row, dict):
                raise UserError(f"{path}: entry {number} is no JSON object")
            yield number, row
        return
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = decoded(line)
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: line {number} is no UTF-8 text") from error
        except (json.JSONDecodeError, RecursionError) as error:
            raise UserError(
                f"{path}: line {number} is no JSON ({error}); it is cut off or damaged: "
                "copy the file again or delete the line"
            ) from error
        if not isinstance(row, dict):
            raise UserError(f"{path}: line {number} is no JSON object")
        yield number, row


def _lines(path: Path) -> Iterator[bytes]:
    first = head(path, 4)
    try:
        with path.open("rb") as file:
            packed = file.read(4)
        if packed.startswith(_ZSTD):
            yield from read_bytes(path).splitlines()
            return
        with gzip.open(path) if packed.startswith(_GZIP) else path.open("rb") as file:
            if first.startswith(b"\xef\xbb\xbf"):
                file.read(3)
            yield from file
    except _BROKEN as error:
        raise UserError(f"{path} cannot be read ({error}); it is damaged or cut off") from error


def parquet(path: Path) -> pa.Table:
    """Read a Parquet file of any columns."""
    try:
        with pq.ParquetFile(path) as file:
            return file.read()
    except (pa.ArrowException, OSError, ValueError) as error:
        said = " ".join(str(error).split())
        raise UserError(f"{path} cannot be read as Parquet ({said}); it is damaged") from error


KINDS: dict[type, str] = {dict: "an object", list: "a list", str: "a text"}


def need(row: Any, name: str, where: str, kind: type | None = None) -> Any:
    """Give a field of a log, "a.b" inside another.

    Arguments: `row` of the log; `name`; `where` the row is; `kind` dict, list or str, where
    anything else cannot be read.
    Raises: UserError naming the field where it is missing or of another kind.
    """
    found: Any = row
    for step in name.split("."):
        if not isinstance(found, dict) or step not in found:
            raise UserError(f"{where} lacks the field '{name}'; is it a whole log of this format?")
        found = found[step]
    if kind is not None and not isinstance(found, kind):
        raise UserError(f"{where}: the field '{name}' is no {KINDS[kind].split()[-1]}")
    return found


def maybe(row: Any, name: str) -> Any:
    """Give a field of a log, "a.b" inside another; None where it is missing."""
    for step in name.split("."):
        if not isinstance(row, dict):
            return None
        row = row.get(step)
    return row
