"""Records hold numbers, texts and drawn figures of a study, never its images or models."""

from __future__ import annotations

import pytest

from made_runs import write_manifest
from medrl.studies import plan, records
from medrl_core.errors import UserError


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = plan.Study(name="tiny", path="tiny.yaml", title="T", label="l", runs={"00_data": {}})
    folder = tmp_path / "runs/tiny/00_data"
    (folder / "figures").mkdir(parents=True)
    (folder / "models").mkdir()
    for name in ("results.json", "executed.ipynb", "models/x.safetensors",
                 "figures/a.csv", "figures/a.svg", "figures/a.png"):
        (folder / name).write_text(name)
    write_manifest(folder, "tiny", "00_data")
    return made


def test_a_record_holds_what_it_should_and_nothing_else(study):
    (folder,) = records.keep(study)
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {"results.json", "manifest.json", "figures/a.csv", "figures/a.svg"}


def test_an_old_record_is_replaced_whole(study):
    (folder,) = records.keep(study)
    (folder / "old.txt").write_text("old")
    records.keep(study)
    assert not (folder / "old.txt").exists()


def test_a_missing_run_is_named_and_nothing_is_written(study, tmp_path):
    wanting = study.model_copy(update={"runs": {"00_data": {}, "04_rl": {}}})
    with pytest.raises(UserError, match="no run of 04_rl: make them by medrl study tiny"):
        records.keep(wanting)
    assert not (tmp_path / "data").exists()
