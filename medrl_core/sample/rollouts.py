"""The rollout store: one row a completion, in Parquet, appended and never changed.

While sampling runs, rows land in `rollouts/part-00000.parquet` and so on; `compact()` joins the
parts to one sorted `rollouts.parquet`. A killed run reads `keys()` and samples what is missing.
Rows that are not asked for now wait in `aside.parquet`: nothing but a store reads it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from medrl_core.errors import UserError

SCHEMA = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("modality", pa.string(), nullable=False),
        pa.field("answer_format", pa.string(), nullable=False),
        pa.field("n_options", pa.int32(), nullable=False),  # options, or size of the label set
        pa.field("gold", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("model_hash", pa.string(), nullable=False),
        pa.field("prompt_hash", pa.string(), nullable=False),
        pa.field("sample_index", pa.int32(), nullable=False),  # -1 for the greedy completion
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("decoding", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("parsed", pa.string()),  # null: no answer found
        pa.field("parse_rule", pa.string(), nullable=False),
        pa.field("correct", pa.bool_(), nullable=False),
        pa.field("n_tokens", pa.int32(), nullable=False),
        pa.field("finish_reason", pa.string(), nullable=False),  # "stop" or "length"
        pa.field("logprob", pa.float64()),  # sum over the completion's tokens, in nats
    ]
)
COLUMNS: tuple[str, ...] = tuple(SCHEMA.names)
KEY = ("item_id", "model_hash", "prompt_hash", "decoding", "sample_index")
Key = tuple[str, str, str, str, int]

_PART = re.compile(r"part-\d{5,}\.parquet")
_JOINED = "joined.parquet"
_ASIDE = "aside.parquet"


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    wanted = set(COLUMNS)
    for index, row in enumerate(rows):
        if row.keys() != wanted:
            missing, extra = sorted(wanted - row.keys()), sorted(row.keys() - wanted)
            raise UserError(
                f"rollout row {index} has the wrong columns (missing {missing}, unknown {extra}); "
                "give exactly the columns of medrl_core.sample.rollouts.COLUMNS"
            )
    try:
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError) as error:
        raise UserError(
            f"a rollout row has a value of the wrong type ({_one_line(error)}); see SCHEMA"
        ) from error
    _check_nulls(table, "the new rows")
    return table


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _check_nulls(table: pa.Table, where: str) -> None:
    for field in table.schema:
        if not field.nullable and table[field.name].null_count:
            raise UserError(
                f"rollout column '{field.name}' of {where} has empty values; fill it in every row"
            )


def _read_whole(path: Path) -> pa.Table:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
            _check_counts(file.metadata, table)
        table.validate(full=True)
        _ = table.column_names  # names that are no text
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read as Parquet ({_one_line(error)}); "
            "it is truncated, damaged or no rollout file: delete it and sample again"
        ) from error
    return table


def _check_counts(about: pq.FileMetaData, table: pa.Table) -> None:
    """Check counts and places of pages: their list has no checksum, and Arrow believes it."""
    rows = 0
    for group in map(about.row_group, range(about.num_row_groups)):
        rows += group.num_rows
        for column in map(group.column, range(group.num_columns)):
            if column.num_values != group.num_rows:
                raise ValueError("its columns differ in length")
            size, words = column.total_compressed_size, column.dictionary_page_offset
            if words is not None and column.data_page_offset >= words + size:
                raise ValueError("pages of a column lie apart")
    if not about.num_rows == table.num_rows == rows:
        raise ValueError(f"it has {rows} rows and says {about.num_rows}")


def write_whole(table: pa.Table, where: str | BinaryIO) -> None:
    """Write a Parquet file whose every page has a checksum, for `read_as`."""
    pq.write_table(table, where, compression="zstd", write_page_checksum=True)


def read_as(path: Path, schema: pa.Schema = SCHEMA) -> pa.Table:
    """Read a Parquet file of a known schema: no page of it is damaged, every text is one.

    Raises: UserError naming the file where it is damaged or of another layout.
    """
    table = _read_whole(path)
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise UserError(f"{path} is no rollout file: columns {missing} are missing; make it again")
    try:
        _check_booleans(table, schema)
        table = table.select(schema.names).cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise UserError(
            f"{path} has a column of the wrong type ({_one_line(error)}); make it again"
        ) from error
    _check_nulls(table, str(path))
    return table


def _check_booleans(table: pa.Table, schema: pa.Schema) -> None:
    """Refuse numbers but 0 and 1 for a boolean: Arrow would take 0.5 for true."""
    for field in schema:
        if pa.types.is_boolean(field.type) and not pa.types.is_boolean(table[field.name].type):
            odd = set(table[field.name].to_pylist()) - {0, 1, None}
            if odd:
                raise ValueError(f"{field.name} has {str(odd.pop())[:40]}, neither true nor false")


def _part_number(path: Path) -> int:
    return int(path.stem.removeprefix("part-"))


def _parts(folder: Path) -> list[Path]:
    parts = [p for p in (folder / "rollouts").glob("part-*.parquet") if _PART.fullmatch(p.name)]
    return sorted(parts, key=_part_number)


def _files(folder: Path) -> list[Path]:
    """List the files that hold a run folder's rows: the compacted one, then the parts in order."""
    joined = folder / "rollouts" / _JOINED
    if joined.exists():  # a killed compact(): this file holds everything, the others are leftovers
        return [joined]
    whole = folder / "rollouts.parquet"
    return [whole, *_parts(folder)] if whole.exists() else _parts(folder)


