"""Tables of logs (xlsx, TSV, CSV, Parquet, JSON rows) as data frames of texts, read alike.

A cell is its text as written: "NA" stays "NA", 7.0 is "7", an empty cell is "".
"""

from __future__ import annotations

import csv
import datetime
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd

from medrl_core.errors import UserError
from medrl_core.score.logs import files
from medrl_core.score.logs.golds import missing
from medrl_core.score.logs.sniff import Sniffed, ending, sniff

EXCEL_CELL = 32_767  # characters that a cell can hold; longer texts were cut off


def read(path: Path, sniffed: Sniffed | None = None) -> pd.DataFrame:
    """Read a table; every column is of texts, lists and dicts as JSON.

    Raises: UserError naming the file, and the row or column that is wrong.
    """
    kind = (sniffed or sniff(path)).kind
    if kind == "xlsx":
        frame = _xlsx(path)
    elif kind == "parquet":
        frame = files.parquet(path).to_pandas()
    elif kind in ("rows", "object"):
        frame = _rows(path, kind)
    elif kind in ("table", "text"):
        frame = _separated(path)
    else:
        raise UserError(f"{path} is no table (xlsx, TSV, CSV, Parquet or JSON rows)")
    names = [str(name).strip() for name in frame.columns]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"{path} has the column '{twice}' twice")
    frame.columns = names
    if frame.empty:
        raise UserError(f"{path} has no rows")
    return frame.apply(lambda column: column.map(_cell)).astype(object)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    if hasattr(value, "tolist"):
        value = value.tolist()
    if missing(value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return str(value.date())
    return str(value)


def _xlsx(path: Path) -> pd.DataFrame:
    import openpyxl

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        rows = list(book.worksheets[0].iter_rows(values_only=True))
        book.close()
    except (zipfile.BadZipFile, OSError, KeyError, ValueError, EOFError) as error:
        raise UserError(f"{path} cannot be read ({error}); it is damaged or cut off") from error
    rows = [row for row in rows if any(cell is not None for cell in row)]
    if not rows:
        raise UserError(f"{path} is an empty sheet")
    names = [name or f"column {at}" for at, name in enumerate(rows[0])]
    return pd.DataFrame(rows[1:], columns=names)


def _rows(path: Path, kind: str) -> pd.DataFrame:
    if kind == "rows":
        return pd.DataFrame([row for _, row in files.json_rows(path)])
    value, _ = files.json_value(path)
    # A frame written by columns: {"index": {"0": 7, ...}, ...}; anything else is one row.
    columns = all(isinstance(column, (dict, list)) for column in value.values())
    try:
        return pd.DataFrame(value) if value and columns else pd.DataFrame([value])
    except ValueError as error:
        raise UserError(f"{path} is no table: {error}") from error


def _separated(path: Path) -> pd.DataFrame:
    written = files.text(path)
    first = written.partition("\n")[0]
    counts = {sign: first.count(sign) for sign in "\t,;"}
    sign = "\t" if ending(path) == ".tsv" else max(counts, key=lambda one: counts[one])
    csv.field_size_limit(1 << 30)
    try:
        rows = [row for row in csv.reader(io.StringIO(written, newline=""), delimiter=sign) if row]
    except csv.Error as error:
        raise UserError(f"{path} is no table: {error}") from error
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(rows[0]):
            raise UserError(
                f"{path}: row {number} has {len(row)} cells, the header {len(rows[0])}; "
                "it is cut off, or a text with a separator lacks its quotation marks"
            )
    return pd.DataFrame(rows[1:], columns=rows[0])
