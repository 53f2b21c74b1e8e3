"""Plain tables: names of columns, counts, wide tables, odd values."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from made_logs import COUNTS, QUESTIONS, counts, lines, table_frame
from medrl_core.errors import UserError
from medrl_core.score.logs import recognise
from medrl_core.score.logs.plain_table import split_options


@pytest.mark.parametrize("ending", ["csv", "tsv", "xlsx", "parquet", "jsonl", "json"])
def test_file_formats(tmp_path, ending):
    path, frame = tmp_path / f"a.{ending}", table_frame()
    if ending == "csv":
        frame.to_csv(path, index=False, encoding="utf-8-sig")
    elif ending == "tsv":
        frame.to_csv(path, index=False, sep="\t")
    elif ending == "xlsx":
        frame.to_excel(path, index=False)
    elif ending == "parquet":
        frame.to_parquet(path)
    elif ending == "jsonl":
        lines(path, json.loads(frame.to_json(orient="records")))
    else:
        path.write_text(frame.to_json(orient="records"))
    assert counts(path) == COUNTS == counts(path, "stored")


def test_other_names_and_text_or_verdict_alone(tmp_path):
    frame = table_frame().rename(columns={"item_id": "qid", "text": "Response", "correct": "Hit",
                                          "gold": "answer", "options": "choices"})  # fmt: skip
    path = tmp_path / "a.csv"
    frame.drop(columns="Hit").to_csv(path, index=False)
    assert counts(path) == COUNTS
    frame[["qid", "Hit"]].to_csv(path, index=False)
    assert counts(path) == COUNTS
    [log] = recognise.read(path)
    assert {"texts", "gold", "options"} <= log.lacks.keys()


def test_counts_are_what_per_item_writes(tmp_path):
    path = tmp_path / "items.csv"
    rows = [{"item_id": item, "n": n, "correct": right} for item, (n, right) in COUNTS.items()]
    pd.DataFrame(rows).to_csv(path, index=False)
    assert counts(path) == COUNTS
    pd.DataFrame([{"item_id": "q", "n": 2, "correct": 3}]).to_csv(path, index=False)
    with pytest.raises(UserError, match="row 2 has no counts with 0 <= correct <= n"):
        recognise.read(path)


def test_a_column_a_sample(tmp_path):
    rows = [
        {"id": one.id, "gold": one.gold_text, **dict(zip("ABC", one.options, strict=False)),
         **{f"text_{i}": text for i, text in enumerate(one.samples, 1)}} for one in QUESTIONS
    ]  # fmt: skip
    path = tmp_path / "a.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    assert counts(path) == COUNTS


def test_greedy_rows_steps_models_and_data_sets_are_told_apart(tmp_path):
    frame = table_frame()
    path = tmp_path / "a.csv"
    greedy = frame.drop_duplicates("item_id").assign(temperature=0)
    pd.concat([frame.assign(temperature=0.7), greedy]).to_csv(path, index=False)
    [log] = recognise.read(path)
    assert log.completions.greedy.sum() == 4 and "greedy" not in log.lacks
    assert counts(path) == COUNTS
    pd.concat([frame.assign(step=0), frame.assign(step=5)]).to_csv(path, index=False)
    assert recognise.read(path)[0].steps == [0, 5]
    two = pd.concat([frame.assign(model="a"), frame.assign(model="b", correct=False, text="?")])
    two.to_csv(path, index=False)
    assert [log.model for log in recognise.read(path)] == ["a", "b"]
    pd.concat([frame.assign(task="x"), frame.assign(task="y")]).to_csv(path, index=False)
    assert len(counts(path)) == 8


def test_ids_and_verdicts_of_any_writing(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("item_id,correct\n7,True\n7.0,0\n007,yes\n8,1.0\n8,\n")
    assert counts(path) == {"7": (1, 1), "7.0": (1, 0), "007": (1, 1), "8": (1, 1)}
    rows = [{"item_id": 7, "correct": True}, {"item_id": 7.0, "correct": 0}]
    assert counts(lines(tmp_path / "b.jsonl", rows)) == {"7": (2, 1)}


def test_options_in_one_cell():
    assert split_options('["a", "b"]') == ["a", "b"]
    assert split_options("['a', 'b']") == ["a", "b"]
    assert split_options('{"A": "x", "B": "y"}') == ["x", "y"]
    assert split_options("A. x | B. y") == ["x", "y"]
    assert split_options("one text") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("item_id,text\na,b,c\n", "row 2 has 3 cells, the header 2"),
        ("item_id,text\n,b\n", "row 2 has no item_id"),
        ("item_id,text,text\na,b,c\n", "has the column 'text' twice"),
        ("item_id,text\n", "has no rows"),
    ],
)
def test_faults_are_named(tmp_path, text, said):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        recognise.read(path)


def test_a_gold_index_and_a_gold_that_is_no_option(tmp_path):
    path = tmp_path / "a.csv"
    frame = table_frame().assign(gold_index=[one.index for one in QUESTIONS for _ in range(3)])
    frame.drop(columns="gold").to_csv(path, index=False)
    assert counts(path) == COUNTS
    table_frame().replace({"gold": {"C": "Z"}}).to_csv(path, index=False)
    [log] = recognise.read(path)
    assert log.notes[-1] == "the gold answer of 1 items (first: q3) is none of their options"
    assert counts(path) == COUNTS  # by the verdicts of the log