def _write(table: pa.Table, path: Path) -> None:
    """Write a table so that the file is there whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            write_whole(table, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _frame(table: pa.Table, where: Path) -> pd.DataFrame:
    """Turn a table to pandas in one order, whatever the order in which rows were sampled."""
    frame = table.to_pandas()
    _check_values(frame, where)
    repeated = frame.duplicated(list(KEY))
    if repeated.any():
        key = frame.loc[repeated, list(KEY)].iloc[0].to_dict()
        raise UserError(f"{where} holds a rollout twice ({key}); delete one of the two runs")
    return frame.sort_values(list(KEY), kind="stable", ignore_index=True)


def _check_values(frame: pd.DataFrame, where: Path) -> None:
    """Refuse values that no sampling gives, and from which scores would be made all the same."""
    many = frame.answer_format.eq("mcq")
    odd = {
        "sample_index below -1": frame.sample_index < -1,
        "n_options below 0": frame.n_options < 0,
        "n_options below 2 for multiple choice": many & (frame.n_options < 2),
        "a gold that is no letter": many & ~frame.gold.str.fullmatch("[A-Z]"),
        "n_tokens below 0": frame.n_tokens < 0,
        "neither stop nor length as finish_reason": ~frame.finish_reason.isin(["stop", "length"]),
    }
    for what, rows in odd.items():
        if rows.any():
            item = frame.item_id[rows].iloc[0]
            raise UserError(f"{where}: item {item} has {what} ({rows.sum()} rows); sample it again")


def _check_items(frame: pd.DataFrame, where: Path) -> None:
    """Refuse two gold answers, or two prompts, of one item: they would be pooled as one."""
    for column in ("gold", "n_options", "prompt_hash"):
        several = frame.groupby("item_id")[column].nunique()
        if (several > 1).any():
            raise UserError(
                f"{where}: item {several.idxmax()} has {several.max()} values of {column}; "
                "evaluate one wording and one gold answer an item, in a folder each"
            )


def read(path: str | Path) -> pd.DataFrame:
    """Read the rollouts of a Parquet file or of a run folder.

    Arguments: `path` a .parquet file, or a folder with rollouts.parquet or rollouts/part-*.parquet.
    Returns: a DataFrame with COLUMNS, sorted by KEY.
    Raises: UserError naming the file when it is missing, truncated, of another layout, has a key
    twice, a value that no sampling gives, or two gold answers or prompts of one item.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"there are no rollouts at {path}; check the path or run `medrl evaluate`")
    files = _files(path) if path.is_dir() else [path]
    if not files:
        raise UserError(f"the folder {path} holds no rollouts; run `medrl evaluate --out {path}`")
    frame = _frame(pa.concat_tables([read_as(file) for file in files]), path)
    _check_items(frame, path)
    return frame


def _listed(table: pa.Table) -> list[Key]:
    return list(zip(*(table[name].to_pylist() for name in KEY), strict=True))


