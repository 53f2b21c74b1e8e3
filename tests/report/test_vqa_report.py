"""What answers on benchmarks tell, on rollouts made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from medrl_core.report import vqa
from medrl_core.score.statistics import SCORE_COLUMNS


def test_answers_that_cannot_be_read_are_no_common_answer():
    rows = pd.DataFrame({"sample_index": -1, "gold": ["a", "b", "a", "b"]}, index=range(4))
    told = vqa._told(rows.assign(parsed=["x", "y", "x", None]))
    assert told["answered"] == 0.75 and told["commonest"] == pytest.approx(2 / 3)
    assert told["information"] == pytest.approx(1.0)  # x says a; y and silence say b
    assert np.isnan(vqa._told(rows.assign(parsed=None))["commonest"])


def test_without_files_it_says_so():
    none = pd.DataFrame(columns=[*SCORE_COLUMNS, "benchmark", "questions", "panel", *vqa.TOLD])
    assert vqa.finding(none, 16).startswith("Not run")
    assert vqa.closed(none) == {} and vqa.narrow(none, 16).empty
