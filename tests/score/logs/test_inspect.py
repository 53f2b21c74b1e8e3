"""Logs of inspect_ai: both zips, JSON, errors, several scorers, pictures, damaged files."""

from __future__ import annotations

import json

import pytest

import made_logs
from made_logs import COUNTS, PIXEL, counts, inspect_eval, inspect_header, inspect_samples
from medrl_core.errors import UserError
from medrl_core.score.logs import recognise
from medrl_core.score.logs.grading import grade


@pytest.mark.parametrize("zstd", [False, True])
def test_an_eval_file_of_either_compression(tmp_path, zstd):
    path = inspect_eval(tmp_path / "a.eval", inspect_header(), inspect_samples(), zstd)
    assert counts(path) == COUNTS
    [log] = recognise.read(path)
    assert (log.format, log.dataset, log.model) == ("inspect", "bones", "made/up")
    assert set(log.completions.temperature) == {0.7}
    assert sorted(log.lacks) == ["greedy", "images"]
    # The tool's scorer takes no text of an option, ours does: here both know it is right.
    assert grade(log).differing.empty


def test_a_json_file_and_one_whose_quotation_marks_lost_their_backslash(tmp_path):
    whole = inspect_header() | {"samples": inspect_samples(events=['File "a.py", line 3, in b'])}
    written = json.dumps(whole, indent=1)
    path = tmp_path / "a.json"
    path.write_text(written)
    assert counts(path) == COUNTS
    damaged = written.replace('\\"a.py\\", line', '\\"a.py", line')
    assert damaged != written
    path.write_text(damaged)
    assert counts(path) == COUNTS
    [log] = recognise.read(path)
    assert log.notes[0].startswith("12 quotation marks")
    path.write_text(damaged[: len(damaged) // 2])
    with pytest.raises(UserError, match="is not JSON at line"):
        recognise.read(path)


def test_an_error_is_missing_and_not_wrong(tmp_path):
    samples = inspect_samples()
    failed = next(one for one in samples if (one["id"], one["epoch"]) == ("q1", 2))
    failed |= {"error": {"message": "rate limit"}, "scores": {}, "output": {"choices": []}}
    path = inspect_eval(tmp_path / "a.eval", inspect_header(), samples)
    assert counts(path) == COUNTS | {"q1": (2, 2)}
    [log] = recognise.read(path)
    assert grade(log).missing == 1
    for one in samples:
        one |= {"error": {"message": "no network"}, "scores": {}}
    path = inspect_eval(tmp_path / "b.eval", inspect_header(), samples)
    with pytest.raises(UserError, match="every sample .* no network"):
        grade(recognise.read(path)[0])


def test_the_text_of_older_versions_and_of_parts(tmp_path):
    samples = inspect_samples()
    for one in samples:
        text = one["output"].pop("completion")
        content = [{"type": "reasoning", "reasoning": "<answer>D</answer>"},
                   {"type": "text", "text": text}]  # fmt: skip
        one["output"]["choices"] = [{"message": {"content": content}, "stop_reason": "max_tokens"}]
    path = inspect_eval(tmp_path / "a.eval", inspect_header(), samples)
    assert counts(path) == COUNTS
    assert set(recognise.read(path)[0].completions.finish_reason) == {"length"}


def test_a_picture_is_found_in_the_attachments_of_input_or_messages(tmp_path):
    samples = inspect_samples(attachments={"abc": PIXEL})
    image = {"type": "image", "image": "attachment://abc"}
    for one in samples:
        text = {"type": "text", "text": one["input"]}
        if one["id"] == "q1":
            one["input"] = [{"role": "user", "content": [text, image]}]
        elif one["id"] == "q2":  # as about version 0.3.100
            one["input"] = [
                {"role": "user", "content": [text, {"type": "text", "text": "(Image)"}]}
            ]
            one["messages"] = [{"role": "user", "content": [image, text]}]
    path = inspect_eval(tmp_path / "a.eval", inspect_header(), samples)
    items = recognise.read(path)[0].items.set_index("item_id")
    assert items.images["q1"] == items.images["q2"] == (PIXEL,) and items.images["q3"] == ()
    assert items.image_id["q1"] == items.image_id["q2"] != items.image_id["q3"]
    assert items.question["q2"] == "Which organ makes bile?"


def test_the_scorer_is_the_headline_or_the_one_named(tmp_path):
    samples = inspect_samples()
    for one in samples:
        one["scores"] = {"strict": {"value": 0}, "loose": {"value": 1.0}, "share": {"value": 0.5}}
    header = inspect_header()
    header["results"] = {"scores": [{"name": "strict"}, {"name": "loose"}, {"name": "share"}],
                         "headline": {"scorer": "loose"}}  # fmt: skip
    path = inspect_eval(tmp_path / "a.eval", header, samples)
    assert set(counts(path, "stored").values()) == {(3, 3)}
    assert set(counts(path, "stored", scorer="strict").values()) == {(3, 0)}
    assert any("scorers strict, loose, share" in note for note in recognise.read(path)[0].notes)
    shares = recognise.read(path, scorer="share")[0]
    assert any("neither right nor wrong" in note for note in shares.notes)
    with pytest.raises(UserError, match="no scorer 'other'"):
        recognise.read(path, scorer="other")


def test_several_letters_at_once_are_the_logs_to_judge(tmp_path):
    samples = inspect_samples()
    for one in samples:
        one["target"] = ["A", "B"]
        one["scores"] = {"choice": {"value": "C"}}
    path = inspect_eval(tmp_path / "a.eval", inspect_header(), samples)
    assert set(counts(path).values()) == {(3, 3)}


def test_free_answers_count_by_the_logs_scorer_and_any_target_counts_for_our_reading(tmp_path):
    samples = [one | {"choices": None, "target": ["femur", "thigh bone"]}
               for one in inspect_samples() if one["id"] == "q1"]  # fmt: skip
    for one, text in zip(samples, ["The femur.", "It is the thigh bone", "tibia"], strict=True):
        one["output"] = {"completion": text}
        one["scores"] = {"includes": {"value": "I"}}
    path = inspect_eval(tmp_path / "a.eval", inspect_header(), samples)
    assert counts(path) == {"q1": (3, 0)}
    assert counts(path, "read") == {"q1": (3, 2)}


def test_a_killed_run_says_so(tmp_path):
    path = inspect_eval(tmp_path / "a.eval", None, inspect_samples()[:5])
    [log] = recognise.read(path)
    assert any("ended as 'started'" in note for note in log.notes)
    ended = inspect_header(dataset={"sample_ids": ["q1", "q2", "q9"]}) | {"status": "error"}
    [log] = recognise.read(inspect_eval(tmp_path / "b.eval", ended, inspect_samples()))
    assert any("1 of 3 items of the run have no sample" in note for note in log.notes)


def test_two_copies_of_one_run_are_refused_and_two_runs_are_two_logs(tmp_path):
    inspect_eval(tmp_path / "a.eval", inspect_header(), inspect_samples())
    inspect_eval(tmp_path / "b.eval", inspect_header(), inspect_samples(), zstd=True)
    with pytest.raises(UserError, match="is a copy of"):
        recognise.read(tmp_path)
    greedy = [one for one in inspect_samples() if one["epoch"] == 1]
    inspect_eval(tmp_path / "b.eval", inspect_header(0.0, run_id="other"), greedy)
    first, second = recognise.read(tmp_path)
    assert first.lacks.keys() & {"greedy"} and second.lacks.keys() & {"samples"}


@pytest.mark.parametrize("missing", ["id", "epoch", "target", "input"])
def test_a_missing_field_is_named(tmp_path, missing):
    samples = inspect_samples()
    del samples[2][missing]
    samples[2] = {"id": "q3", "epoch": 9} | samples[2] if missing == "input" else samples[2]
    whole = inspect_header() | {"samples": samples}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(whole))
    with pytest.raises(UserError, match=f"sample 3 lacks the field '{missing}'"):
        recognise.read(path)


def test_damaged_members_are_refused(tmp_path):
    path = inspect_eval(tmp_path / "a.eval", inspect_header(), inspect_samples(), zstd=True)
    data = bytearray(path.read_bytes())
    place = data.find(b"samples/q1_epoch_1.json") + 60
    data[place] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(UserError, match="samples/q1_epoch_1.json is damaged"):
        recognise.read(path)
    assert made_logs.SORTED == sorted(COUNTS.values())  # noqa: SIM300
