"""Which reader a file or folder gets; folders of several tools; gold answers from beside."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from made_logs import COUNTS, counts, gold_rows, lines, lm_eval_rows, table_frame, verl_rows
from medrl_core.errors import UserError
from medrl_core.score.logs import recognise
from medrl_core.score.logs.grading import grade, per_item_counts


def shared() -> Path | None:
    """The folder of logs beside the clone, or beside the folder of its worktrees."""
    for above in list(Path(__file__).resolve().parents)[3:6]:
        if (above / "shared/formats/FORMATS.md").is_file():
            return above / "shared/formats"
    return None


FORMATS = shared()
EXPECTED = sorted(FORMATS.rglob("expected.json")) if FORMATS else []


@pytest.mark.skipif(not EXPECTED, reason="shared/formats is not beside the clone")
@pytest.mark.parametrize("expected", EXPECTED, ids=lambda path: str(path.parent)[-28:])
def test_logs_that_the_tools_wrote_have_their_counts(expected):
    told = json.loads(expected.read_text(encoding="utf-8"))
    parts = told["files"] if "files" in told else {"": told}  # noqa: SIM401
    assert parts
    for pattern, part in parts.items():
        place = expected.parent
        if pattern:
            [place] = place.rglob(pattern)
        elif "rollout_data_dir" in str(place):
            place = place / "1.jsonl"
        if not part.get("items"):
            with pytest.raises(UserError, match="keeps no answers"):
                recognise.read(place)
            continue
        [log] = recognise.read(place)
        table = per_item_counts(grade(log))
        if "step" in table:
            table = table[table.step == table.step.max()]
        wanted = sorted(
            (one["n"], next(one[k] for k in ("correct", "correct_match", "correct_filter_first")
                            if k in one)) for one in part["items"].values()
        )  # fmt: skip
        assert sorted(zip(table.n, table.correct, strict=True)) == wanted, place


@pytest.mark.parametrize("packed", ["gz", "zst"])
def test_packed_files_are_read_alike(tmp_path, packed):
    path = lines(tmp_path / "samples_bones_2026-01-01T00-00-00.jsonl", lm_eval_rows())
    def zstd(data):
        return pa.compress(data, "zstd", asbytes=True)

    pack = gzip.compress if packed == "gz" else zstd
    small = path.with_name(f"{path.name}.{packed}")
    small.write_bytes(pack(path.read_bytes()))
    path.unlink()
    assert counts(small) == COUNTS == counts(tmp_path)
    assert recognise.read(small)[0].dataset == "bones"
    small.write_bytes(small.read_bytes()[:-20])
    with pytest.raises(UserError, match="damaged or cut off"):
        recognise.read(small, format="lm-eval")
    with pytest.raises(UserError, match="damaged or cut off|line [0-9]+ is no JSON|is empty"):
        recognise.read(small)


def test_an_array_of_rows_is_read_like_lines(tmp_path):
    path = tmp_path / "samples_bones.json"
    path.write_text(json.dumps(lm_eval_rows(), indent=2))
    assert counts(path) == COUNTS


def test_what_is_not_there_empty_or_unknown_is_one_line(tmp_path):
    with pytest.raises(UserError, match="there is no .*nowhere"):
        recognise.read(tmp_path / "nowhere")
    empty = tmp_path / "a.jsonl"
    empty.write_text(" \n")
    with pytest.raises(UserError, match="is empty"):
        recognise.read(empty)
    other = lines(tmp_path / "b.jsonl", [{"loss": 1.0}])
    with pytest.raises(UserError, match="no log of a known format .it has loss"):
        recognise.read(other)
    with pytest.raises(UserError, match="holds no log of a known format"):
        recognise.read(tmp_path)
    with pytest.raises(UserError, match="--format x is unknown; known are medrl, inspect"):
        recognise.read(other, format="x")
    with pytest.raises(UserError, match="row 1 lacks the field 'step'"):
        recognise.read(other, format="verl")
    (tmp_path / "c.parquet").write_bytes(b"PAR1" + os.urandom(50))
    with pytest.raises(UserError, match="c.parquet"):
        recognise.read(tmp_path / "c.parquet")
    (tmp_path / "d.csv").write_bytes("item_id,text\na,ü\n".encode("latin-1"))
    with pytest.raises(UserError, match="is no UTF-8 text"):
        recognise.read(tmp_path / "d.csv")


def test_a_cut_off_last_line_is_named(tmp_path):
    path = lines(tmp_path / "samples_a_2026-01-01T00-00-00.jsonl", lm_eval_rows())
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match="line 4 is no JSON") as told:
        recognise.read(path)
    assert "\n" not in str(told.value)


def test_a_folder_of_two_tools_is_refused_and_tables_of_averages_are_passed_over(tmp_path):
    lines(tmp_path / "1.jsonl", verl_rows(1))
    pd.DataFrame({"id": [1], "acc": [0.5]}).to_csv(tmp_path / "acc.csv", index=False)
    assert recognise.read(tmp_path)[0].format == "verl"
    lines(tmp_path / "samples_a_2026-01-01T00-00-00.jsonl", lm_eval_rows())
    with pytest.raises(UserError, match="logs of several tools .verl: 1.jsonl; lm-eval"):
        recognise.read(tmp_path)
    assert recognise.read(tmp_path, format="verl")[0].format == "verl"


def test_golds_from_a_table(tmp_path):
    path = tmp_path / "a.csv"
    table_frame()[["item_id", "text"]].to_csv(path, index=False)
    with pytest.raises(UserError, match="give --gold FILE"):
        grade(recognise.read(path)[0])
    golds = recognise.read_golds(lines(tmp_path / "g.jsonl", gold_rows()))
    assert counts(path, gold=golds) == COUNTS
    columns = tmp_path / "g.csv"
    columns.write_text("id,answer,A,B,C\nq1,Femur,Radius,Femur,Ulna\nq2,A,Liver,Spleen,\n")
    [log] = recognise.read(path, gold=recognise.read_golds(columns))
    assert log.items.options[1] == ("Liver", "Spleen")
    assert "2 items are not in the table of gold answers" in log.notes
    columns.write_text("id,answer\nx,A\n")
    with pytest.raises(UserError, match="no item of .* is in the table"):
        recognise.read(path, gold=recognise.read_golds(columns))
    columns.write_text("id,answer\nx,A\nx,B\n")
    with pytest.raises(UserError, match="the id x is missing or there twice"):
        recognise.read_golds(columns)
    columns.write_text("id,said\nx,A\n")
    with pytest.raises(UserError, match="lacks a column gold"):
        recognise.read_golds(columns)


def test_readers_need_no_torch():
    import subprocess
    import sys

    code = "import sys, medrl_core.score.logs.recognise; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
