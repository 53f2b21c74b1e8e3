"""The rollout store: appending, keys, compaction, damaged files."""

from __future__ import annotations

import os

import pandas as pd
import pytest

from medrl_core.errors import UserError
from medrl_core.sample import rollouts
from medrl_core.sample.rollouts import COLUMNS, KEY, RolloutStore, read


def row(item="i0", sample=0, **changes):
    base = dict(
        item_id=item, image_id="im0", dataset="d", modality="m", answer_format="mcq", n_options=4,
        gold="C", model="toy", model_hash="h", prompt_hash="p", sample_index=sample, seed=7,
        decoding="temperature=1.0,top_p=1.0,top_k=0", text="<answer>C</answer>", parsed="C",
        parse_rule="tag", correct=True, n_tokens=5, finish_reason="stop", logprob=-1.5,
    )
    return base | changes


def test_append_read_and_keys(tmp_path):
    store = RolloutStore(tmp_path)
    store.append([row("i1"), row("i0", 1, parsed=None, logprob=None)])
    store.append([row("i0", 0)])
    store.append([])
    assert sorted(os.listdir(tmp_path / "rollouts")) == ["part-00000.parquet", "part-00001.parquet"]
    frame = read(tmp_path)
    assert list(frame.columns) == list(COLUMNS)
    assert list(zip(frame.item_id, frame.sample_index, strict=True)) == [
        ("i0", 0), ("i0", 1), ("i1", 0)]
    assert frame.correct.dtype == bool
    assert pd.isna(frame.parsed[1]) and pd.isna(frame.logprob[1])
    rows = [row("i1"), row("i0", 1), row("i0")]
    expected = {tuple(r[name] for name in KEY) for r in rows}
    assert store.keys() == RolloutStore(tmp_path).keys() == expected


def test_compact_gives_the_same_bytes_whatever_the_parts(tmp_path):
    rows = [row(f"i{i}", s) for i in range(5) for s in range(3)]
    one, many = RolloutStore(tmp_path / "one"), RolloutStore(tmp_path / "many")
    one.append(rows)
    for r in reversed(rows):
        many.append([r])
    assert one.compact().read_bytes() == many.compact().read_bytes()
    assert os.listdir(tmp_path / "many") == ["rollouts.parquet"]
    many.append([row("late")])
    assert len(read(tmp_path / "many")) == 16
    many.compact()
    assert len(read(tmp_path / "many" / "rollouts.parquet")) == 16


@pytest.mark.parametrize("killed_at", ["unlink", "replace", "rmtree"])
def test_a_killed_compact_neither_loses_nor_doubles(tmp_path, monkeypatch, killed_at):
    store = RolloutStore(tmp_path)
    store.append([row("i0")])
    store.compact()
    store.append([row("i1")])
    store.append([row("i2")])

    class Killed(BaseException):
        pass

    real_replace = os.replace

    def die(*args, **kwargs):
        raise Killed

    def die_at_the_move(source, target):
        if str(target).endswith("rollouts.parquet"):
            raise Killed
        real_replace(source, target)

    with monkeypatch.context() as patch:
        if killed_at == "unlink":
            patch.setattr(rollouts.Path, "unlink", lambda self, missing_ok=False: (
                None if missing_ok else die()))
        elif killed_at == "replace":
            patch.setattr(rollouts.os, "replace", die_at_the_move)
        else:
            patch.setattr(rollouts.shutil, "rmtree", die)
        with pytest.raises(Killed):
            store.compact()
    assert list(read(tmp_path).item_id) == ["i0", "i1", "i2"]
    again = RolloutStore(tmp_path)
    assert len(again.keys()) == 3
    again.append([row("i3")])
    assert list(read(again.compact()).item_id) == ["i0", "i1", "i2", "i3"]


def test_a_key_comes_only_once(tmp_path):
    store = RolloutStore(tmp_path)
    store.append([row("i0")])
    with pytest.raises(UserError, match="i0.*comes twice"):
        store.append([row("i1"), row("i0", text="other")])
    with pytest.raises(UserError, match="comes twice"):
        store.append([row("i2"), row("i2")])
    assert list(read(tmp_path).item_id) == ["i0"]
    store.append([row("i1")])  # the refused rows left no trace


def test_a_failed_write_leaves_the_store_as_it_was(tmp_path, monkeypatch):
    store = RolloutStore(tmp_path)
    store.append([row("i0")])
    with monkeypatch.context() as patch:
        def full(*args, **kwargs):
            raise OSError("no space left")
        patch.setattr(rollouts.pq, "write_table", full)
        with pytest.raises(OSError, match="no space"):
            store.append([row("i1")])
    assert os.listdir(tmp_path / "rollouts") == ["part-00000.parquet"]
    store.append([row("i1")])
    assert len(store.frame()) == 2


@pytest.mark.parametrize("bad, message", [
    ({"extra": 1}, "unknown"),
    ({"correct": "yes"}, "wrong type"),
    ({"item_id": None}, "item_id.*empty"),
    ({"n_tokens": 2**40}, "wrong type"),
])
def test_a_bad_row_is_refused_in_one_line(tmp_path, bad, message):
    store = RolloutStore(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        store.append([row() | bad])
    assert "\n" not in str(caught.value)
    missing = row()
    del missing["seed"]
    with pytest.raises(UserError, match="missing"):
        store.append([missing])
    assert not (tmp_path / "rollouts").exists()


def test_a_truncated_file_is_named(tmp_path):
    store = RolloutStore(tmp_path)
    store.append([row()])
    part = tmp_path / "rollouts" / "part-00000.parquet"
    data = part.read_bytes()
    for size in (0, 3, len(data) // 2, len(data) - 1):
        part.write_bytes(data[:size])
        with pytest.raises(UserError, match="part-00000.parquet") as caught:
            read(tmp_path)
        assert "\n" not in str(caught.value)
        with pytest.raises(UserError, match="part-00000.parquet"):
            RolloutStore(tmp_path)


def test_missing_places_and_foreign_files(tmp_path):
    with pytest.raises(UserError, match="no rollouts at"):
        read(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no rollouts"):
        read(tmp_path)
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(UserError, match="no rollout file"):
        read(tmp_path / "x.parquet")
    assert list(RolloutStore(tmp_path / "new").frame().columns) == list(COLUMNS)
