"""The live run against the record: equal, near, or not to be compared."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from made_runs import write_run
from medrl.studies import agreement, plan
from medrl.studies import manifest as provenance
from medrl_core.errors import UserError
from medrl_core.report import results

KEYS = ["arm", "seed"]


def rows(*values: tuple) -> pd.DataFrame:
    return pd.DataFrame(values, columns=[*KEYS, "value", "low", "high"])


def test_only_rows_of_both_are_compared_and_by_hand():
    live = rows(("rl", 0, 0.50, 0.4, 0.6), ("sft", 0, 0.70, 0.6, 0.8), ("new", 0, 0.9, 0.8, 1.0))
    recorded = rows(
        ("rl", 0, 0.50, 0.4, 0.6), ("sft", 0, 0.50, 0.4, 0.6), ("rl", 1, 0.1, 0.0, 0.2)
    )
    found = agreement.compare(live, recorded, KEYS)
    assert (found.n, found.equal, found.inside) == (2, 1, 1)
    assert found.largest == pytest.approx(0.2)


def test_an_end_of_the_interval_counts_as_inside():
    found = agreement.compare(
        rows(("rl", 0, 0.6, 0, 1)), rows(("rl", 0, 0.5, 0.4, 0.6)), KEYS
    )
    assert (found.equal, found.inside) == (0, 1)


def test_nothing_in_common():
    found = agreement.compare(rows(("rl", 0, 0.5, 0, 1)), rows(("rl", 1, 0.5, 0, 1)), KEYS)
    assert found == agreement.Agreement(0, 0, 0, 0.0)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A live run of one seed, and a record of two seeds with one arm more."""
    live, recorded = tmp_path / "live", tmp_path / "recorded"
    settings = {"budget": 64, "study": "micro", "seeds": [0], "arms": ["rl"]}
    for folder, own, values in (
        (live, settings, rows(("rl", 0, 0.5, 0.4, 0.6))),
        (recorded, {**settings, "study": "more", "seeds": [0, 1], "arms": ["rl", "sft"]},
         rows(("rl", 0, 0.5, 0.4, 0.6), ("rl", 1, 0.7, 0.6, 0.8), ("sft", 0, 0.1, 0.0, 0.2))),
    ):
        write_run(folder, own["study"], "04_rl")
        manifest = provenance.read(folder).model_copy(update={"parameters": own})
        provenance.write(manifest, folder)
        found = results.Results(folder, notebook="04_rl", study=own["study"])
        found.table("seeds", values)
        found.save()
    return live, recorded


def test_the_sentence_names_the_numbers(folders):
    assert agreement.sentence(*folders, "seeds", KEYS) == (
        "Of the 1 values that this run and the record both hold, 1 are equal and 1 lie within the "
        "record's intervals; the largest difference is 0.0 points."
    )


def test_other_settings_are_not_compared(folders):
    live, recorded = folders
    manifest = provenance.read(live)
    other = manifest.model_copy(update={"parameters": {**manifest.parameters, "budget": 128}})
    provenance.write(other, live)
    assert agreement.sentence(live, recorded, "seeds", KEYS) == (
        "Not compared with the record: other budget."
    )


def test_a_missing_table_is_an_error(folders):
    with pytest.raises(UserError, match="has no table 'spread'"):
        agreement.sentence(*folders, "spread", KEYS)


@pytest.mark.parametrize("notebook", ["03_sft", "04_rl", "05_transfer", "06_boundary"])
def test_the_recorded_study_differs_from_micro_in_its_trainings_alone(notebook):
    one, three = (
        plan.resolve(plan.load_study(name), notebook).model_dump()
        for name in ("micro", "micro-seeds")
    )
    assert {name for name in one if one[name] != three[name]} <= agreement.MORE
