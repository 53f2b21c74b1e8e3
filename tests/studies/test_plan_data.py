"""The data that parameters name: what a run is made of, what is missing, and what is fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from medrl.studies import parameters, plan
from medrl_core.data import medmnist
from medrl_core.errors import UserError


@pytest.fixture(autouse=True)
def clone(tmp_path, monkeypatch):
    """A folder of its own with MedMNIST files of wrong bytes, and no benchmarks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDMNIST_ROOT", "images")
    monkeypatch.delenv("VQA_ROOT", raising=False)
    Path("images").mkdir()
    for name in ("bloodmnist", "dermamnist"):
        Path("images", f"{name}.npz").write_text(name)


def asked(notebook: str = "04_rl", **values) -> parameters.Common:
    return parameters.check(notebook, values)


def lacking(*groups: str, **values) -> list[str]:
    return plan.lacking(asked(groups=list(groups), **values))


def test_drawn_groups_need_no_file():
    assert lacking("drawn:chest film", "books:head CT") == []
    assert plan.data_files(asked(init="x")) == {}


def test_a_medmnist_file_is_missing_wrong_or_allowed_by_name():
    strips, single = "strips:bloodmnist:chest-film", "medmnist:dermamnist"
    assert lacking("medmnist:pathmnist") == ["file of pathmnist: medrl data fetch pathmnist"]
    first, second = lacking(strips, single)
    assert "bloodmnist" in first and "dermamnist" in second
    (left,) = lacking(strips, single, allow=["bloodmnist"])
    assert left == second
    assert lacking(strips, single, allow=["bloodmnist", "dermamnist"]) == []


def test_the_same_set_in_two_groups_is_asked_for_once():
    groups = ["strips:bloodmnist:chest-film", "strips:bloodmnist:backward", "medmnist:bloodmnist"]
    assert len(lacking(*groups)) == 1


@pytest.mark.parametrize(
    ("notebook", "name"),
    [("04_rl", "groups"), ("04_rl", "controls_on"), ("05_transfer", "train_on")],
)
def test_each_parameter_of_groups_is_looked_at(notebook, name):
    values = asked(notebook, **{name: ["mine.csv", "medmnist:pathmnist"]})
    assert plan.lacking(values) == [
        "file mine.csv (groups.0)", "file of pathmnist: medrl data fetch pathmnist"
    ]  # fmt: skip
    Path("mine.csv").write_text("question,answer,split\nIs it?,yes,train\n")
    assert plan.lacking(values) == ["file of pathmnist: medrl data fetch pathmnist"]
    assert list(plan.data_files(values)) == ["mine.csv"]


def test_a_single_group_that_towers_are_trained_on_is_looked_at():
    values = asked("01_vision", train_on="mine.csv")
    assert plan.lacking(values) == ["file mine.csv (groups.0)"]
    values = asked("01_vision", train_on="medmnist:bloodmnist")
    assert list(plan.data_files(values)) == ["images/bloodmnist.npz"]


def test_own_items_that_name_no_split_are_refused_where_a_run_trains_on_them():
    Path("mine.csv").write_text("question,answer\nIs it?,yes\n")
    (said,) = lacking("mine.csv")
    assert "mine.csv does not say which of its items are for train" in said
    assert plan.lacking(asked("05_transfer", train_on=["mine.csv"])) == [said]
    assert plan.lacking(asked("05_transfer", groups=["mine.csv"])) == []  # asked, not trained on
    assert plan.lacking(asked("02_support", groups=["mine.csv"])) == []


def test_a_source_at_the_hub_is_pinned_and_no_file():
    assert lacking(f"owner/name@{'0' * 40}") == []
    assert lacking("owner/name") == ["file owner/name (groups.0)"]


def test_a_benchmark_is_known_and_in_its_folder(monkeypatch):
    assert lacking("vqa:VQA-RAD") == [
        "items of VQA-RAD: set VQA_ROOT to the folder of the benchmarks"
    ]
    assert plan.lacking(asked("07_vqa")) == []  # the notebook says "not run"
    (said,) = lacking("vqa:VQARAD")
    assert "no benchmark 'VQARAD'" in said
    monkeypatch.setenv("VQA_ROOT", "images")
    (said,) = lacking("vqa:VQA-RAD")
    assert "images contains none of VQA-RAD" in said
    Path("images/vqa_rad.jsonl").write_text("{}")
    assert lacking("vqa:VQA-RAD") == []
    assert "images/vqa_rad.jsonl" in plan.data_files(asked(groups=["vqa:VQA-RAD"]))


def test_sources_of_benchmarks_are_looked_at():
    values = asked("07_vqa", benchmarks=["mine"], sources={"mine": "mine.csv"})
    assert plan.lacking(values) == ["file mine.csv (sources.mine)"]
    Path("mine.csv").write_text("image,question,answer\n1.png,Is it?,yes\n")
    Path("1.png").write_text("a picture")
    assert plan.lacking(values) == []
    assert list(plan.data_files(values)) == ["1.png", "mine.csv"]


def test_what_is_missing_is_fetched_and_the_rest_is_one_line(monkeypatch):
    fetched = []
    monkeypatch.setattr(medmnist, "fetch", lambda name, root: fetched.append((name, root)))
    groups = ["medmnist:pathmnist", "strips:bloodmnist:chest-film", "mine.csv", "drawn:chest film"]
    with pytest.raises(UserError, match="before anything is made: file mine.csv") as caught:
        plan.provide(asked(groups=groups, allow=["bloodmnist"], root="images"))
    assert fetched == [("pathmnist", "images"), ("bloodmnist", "images")]
    assert "\n" not in str(caught.value)
    assert "file of pathmnist" in str(caught.value)
    plan.provide(asked(groups=["strips:bloodmnist:chest-film"], allow=["bloodmnist"]))