def _keys(table: pa.Table) -> set[Key]:
    return set(_listed(table))


def _as_table(frame: pd.DataFrame) -> pa.Table:
    table = pa.Table.from_pandas(frame, schema=SCHEMA, preserve_index=False)
    return table.replace_schema_metadata(None)


class RolloutStore:
    """Keep the rollouts of one run folder, appended part by part.

    Arguments: `folder` the run folder; it is made when missing.
    Raises: UserError when a stored file cannot be read.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._finish_compacting()
        self._seen: set[Key] = set()
        for file in _files(self.folder):
            self._seen |= self._new_keys(read_as(file))
        self._seen |= _keys(self._aside())
        # Whoever sampled these judged them by the items and the reader of that day.
        self.found = frozenset(self._seen)

    def _aside(self) -> pa.Table:
        path = self.folder / _ASIDE
        return read_as(path) if path.is_file() else SCHEMA.empty_table()

    def _new_keys(self, table: pa.Table) -> set[Key]:
        new: set[Key] = set()
        for key in _listed(table):
            if key in self._seen or key in new:
                raise UserError(
                    f"rollout {dict(zip(KEY, key, strict=True))} in {self.folder} comes twice; "
                    "sample only keys that are not in keys()"
                )
            new.add(key)
        return new

    def keys(self) -> frozenset[Key]:
        """Give the keys stored so far, as tuples in the order of KEY."""
        return frozenset(self._seen)

    def append(self, rows: list[dict[str, Any]]) -> None:
        """Add rows as one new part; all of them or, on any error, none.

        Arguments: `rows` dicts with exactly COLUMNS.
        Raises: UserError on a wrong column, a wrong type or a key that is already there.
        """
        if not rows:
            return
        table = _table(rows)
        new = self._new_keys(table)
        (self.folder / "rollouts").mkdir(exist_ok=True)
        parts = _parts(self.folder)
        number = _part_number(parts[-1]) + 1 if parts else 0
        _write(table, self.folder / "rollouts" / f"part-{number:05d}.parquet")
        self._seen |= new

    def frame(self) -> pd.DataFrame:
        """Give all rows as `read` does, those aside too; without rows, an empty frame."""
        table = pa.concat_tables([SCHEMA.empty_table(), *map(read_as, _files(self.folder))])
        aside, here = self._aside(), _keys(table)
        if aside.num_rows:  # a kill while rows were put aside may have left them in both
            away = [key not in here for key in _listed(aside)]
            table = pa.concat_tables([table, aside.filter(pa.array(away))])
        return _frame(table, self.folder)

    def compact(
        self, asked: Collection[tuple[str, str]] | None = None, frame: pd.DataFrame | None = None
    ) -> Path:
        """Join all rows to one rollouts.parquet, sorted by KEY, and return its path.

        The rows do not depend on how they were split into parts. A kill at any moment loses and
        doubles nothing: once the joined file is whole it alone counts, and the next store on the
        folder finishes the move.

        Arguments: `asked` pairs of item_id and prompt_hash; rows of others are put aside, where the
        store finds them again. None: nothing is aside. `frame` rows in place of those stored.
        """
        (self.folder / "rollouts").mkdir(exist_ok=True)
        frame = self.frame() if frame is None else frame
        pairs = pd.Series(list(zip(frame.item_id, frame.prompt_hash, strict=True)), dtype=object)
        kept = pairs.isin(set(asked)) if asked is not None else pd.Series(True, frame.index)
        aside = self.folder / _ASIDE
        if not kept.all():
            _write(_as_table(frame[~kept.to_numpy()]), aside)
        _write(_as_table(frame[kept.to_numpy()]), self.folder / "rollouts" / _JOINED)
        if kept.all():
            aside.unlink(missing_ok=True)
        self._finish_compacting()
        return self.folder / "rollouts.parquet"

    def _finish_compacting(self) -> None:
        joined = self.folder / "rollouts" / _JOINED
        if not joined.exists():
            return
        for part in _parts(self.folder):
            part.unlink()
        os.replace(joined, self.folder / "rollouts.parquet")
        shutil.rmtree(self.folder / "rollouts")
