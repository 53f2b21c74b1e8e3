"""Rollouts of medrl as a log like the others."""

from __future__ import annotations

import pandas as pd
import pytest

from made_rollouts import rollouts
from medrl_core.sample.rollouts import COLUMNS, RolloutStore
from medrl_core.score.logs import recognise
from medrl_core.score.logs.grading import grade
from medrl_core.score.statistics import per_item


def keep(folder, *groups):
    """A folder with made-up rollouts."""
    more = {"seed": 0, "text": "said", "n_tokens": 1, "logprob": -1.0, "model": "m"}
    rows = [more | row for group in groups for row in group]
    RolloutStore(folder).append([{name: row[name] for name in COLUMNS} for row in rows])
    return folder


def test_a_folder_and_its_file_give_the_items_that_statistics_give(tmp_path):
    folder = keep(tmp_path / "run", rollouts("i1", "A", ["A", "B", None]),
                  rollouts("i2", "B", ["B", "B", "A"], n_options=3))  # fmt: skip
    [log] = recognise.read(folder)
    graded = grade(log)
    assert graded.compared == 8 and graded.differing.empty
    ours = per_item(graded.rollouts)
    theirs = per_item(pd.read_parquet(folder / "rollouts/part-00000.parquet"))
    same = ["n", "c", "greedy", "n_options", "no_answer", "gold", "image_id", "dataset"]
    pd.testing.assert_frame_equal(ours[same], theirs[same], check_dtype=False)
    RolloutStore(folder).compact()
    assert len(recognise.read(folder / "rollouts.parquet")[0].completions) == 8


def test_models_and_formats_are_logs_of_their_own(tmp_path):
    folder = keep(tmp_path, rollouts("i1", "A", ["A"]), rollouts("i1", "A", ["A"], model_hash="h2"),
                  rollouts("i2", "x", ["x"], gold="x", n_options=0, answer_format="open"))  # fmt: skip  # noqa: E501
    logs = recognise.read(folder)
    assert len(logs) == 3
    opened = next(log for log in logs if "open items" in log.notes[0])
    assert grade(opened).rollouts.n_options.tolist() == [0, 0]


@pytest.mark.parametrize("stored", [True, False])
def test_a_verdict_that_does_not_follow_from_the_answer_is_found(tmp_path, stored):
    row = rollouts("i1", "A", ["A"], gold="A" if not stored else "B")
    for one in row:
        one["correct"] = stored
    graded = grade(recognise.read(keep(tmp_path, row))[0])
    assert len(graded.differing) == 2
