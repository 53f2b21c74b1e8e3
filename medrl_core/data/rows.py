"""Rows of any file or folder of questions, one at a time, each with its split and its place.

    for row in rows("questions.csv"): print(row.where, row.split, row.values)

The forms are told apart by their endings and what a folder contains: JSON, JSON lines, CSV, TSV,
Parquet, a folder of these, a data set saved to disk by `datasets`, OWNER/NAME@HASH at the hub.
Pictures stay as they are in the row: bytes, or a path that starts at the row's folder.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from medrl_core.data.network import ask_hub
from medrl_core.data.pictures import Bad
from medrl_core.errors import UserError

TABLES = (".parquet", ".csv", ".tsv", ".json", ".jsonl")
# JSON beside the data that describes it and contains none.
CARDS = ("card.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
# A branch or a tag moves; only a whole commit hash names bytes.
PINNED = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})")
# Parquet is unpacked one row group at a time; the library writes groups of 0.1 GB of images.
MOST_UNPACKED = 2 * 10**9
_SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "dev": "val",
           "validation": "val", "test": "test", "testing": "test"}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One row as its file has it.

    Arguments: `values` by column; `split` train, val, test, or "" where neither file nor folder is
    named for one; `where` for messages, as "line 3"; `folder` that picture paths start at; `bad`
    what is wrong with a row that could not be read.
    """

    values: dict[str, Any]
    split: str
    where: str
    folder: Path
    bad: str = ""


def split_of(name: object) -> str:
    """The split that a file, folder or value is named for; "" for none, or for several."""
    found = {_SPLITS[word] for word in re.split(r"[^a-z]+", str(name).lower()) if word in _SPLITS}
    return found.pop() if len(found) == 1 else ""


def table_files(source: Path) -> list[Path]:
    """The tables that a source is made of: itself, or those of a folder, all of one ending.

    Raises: UserError for endings that are not read, or several in one folder.
    """
    if source.is_file():
        found = [source]
    else:
        inner = [path for path in (source, source / "data") if path.is_dir()]
        found = sorted(
            path for folder in inner for path in folder.iterdir()
            if path.suffix in TABLES and path.name not in CARDS
        )  # fmt: skip
    endings = sorted({path.suffix for path in found})
    if not endings or endings[0] not in TABLES:
        raise UserError(f"{source} is no {', '.join(TABLES)} file, nor a folder of these")
    if len(endings) > 1:
        raise UserError(f"{source} contains {' and '.join(endings)} files: name the one to read")
    return found


