"""Runs of VLMEvalKit: one file a sample, copies, rotations, lucky verdicts, odd cells."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest

from made_logs import COUNTS, QUESTIONS, counts, vlm_run
from medrl_core.errors import UserError
from medrl_core.score.logs import recognise
from medrl_core.score.logs.grading import grade

BY_INDEX = {str(at): COUNTS[one.id] for at, one in enumerate(QUESTIONS)}


@pytest.fixture
def runs(tmp_path):
    model = tmp_path / "Made_Up-1B"
    for sample in range(3):
        vlm_run(model / f"T2026010{sample + 1}-000000", sample)
    return model


def test_run_folders_are_samples(runs):
    assert counts(runs) == BY_INDEX
    [log] = recognise.read(runs)
    assert (log.model, log.dataset) == ("Made_Up-1B", "Bones")
    assert "3 run folders count as 3 samples an item" in log.notes
    assert log.completions.stored.notna().all() and "temperature" in log.lacks
    assert grade(log).compared == 12


def test_one_file_is_one_sample_and_its_judged_file_has_the_verdicts(runs):
    path = min(runs.glob("*/Made_Up-1B_Bones.xlsx"))
    assert all(n == 1 for n, _ in counts(path).values())
    assert counts(path, "stored") == counts(path)
    judged = min(runs.glob("*/*_result.xlsx"))
    assert counts(judged, "stored") == counts(path)


def test_copies_of_a_run_are_refused(runs):
    shutil.copytree(runs / "T20260101-000000", runs / "T20260109-000000")
    with pytest.raises(UserError, match="T20260109.*is a copy of .*T20260101"):
        recognise.read(runs)


def test_several_prediction_columns_are_samples(tmp_path):
    rows = [
        {"index": at, "question": one.text, **dict(zip("ABC", one.options, strict=False)),
         "answer": one.gold, **{f"prediction_{i}": text for i, text in enumerate(one.answers)}}
        for at, one in enumerate(QUESTIONS)
    ]  # fmt: skip
    path = tmp_path / "M_Bones.xlsx"
    pd.DataFrame(rows).to_excel(path, index=False)
    assert counts(path) == BY_INDEX


@pytest.mark.parametrize("ending", ["tsv", "json", "columns.json"])
def test_other_file_formats(runs, tmp_path, ending):
    frame = pd.read_excel(min(runs.glob("*/Made_Up-1B_Bones.xlsx")), keep_default_na=False)
    path = tmp_path / f"M_Bones.{ending}"
    if ending == "tsv":
        frame.to_csv(path, sep="\t", index=False)
    elif ending == "json":
        path.write_text(json.dumps(frame.to_dict("records")))
    else:
        path.write_text(json.dumps(frame.astype(str).to_dict()))
    assert {n for n, _ in counts(path).values()} == {1}
    assert sum(right for _, right in counts(path).values()) == 3


def test_rotated_options_are_no_samples(tmp_path):
    path = vlm_run(tmp_path / "Made_Up-1B" / "T1", 0, judged=False)
    frame = pd.read_excel(path)
    turned = frame.assign(index=frame["index"] + 1_000_000, A=frame.B, B=frame.A, prediction="B")
    for extra in ({}, {"g_index": [*frame["index"], *frame["index"]]}):
        pd.concat([frame, turned]).assign(**extra).to_excel(path, index=False)
        assert all(n == 1 for n, _ in counts(path).values())
        assert recognise.read(path)[0].notes[0].startswith("4 rows repeat an item")
    frame.assign(index=frame["index"] + 3_000_000).to_excel(path, index=False)
    assert len(counts(path)) == 4  # large ids alone are no rotations


def test_a_verdict_of_an_option_drawn_at_random_does_not_count(runs):
    judged = sorted(runs.glob("*/*_result.xlsx"))[2]
    frame = pd.read_excel(judged)
    frame.loc[3, "log"] = "Failed to predict, thus randomly generate one. "
    frame.loc[3, "hit"] = 1
    frame.to_excel(judged, index=False)
    assert counts(runs) == BY_INDEX
    [log] = recognise.read(runs)
    assert log.completions.stored.isna().sum() == 1
    assert any("drawn at random" in note for note in log.notes)


def test_odd_cells(tmp_path):
    frame = pd.DataFrame({
        "index": [7, 8, 9], "question": ["?"] * 3, "A": [1, "NA", "yes"], "B": [2.5, "None", "no"],
        "C": ["", "", float("nan")], "answer": ["A", "B", "A"], "prediction": [1, "NA", "x" * 32767],  # noqa: E501
    })  # fmt: skip
    path = tmp_path / "M_Odd.xlsx"
    frame.to_excel(path, index=False)
    [log] = recognise.read(path)
    assert log.items.options.tolist() == [("1", "2.5"), ("NA", "None"), ("yes", "no")]
    assert log.completions.text[:2].tolist() == ["1", "NA"]
    assert any("as long as a cell can be" in note for note in log.notes)
    assert counts(path) == {"7": (1, 1), "8": (1, 0), "9": (1, 0)}


def test_two_models_are_two_logs_and_faults_are_named(runs, tmp_path):
    other = vlm_run(tmp_path / "Other" / "T1", 0, judged=False)
    other.rename(other.with_name("Other_Bones.xlsx"))
    assert [log.model for log in recognise.read(tmp_path)] == ["Made_Up-1B", "Other"]
    path = tmp_path / "x.xlsx"
    pd.DataFrame({"index": [1, 1], "question": "?", "prediction": "A"}).to_excel(path, index=False)
    with pytest.raises(UserError, match="index 1 is there twice"):
        recognise.read(path)
    pd.DataFrame({"index": [1], "said": "A"}).to_excel(path, index=False)
    with pytest.raises(UserError, match="lacks the column 'prediction'"):
        recognise.read(path, format="vlmevalkit")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(UserError, match="cannot be read"):
        recognise.read(path)
