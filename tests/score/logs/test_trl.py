"""Completions of TRL: steps are policies, the accuracy reward gives verdicts, golds may lack."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from made_logs import COUNTS, SORTED, counts, trl_frame
from medrl_core.errors import UserError
from medrl_core.score.logs import recognise
from medrl_core.score.logs.grading import grade


def write(folder, *frames):
    (folder / "completions").mkdir(exist_ok=True)
    for frame in frames:
        frame.to_parquet(folder / f"completions/completions_{frame.step.iloc[0]:05d}.parquet")
    return folder


def test_chats_with_ids_and_golds(tmp_path):
    write(tmp_path, trl_frame(1), trl_frame(3))
    assert counts(tmp_path) == COUNTS == counts(tmp_path, "stored")
    [log] = recognise.read(tmp_path)
    assert log.steps == [1, 3] and log.scorer == "accuracy_reward"
    assert any("steps between" in note for note in log.notes)
    assert counts(tmp_path / "completions/completions_00001.parquet") == COUNTS


def test_plain_texts_without_golds_take_them_from_what_the_log_calls_right(tmp_path):
    frame = trl_frame(1, gold=False, chat=False)
    # The reward takes no text of an option: q2's third answer, "Liver", is A and counts.
    frame.loc[5, "accuracy_reward"] = 0.0
    write(tmp_path, frame)
    assert sorted(counts(tmp_path).values()) == SORTED
    graded = grade(recognise.read(tmp_path)[0])
    assert len(graded.differing) == 1 and graded.differing.parsed.iloc[0] == "A"
    assert any("gold answers of 3 items" in note for note in graded.notes)
    assert sorted(counts(tmp_path, "stored").values()) == [(3, 0), (3, 1), (3, 1), (3, 3)]


def test_without_a_reward_of_0_and_1_there_are_no_verdicts(tmp_path):
    frame = trl_frame(1).assign(accuracy_reward=lambda rows: rows.accuracy_reward * 2)
    frame.loc[0, "format_reward"] = np.nan
    write(tmp_path, frame)
    [log] = recognise.read(tmp_path)
    assert "verdicts" in log.lacks and log.notes[0].startswith("none of the reward columns")
    assert counts(tmp_path) == COUNTS
    with pytest.raises(UserError, match="has no column 'other'"):
        recognise.read(tmp_path, scorer="other")
    named = trl_frame(1).rename(columns={"accuracy_reward": "f1"})
    write(tmp_path, named)
    assert counts(tmp_path, "stored", scorer="f1") == COUNTS


def test_steps_that_are_mixed_or_there_twice_are_refused(tmp_path):
    write(tmp_path, pd.concat([trl_frame(1), trl_frame(2)]))
    with pytest.raises(UserError, match="mixes steps"):
        recognise.read(tmp_path)
    write(tmp_path, trl_frame(1))
    trl_frame(1).to_parquet(tmp_path / "completions/completions_00009.parquet")
    with pytest.raises(UserError, match="two files .* hold step 1"):
        recognise.read(tmp_path)
