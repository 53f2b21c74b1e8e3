"""Details of lighteval, of the nested and of the flat layout."""

from __future__ import annotations

import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from made_logs import COUNTS, QUESTIONS, counts, lighteval_rows
from medrl_core.errors import UserError
from medrl_core.score.logs import recognise

BY_INDEX = {str(at): COUNTS[one.id] for at, one in enumerate(QUESTIONS)}
TIME = "2026-01-01T00-00-00.000000"


def write(folder, rows):
    path = folder / "details" / "org" / "m" / TIME / f"details_bones|0_{TIME}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_samples_are_read_again_whatever_the_order_of_rows(tmp_path):
    path = write(tmp_path, lighteval_rows())
    told = {"config_general": {"model_name": "org/m", "model_config": {
        "generation_parameters": {"temperature": 0.6}}}}  # fmt: skip
    place = tmp_path / "results" / "org" / "m" / f"results_{TIME}.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(told))
    assert counts(path) == BY_INDEX
    [log] = recognise.read(path)
    assert (log.dataset, log.model) == ("bones|0", "org/m")
    assert set(log.completions.temperature) == {0.6}
    assert log.items.options[0] == ("Knie", "Hüfte", "日本")  # bare letters: those of the prompt


def test_log_likelihoods(tmp_path):
    rows = [
        {"doc": row["doc"] | {"choices": [f" {text}" for text in one.options]},
         "model_response": {"text": [], "logprobs": [-1.0, -0.2, -3.0][: len(one.options)]},
         "metric": {"acc": int(one.gold == "B")}}
        for row, one in zip(lighteval_rows(), QUESTIONS[::-1], strict=True)
    ]  # fmt: skip
    path = write(tmp_path, rows)
    assert counts(path) == {str(at): (1, one.gold == "B") for at, one in enumerate(QUESTIONS)}
    assert counts(path, "stored") == counts(path)


def test_free_answers_and_several_golds(tmp_path):
    doc = {"id": "0", "query": "Name it", "choices": ["femur", "thigh bone"], "gold_index": [0, 1],
           "num_samples": 2}  # fmt: skip
    said = {"text": ["<answer>Thigh bone</answer>", "<answer>ulna</answer>"], "logprobs": []}
    path = write(tmp_path, [{"doc": doc, "model_response": said, "metric": {"avg": 0.5}}])
    assert counts(path) == {"0": (2, 1)}
    assert recognise.read(path)[0].items.options[0] is None


def test_samples_at_temperature_0_that_differ_are_sampled(tmp_path):
    path = write(tmp_path, lighteval_rows())
    place = tmp_path / "results" / f"results_{TIME}.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps({"config_general": {"generation_parameters": {"temperature": 0}}}))
    [log] = recognise.read(path)
    assert not log.completions.greedy.any()
    assert any("says temperature 0, yet" in note for note in log.notes)


def test_flat_columns_of_older_versions(tmp_path):
    frame = pd.DataFrame([
        {"example": one.text, "full_prompt": one.prompt, "predictions": str(one.samples),
         "choices": one.options, "gold": [one.gold_text], "gold_index": [one.index],
         "metrics": {"em": 0.0}} for one in QUESTIONS
    ])  # fmt: skip
    path = tmp_path / "details_bones_2024-01-01T00-00-00.parquet"
    frame.to_parquet(path)
    assert counts(path) == BY_INDEX


def test_a_row_without_texts_and_likelihoods_is_refused(tmp_path):
    rows = lighteval_rows()
    rows[1]["model_response"] = {"text": [], "logprobs": []}
    with pytest.raises(UserError, match="row 1 has neither texts nor"):
        recognise.read(write(tmp_path, rows))
