"""The items beside their rollouts: written once, added to, shown again."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from made_rollouts import rollouts
from medrl_core.data.items import Item
from medrl_core.errors import UserError
from medrl_core.sample import items_table
from medrl_core.sample.rollouts import COLUMNS, RolloutStore
from medrl_core.score.logs import recognise


def item(item_id, side=300, options=("yes", "no")):
    return Item(
        item_id, item_id, (Image.new("L", (side, side // 2), 90),), "d", "m", f"Is it {item_id}?",
        options, () if options else ("yes", "no"), "A" if options else "yes",
        "mcq" if options else "open", "test",
    )  # fmt: skip


def test_items_are_kept_added_and_replaced(tmp_path):
    assert items_table.read(tmp_path) is None
    items_table.write(tmp_path, [item("b"), item("a", side=20)])
    items_table.write(tmp_path, [item("c", options=None), item("a", side=30)])
    table = items_table.read(tmp_path).set_index("item_id")
    assert table.index.tolist() == ["a", "b", "c"]
    assert table.options.tolist() == [["yes", "no"], ["yes", "no"], []]
    assert table.label_set["c"] == ["yes", "no"]
    with Image.open(io.BytesIO(table.picture["a"])) as picture:
        assert (picture.size, picture.format) == ((30, 15), "PNG")
    with Image.open(io.BytesIO(table.picture["b"])) as picture:
        assert (picture.size, picture.format) == ((256, 128), "JPEG")


def test_a_log_of_our_own_shows_what_was_asked(tmp_path):
    more = {"seed": 0, "text": "said", "n_tokens": 1, "logprob": -1.0, "model": "m"}
    rows = [more | row for row in rollouts("a", "A", ["A", "B"]) + rollouts("x", "A", ["A"])]
    RolloutStore(tmp_path).append([{name: row[name] for name in COLUMNS} for row in rows])
    items_table.write(tmp_path, [item("a", side=20)])
    items = recognise.read(tmp_path)[0].items.set_index("item_id")
    assert items.question["a"] == "Is it a?" and items.options["a"] == ("yes", "no")
    assert items.question["x"] == "" and items.options["x"] is None and items.images["x"] == ()
    data = base64.b64decode(items.images["a"][0].partition(",")[2])
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.size == (20, 10)


def test_a_damaged_table_is_refused(tmp_path):
    items_table.write(tmp_path, [item("a")])
    path = tmp_path / items_table.NAME
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UserError, match="items.parquet cannot be read"):
        items_table.read(tmp_path)
