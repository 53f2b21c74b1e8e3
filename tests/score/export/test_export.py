"""Logs written as other tools write them: read again by our readers and by the tools' own."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from made_logs import (
    COUNTS,
    PIXEL,
    counts,
    inspect_eval,
    inspect_header,
    inspect_samples,
    table_frame,
    trl_frame,
)
from medrl.commands.export import export
from medrl_core.errors import UserError
from medrl_core.score.export.parts import parts
from medrl_core.score.logs import recognise
from medrl_core.score.logs.grading import grade

# Pythons that have the tools: inspect_ai needs an environment of its own, every-eval-ever Python
# 3.12. `make export-test` makes both and sets these.
INSPECT, EEE = (os.environ.get(f"MEDRL_{name}_PYTHON") for name in ("INSPECT", "EEE"))


@pytest.fixture
def log(tmp_path) -> Path:
    samples = inspect_samples()
    for one in samples:
        if one["id"] == "q1":
            part = [{"type": "text", "text": one["input"]}, {"type": "image", "image": PIXEL}]
            one["input"] = [{"role": "user", "content": part}]
    samples[0]["scores"]["choice"]["value"] = "I"  # so that two verdicts differ
    return inspect_eval(tmp_path / "log.eval", inspect_header(), samples)


@pytest.mark.parametrize("to", ["inspect", "eee", "lm-eval"])
def test_what_is_written_is_read_again(log, tmp_path, to):
    out = tmp_path / "out"
    assert all(path.is_file() for path in export(log, to, out))
    [again] = recognise.read(out)
    before = recognise.read(log)[0]
    assert counts(out) == COUNTS
    assert again.model == "made/up" and set(again.completions.temperature) == {0.7}
    for name in ("question", "options", "gold"):
        ours, theirs = (one.items.set_index("item_id")[name].to_dict() for one in (before, again))
        assert ours == theirs
    texts = [one.completions.set_index(["item_id", "sample_index"]).text.sort_index()
             for one in (before, again)]  # fmt: skip
    assert texts[0].tolist() == texts[1].tolist()


def test_both_verdicts_and_the_picture_are_in_an_inspect_log(log, tmp_path):
    [path] = export(log, "inspect", tmp_path / "out")
    assert counts(path, "stored", scorer="stored") == COUNTS | {"q1": (3, 2)}
    assert counts(path, "stored", scorer="medrl") == COUNTS
    assert recognise.read(path)[0].items.set_index("item_id").images["q1"] == (PIXEL,)
    with zipfile.ZipFile(path) as archive:
        assert {"header.json", "summaries.json", "reductions.json"} <= set(archive.namelist())


def test_greedy_answers_and_steps_are_files_of_their_own(tmp_path):
    frame = table_frame().assign(temperature=0.7)
    greedy = frame.drop_duplicates("item_id").assign(temperature=0)
    path = tmp_path / "a.csv"
    pd.concat([frame, greedy]).to_csv(path, index=False)
    names = [path.name for path in export(path, "inspect", tmp_path / "out")]
    assert names == ["a_csv_sampled.eval", "a_csv_greedy.eval"]
    for step in (1, 2):
        trl_frame(step).to_parquet(tmp_path / f"completions_{step:05d}.parquet")
    found = parts(grade(recognise.read(tmp_path, format="trl")[0]))
    assert [part.name[-19:] for part in found] == ["_step000001_sampled", "_step000002_sampled"]


def test_a_hub_data_set_has_rows_pictures_a_card_and_croissant(log, tmp_path):
    data, card, croissant = export(log, "hf", tmp_path / "out", "cc-by-4.0")
    frame = pd.read_parquet(data)
    assert len(frame) == 12 and frame.correct.sum() == 6 and frame.stored_verdict.sum() == 5
    assert frame.image[0]["bytes"].startswith(b"\x89PNG")
    text = card.read_text()
    assert text.startswith("---\nlicense: cc-by-4.0\n") and "12 answers to 4 questions" in text
    told = json.loads(croissant.read_text())
    assert {one["name"] for one in told["recordSet"][0]["field"]} == set(frame.columns) - {"image"}


def test_a_hub_data_set_loads_with_the_hubs_own_packages(log, tmp_path):
    datasets = pytest.importorskip("datasets")
    hub = pytest.importorskip("huggingface_hub")
    data, card, _ = export(log, "hf", tmp_path / "out")
    loaded = datasets.load_dataset(str(data.parent.parent), cache_dir=str(tmp_path / "cache"))
    rows = loaded["train"]
    assert rows.num_rows == 12 and rows[0]["image"].size == (1, 1)
    assert rows.features["options"].feature.dtype == "string"
    assert hub.DatasetCard.load(str(card)).data.license == "other"


@pytest.mark.skipif(not INSPECT, reason="no environment with inspect_ai: make export-test")
def test_inspect_reads_its_log(log, tmp_path):
    [path] = export(log, "inspect", tmp_path / "out")
    code = """if 1:
        import json, sys
        from inspect_ai.log import read_eval_log, read_eval_log_sample_summaries
        log = read_eval_log(sys.argv[1])
        scores = {s.name: s.metrics["accuracy"].value for s in log.results.scores}
        right = sum(s.scores["medrl"].value == "C" for s in log.samples)
        summaries = len(read_eval_log_sample_summaries(sys.argv[1]))
        print(json.dumps([log.status, len(log.samples), right, summaries, scores]))
    """
    done = subprocess.run([INSPECT, "-c", code, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    status, samples, right, summaries, scores = json.loads(done.stdout.splitlines()[-1])
    assert (status, samples, right, summaries) == ("success", 12, 6, 12)
    assert scores == {"medrl": 0.5, "stored": pytest.approx(5 / 12)}


@pytest.mark.skipif(not EEE, reason="no environment with every-eval-ever: make export-test")
def test_every_eval_ever_validates_its_records(log, tmp_path):
    out = tmp_path / "out"
    files = [str(path.relative_to(out)) for path in export(log, "eee", out)]
    words = [EEE, "-m", "every_eval_ever", "validate", *files]
    done = subprocess.run(words, cwd=out, capture_output=True, text=True)
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout


def test_refusals(log, tmp_path):
    with pytest.raises(UserError, match="--to x is unknown: use inspect, eee, hf, lm-eval"):
        export(log, "x", tmp_path / "out")
    with pytest.raises(UserError, match="is a file: name a folder"):
        export(log, "hf", log)
