"""What kind of file a log is, from its first bytes and first row: enough to choose its reader."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from medrl_core.errors import UserError
from medrl_core.score.logs import files

_KEY = re.compile(r'"([^"\\]{1,80})"\s*:')
_PACKED = (".gz", ".zst")


@dataclass(frozen=True)
class Sniffed:
    """A file before it is read.

    Arguments: `path`; `kind` "zip", "xlsx", "parquet", "rows" (JSON lines or an array of
    objects), "object" (one JSON object), "table" (CSV or TSV), "text" or "empty"; `names` fields
    of the first row, columns, members of a zip, or the keys near the beginning of an object;
    `first` the first row of JSON rows; `start` the first characters of a text.
    """

    path: Path
    kind: str
    names: frozenset[str] = frozenset()
    first: dict[str, Any] = field(default_factory=dict)
    start: str = ""

    def has(self, *names: str) -> bool:
        """Say whether all these names are there."""
        return self.names.issuperset(names)


def ending(path: Path) -> str:
    """Give a file's ending in lower case, without that of its compression."""
    name = path.name.lower()
    for packed in _PACKED:
        name = name.removesuffix(packed)
    return Path(name).suffix


def stem(path: Path) -> str:
    """Give a file's name without its ending and without that of its compression."""
    name = path.name
    for packed in _PACKED:
        name = name.removesuffix(packed)
    return Path(name).stem


def sniff(path: Path) -> Sniffed:
    """Look at the beginning of a file; UserError where it cannot be read at all."""
    start = files.head(path)
    if not start.strip():
        return Sniffed(path, "empty")
    if start.startswith(b"PK\x03\x04"):
        return _zip(path, start)
    if start.startswith(b"PAR1"):
        try:
            return Sniffed(path, "parquet", frozenset(pq.read_schema(path).names))
        except (pa.ArrowException, OSError, ValueError):
            return Sniffed(path, "parquet")
    written = start.decode("utf-8-sig", "replace").lstrip()
    if written.startswith("["):
        return _array(path, written)
    if written.startswith("{"):
        return _object(path, written, whole=len(start) < 1 << 16)
    if ending(path) in (".csv", ".tsv"):
        line = written.splitlines()[0]
        names = re.split(r"[\t,;]", line)
        return Sniffed(path, "table", frozenset(name.strip().strip('"') for name in names))
    return Sniffed(path, "text", start=written)


def _zip(path: Path, start: bytes) -> Sniffed:
    # A log may have 100,000 members: what the first is called tells it.
    size = int.from_bytes(start[26:28], "little")
    first = start[30 : 30 + size].decode("utf-8", "replace")
    if first in ("_journal/start.json", "header.json"):
        return Sniffed(path, "zip", frozenset({first}))
    try:
        with zipfile.ZipFile(path) as archive:
            names = frozenset(archive.namelist())
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"{path} cannot be read ({error}); it is damaged or cut off") from error
    return Sniffed(path, "xlsx" if "xl/workbook.xml" in names else "zip", names)


def _array(path: Path, written: str) -> Sniffed:
    body = written[1:].lstrip()
    if not body.startswith("{"):
        return Sniffed(path, "text", start=written)
    first: Any = {}
    try:
        first, _ = json.JSONDecoder().raw_decode(body)
    except (ValueError, RecursionError):
        first = dict.fromkeys(_KEY.findall(body))
    return Sniffed(path, "rows", frozenset(first), first, written)


def _object(path: Path, written: str, whole: bool) -> Sniffed:
    line, _, rest = written.partition("\n")
    lines = ending(path) in (".jsonl", ".ndjson") or rest.lstrip().startswith("{")
    try:
        first, end = json.JSONDecoder().raw_decode(line if lines else written)
    except (ValueError, RecursionError):
        # One row may be longer than what was read of it.
        found = frozenset(_KEY.findall(line if lines and "\n" in written else written))
        return Sniffed(path, "rows" if lines else "object", found, start=written)
    if not lines and whole and not written[end:].strip():
        # One object alone may be a log of one row, too.
        return Sniffed(path, "object", frozenset(first), first, written)
    return Sniffed(path, "rows" if lines else "object", frozenset(first), first, written)
