"""Live runs of the twin in the columns of recorded ones."""

from __future__ import annotations

import pandas as pd
import pytest

from medrl_core.report import twin_runs
from medrl_core.report.grids import COLUMNS
from medrl_core.score.law import Law


def looks() -> pd.DataFrame:
    rows = []
    for run, (p, accs) in enumerate([(0.2, [0.0, 0.5, 0.9]), (1e-3, [0.1, 0.2, 0.15])]):
        for n, acc in zip((0, 256, 512), accs, strict=True):
            rows.append(
                {"run": run, "modality": f"m{run}", "seed": 100, "p": p, "n": n, "hits": 0,
                 "acc": acc, "words": 2, "first_right": 4 if run == 0 else None}
            )  # fmt: skip
    return pd.DataFrame(rows)


def test_runs_have_the_columns_of_recorded_ones():
    found = twin_runs.runs_of(looks(), 512)
    assert list(found) == list(COLUMNS)
    assert found.gain.tolist() == pytest.approx([0.9, 0.05])
    assert found.took_off.tolist() == [True, False]
    assert found.hits.tolist() == pytest.approx([102.4, 0.512])
    assert twin_runs.runs_of(None, 512).empty


def test_a_law_needs_two_runs_that_took_off():
    assert twin_runs.fitted(looks(), 0.2) is None
    assert twin_runs.fitted(None, 0.2) is None


def test_the_readers_dial_is_told_with_the_laws_chance():
    law = Law(0.2, "run", 0.01, 100.0, 0.1, 0.0)
    said = twin_runs.beside(looks()[looks().run == 0], law, 0.25, 512)
    assert "q = 0.25 gives p = 0.2: 102 right completions" in said
    assert "100%" in said
    assert said.endswith("1 of 1 runs took off.")


def test_no_seeds_no_runs():
    assert twin_runs.law_looks_of([], 512) is None
