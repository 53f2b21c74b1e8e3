"""The items beside their rollouts, in `items.parquet`: what was asked, with a small picture.

With it a row of rollouts can be shown with its question, its options and its picture, long after
the data set is gone from the machine.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
from PIL import Image

from medrl_core.data.items import Item
from medrl_core.errors import UserError
from medrl_core.files import writing
from medrl_core.sample import rollouts

NAME = "items.parquet"
SIDE = 256  # pixels of a picture's longer side
SCHEMA = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("question", pa.string(), nullable=False),
        pa.field("options", pa.string(), nullable=False),  # a JSON list; empty for an open item
        pa.field("label_set", pa.string(), nullable=False),  # a JSON list
        pa.field("gold", pa.string(), nullable=False),
        pa.field("picture", pa.binary()),  # the first, as PNG or JPEG; null where there is none
    ]
)


def write(folder: Path, items: Sequence[Item]) -> None:
    """Write the items of a folder of rollouts, whole or not at all; items kept before stay."""
    new = {item.item_id: _row(item) for item in items}
    known = read(folder)
    if known is not None:
        old = known[~known.item_id.isin(set(new))]
        lists = {name: old[name].map(json.dumps) for name in ("options", "label_set")}
        kept = old.assign(**lists).to_dict("records")
        new = {str(row["item_id"]): row for row in kept} | new
    table = pa.Table.from_pylist([new[item_id] for item_id in sorted(new)], schema=SCHEMA)
    with writing(folder / NAME) as stream:
        rollouts.write_whole(table, stream)


def read(folder: Path) -> pd.DataFrame | None:
    """Read the items of a folder, with options and label_set as lists; None where it has none.

    Raises: UserError where the file is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    table = rollouts.read_as(path, SCHEMA).to_pandas()
    try:
        lists = {name: table[name].map(json.loads) for name in ("options", "label_set")}
    except ValueError as error:
        raise UserError(f"{path} holds options that are no JSON list: delete it") from error
    return table.assign(**lists)


def _row(item: Item) -> dict[str, object]:
    return {
        "item_id": item.item_id,
        "question": item.question,
        "options": json.dumps(list(item.options or ())),
        "label_set": json.dumps(list(item.label_set)),
        "gold": item.gold,
        "picture": _small(item.images[0]) if item.images else None,
    }


def _small(picture: Image.Image) -> bytes:
    """A picture as bytes: PNG where it is tiny and its pixels count, else a JPEG thumbnail."""
    small = picture.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    if max(small.size) <= 64:
        small.save(out, "PNG")
    else:
        small.save(out, "JPEG", quality=85)
    return out.getvalue()