def is_saved(folder: Path) -> bool:
    """Whether a folder was written by the `save_to_disk` of `datasets`."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def has_tables(folder: Path) -> bool:
    """Whether a folder, or its subfolder data, contains a table."""
    inner = [path for path in (folder, folder / "data") if path.is_dir()]
    return any(
        path.suffix in TABLES and path.name not in CARDS for one in inner for path in one.iterdir()
    )


def rows(source: str, *, configs: Sequence[str] = (), split: str | None = None) -> Iterator[Row]:
    """Stream the rows of a source.

    Arguments:
        source: a file, a folder, or OWNER/NAME@HASH at the hub.
        configs: of a data set at the hub, read one after another; none: the default one.
        split: of a data set at the hub: its name there, or train, val, test; None or all: all.

    Raises:
        UserError: no such source, one without a pinned revision, or one that cannot be read.
    """
    with closing(cast(Any, _opened(source, configs, split))) as opened:
        try:
            yield from opened
        except (UserError, Bad):
            raise
        except Exception as error:  # of a dozen libraries: readers, decoders, the network
            remedy = "check the files"
            if not Path(source).exists():
                off = os.environ.get("HF_HUB_OFFLINE") == "1"
                remedy = "set HF_HUB_OFFLINE=0" if off else "go online and try again"
                remedy += ", or name a local file"
            kind = type(error).__name__
            raise UserError(f"{source} cannot be read ({kind}): {remedy}") from error


def _opened(source: str, configs: Sequence[str], split: str | None) -> Iterator[Row]:
    path = Path(source)
    if path.is_dir() and is_saved(path):
        yield from _saved(path)
    elif path.exists():
        files = table_files(path)
        named = {file: split_of(file.stem) or _SPLITS.get(file.parent.name, "") for file in files}
        if len(files) > 1 and len(set(named.values())) > 1 and "" in named.values():
            odd = next(file.name for file, told in named.items() if not told)
            raise UserError(f"{source}: {odd} is named for no split, other files are: rename it")
        readers = {".parquet": _parquet, ".csv": _csv, ".tsv": _csv, ".json": _json,
                   ".jsonl": _jsonl}  # fmt: skip
        for file in files:
            several = f"{file.name}: " if len(files) > 1 else ""
            for where, values, bad in readers[file.suffix](file):
                yield Row(values, named[file], several + where, file.parent, bad)
    else:
        yield from _hub(source, configs, split)


_Read = Iterator[tuple[str, dict[str, Any], str]]


def _jsonl(path: Path) -> _Read:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield (f"line {number}", *_object(line))


def _object(text: bytes) -> tuple[dict[str, Any], str]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}, "no JSON"
    return (value, "") if isinstance(value, dict) else ({}, "no JSON object")


def _json(path: Path) -> _Read:
    """A list of objects; by Python's own reader, which leaves numbers and booleans what they are.

    `datasets` writes a column of mixed types as JSON texts, in quotation marks.
    """
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({type(error).__name__}): get it again") from error
    if not isinstance(content, list) or not content:
        raise UserError(f"{path} is no list of questions: get it again")
    for place, value in enumerate(content):
        is_row = isinstance(value, dict)
        yield f"question {place}", value if is_row else {}, "" if is_row else "no JSON object"


def _csv(path: Path) -> _Read:
    """Texts; a row with more or fewer cells than the first is bad."""
    delimiter = "\t" if path.suffix == ".tsv" else ","
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream, strict=True, delimiter=delimiter)
        names = reader.fieldnames or []
        if len(set(names)) < len(names):
            raise UserError(f"{path} has a column twice ({', '.join(names)[:200]}): rename one")
        for row in reader:
            odd = None in row or None in row.values()
            bad = "more or fewer cells than the first line" if odd else ""
            yield f"line {reader.line_num}", {} if odd else row, bad


def _parquet(path: Path) -> _Read:
    import pyarrow.parquet as pq

    about = pq.read_metadata(path)
    sizes = [about.row_group(i).total_byte_size for i in range(about.num_row_groups)]
    if max(sizes, default=0) > MOST_UNPACKED:
        raise UserError(
            f"{path} unpacks to {max(sizes) / 1e9:.0f} GB at once, more than "
            f"{MOST_UNPACKED / 1e9:.0f}: write it again in smaller row groups"
        )
    place = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=64):
            for values in batch.to_pylist():
                yield f"row {place}", values, ""
                place += 1


def _saved(folder: Path) -> Iterator[Row]:
    import datasets

    found = datasets.load_from_disk(str(folder))
    parts = found if isinstance(found, datasets.DatasetDict) else {"": found}
    for name, table in parts.items():
        split = split_of(name) or split_of(str(getattr(table, "split", None) or ""))
        several = f"{name}: " if len(parts) > 1 else ""
        for place, values in enumerate(_named(table.to_iterable_dataset())):
            yield Row(values, split, f"{several}row {place}", folder)


def _hub(source: str, configs: Sequence[str], split: str | None) -> Iterator[Row]:
    from datasets import load_dataset, logging

    logging.set_verbosity(logging.CRITICAL)  # what it logs of an error, ours tells
    pin = PINNED.fullmatch(source)
    if pin is None and Path(source).suffix in (*TABLES, ".npz", ".yaml"):
        raise UserError(f"{source} is not there: check the path")
    if pin is None:
        raise UserError(
            f"{source!r} is no file, no folder and no OWNER/NAME@HASH: a data set at the hub needs "
            "the 40 digits of a commit, as its page shows them under files and versions"
        )
    ask_hub(pin["id"], "dataset")
    for config in configs or ("default",):
        found = load_dataset(pin["id"], config, revision=pin["revision"], streaming=True)
        for name in found:
            if split not in (None, "all", name, split_of(name)):
                continue
            for place, values in enumerate(_named(found[name])):
                yield Row(values, split_of(name), f"{config} {name}: row {place}", Path())


def _named(table: Any) -> Iterator[dict[str, Any]]:
    """Rows with the names of classes for their numbers, and images as bytes and paths.

    The library would open whatever path or address a row names.
    """
    from datasets import ClassLabel

    features = table.features or {}  # without types nothing is decoded
    table = table.decode(False) if features else table
    names = {name: kind.names for name, kind in features.items() if isinstance(kind, ClassLabel)}
    for values in table:
        for column, known in names.items():
            if values[column] is not None and values[column] >= 0:
                values[column] = known[values[column]]
        yield values
