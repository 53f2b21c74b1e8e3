"""JSON that lost backslashes, JSON lines of any kind, fields of logs."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medrl_core.errors import UserError
from medrl_core.score.logs import files

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),  # noqa: E501
    max_leaves=12,
)  # fmt: skip


@given(VALUES)
def test_whole_json_is_read_as_it_is(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_text(json.dumps(value))
    assert files.json_value(path) == (value, 0)


@pytest.mark.parametrize(("written", "value", "lost"), [
    ('{"a": "File "x.py", line 3", "b": 1}', {"a": 'File "x.py", line 3', "b": 1}, 2),
    ('["say "yes" or "no" now", "B"]', ['say "yes" or "no" now', "B"], 4),
    ('{"a": "x "y\\" z", "b": [1, "2"]}', {"a": 'x "y" z', "b": [1, "2"]}, 1),
])  # fmt: skip
def test_quotation_marks_that_end_no_text_are_part_of_it(tmp_path, written, value, lost):
    path = tmp_path / "a.json"
    path.write_text(written)
    assert files.json_value(path) == (value, lost)


@pytest.mark.parametrize("written", ["{", '{"a": "b', '{"a" 1}', "[1,]", "", '{"a": 1} x'])
def test_other_faults_are_named_by_line(tmp_path, written):
    path = tmp_path / "a.json"
    path.write_text(written)
    with pytest.raises(UserError, match="is not JSON at line 1"):
        files.json_value(path)


def test_deep_nesting_is_refused(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("[" * 100_000)
    with pytest.raises(UserError):
        files.json_value(path)


def test_lines_with_a_mark_blank_lines_and_windows_ends(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"a": NaN}\n{"b": "\\ud83d"}')
    rows = [row for _, row in files.json_rows(path)]
    assert rows[0] == {"a": 1} and rows[1]["a"] != rows[1]["a"] and len(rows) == 3
    path.write_text('{"a": 1}\n[1]\n')
    with pytest.raises(UserError, match="line 2 is no JSON object"):
        list(files.json_rows(path))
    path.write_bytes(b'{"a": 1}\n{"a": "\xff"}\n')
    with pytest.raises(UserError, match="line 2 is no"):
        list(files.json_rows(path))
    path.write_text('[{"a": 1}, 2]')
    with pytest.raises(UserError, match="entry 2 is no JSON object"):
        list(files.json_rows(path))


def test_zstandard_of_several_frames_and_cut_off():
    packed = b"".join(pa.compress(one, "zstd", asbytes=True) for one in (b"one ", b"two"))
    assert files.unpack_zstd(packed) == b"one two"
    for damaged in (packed[:-3], packed[:10], b"\x28\xb5\x2f\xfd1234"):
        with pytest.raises(OSError, match="Zstandard"):
            files.unpack_zstd(damaged)


def test_a_missing_field_is_named_with_its_path():
    row = {"a": {"b": None, "c": 1}}
    assert files.need(row, "a.c", "x") == 1 and files.need(row, "a.b", "x") is None
    assert files.maybe(row, "a.b.c") is None and files.maybe(None, "a") is None
    with pytest.raises(UserError, match="x: row 3 lacks the field 'a.d'"):
        files.need(row, "a.d", "x: row 3")
