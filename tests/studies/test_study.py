"""Studies: what is read, what a run is made of, and that just what is stale runs again."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from conftest import ROOT, STUDY, write_notebook
from medrl.studies import execution, plan
from medrl.studies import manifest as provenance
from medrl_core import plain
from medrl_core.errors import UserError
from medrl_core.report import results

TOY = Path("notebooks/studies/toy.yaml")


@pytest.fixture(autouse=True)
def _fresh_hashes():
    plan.file_hash.cache_clear()


def execute(notebook: str, **overrides) -> Path:
    toy = plan.load_study("toy")
    values = plan.resolve(toy, notebook, overrides)
    folder = plan.run_folder(toy, notebook, values)
    execution.execute(toy, notebook, values, folder)
    return folder


@pytest.mark.parametrize("name", ["smoke", "micro", "medmnist", "paper"])
def test_each_committed_study_is_valid(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert plan.load_study(name).name == name


def test_a_study_outside_a_clone_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="top folder of the clone"):
        plan.load_study("micro")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: [", "toy.yaml is not YAML"),
        ("[1]", "must hold title, label and runs"),
        (STUDY + "extra: 1", "extra: extra inputs are not permitted"),
        (STUDY.replace("title: Toy", ""), "title: field required"),
        (STUDY.replace("06_boundary", "06_bondary"), "no notebook '06_bondary'"),
        (STUDY.replace("k: 4", "k: four"), "02_support: k = 'four' is refused"),
        (STUDY.replace("seed: 3", "sead: 3"), "no notebook of the study takes the default 'sead'"),
        (STUDY.replace('"run:02', '"run:04'), "needs run:04_support"),
        (STUDY.replace("some-model", '"run:06_boundary/x"'), "runs need each other"),
        (STUDY + "resources: {03_sft: {minutes: 1}}", "resources for 03_sft"),
    ],
)
def test_a_wrong_study_is_refused_in_one_line(toy, content, said):
    TOY.write_text(content)
    with pytest.raises(UserError, match=said) as caught:
        plan.load_study("toy")
    assert "\n" not in str(caught.value)


def test_an_unknown_study_is_answered_with_the_list(toy):
    with pytest.raises(UserError, match="no study 'tay'; did you mean 'toy'"):
        plan.load_study("tay")


def test_overrides_win_over_the_study_and_it_over_its_defaults(toy):
    loaded = plan.load_study("toy")
    usual = plan.resolve(loaded, "02_support")
    assert (usual.study, usual.seed, usual.k, usual.n_items) == ("toy", 3, 4, 128)
    assert plan.resolve(loaded, "02_support", {"k": 8, "seed": 5}).model_dump() == {
        **usual.model_dump(),
        "k": 8,
        "seed": 5,
    }
    with pytest.raises(UserError, match="--study"):
        plan.resolve(loaded, "02_support", {"study": "micro"})


def test_references_make_dependencies_and_become_paths(toy):
    given = {"init": "run:03_sft/models/sft", "rl": "run:04_rl"}
    values = plan.resolve(plan.load_study("toy"), "05_transfer", given)
    assert plan.dependencies(values) == ["03_sft", "04_rl"]
    told = plan.with_paths(values)
    assert (told["init"], told["rl"]) == ("runs/toy/03_sft/models/sft", "runs/toy/04_rl")


def test_a_run_of_other_parameters_gets_a_folder_of_its_own(toy):
    loaded = plan.load_study("toy")

    def folder(**overrides):
        return plan.run_folder(
            loaded, "02_support", plan.resolve(loaded, "02_support", overrides)
        ).as_posix()

    assert folder() == folder(k=4) == "runs/toy/02_support"
    assert folder(k=8).startswith("runs/toy/02_support@")
    assert len({folder(), folder(k=8), folder(k=16), folder(k=8, seed=1)}) == 4


def test_yaml_reads_numbers_with_an_exponent():
    assert plain.parse_yaml("[1e-4, -2.5e3, 1E+2, e4, 12]", "x") == [1e-4, -2500.0, 100, "e4", 12]


def test_yaml_is_data_never_code():
    with pytest.raises(UserError, match="x is not YAML"):
        plain.parse_yaml("!!python/object/apply:os.getcwd []", "x")


def test_a_notebook_uses_the_modules_it_imports_and_theirs(toy):
    write_notebook("02_support", "%matplotlib inline\nfrom medrl_core.sample import rollouts")
    names = {path.as_posix() for path in plan.core_files("02_support")}
    assert {name.split("medrl_core/")[1] for name in names} == {
        "errors.py",
        "sample/__init__.py",
        "sample/rollouts.py",
    }


def test_the_fingerprint_follows_contents_not_times(toy):
    loaded = plan.load_study("toy")
    model = Path("some-model")
    model.mkdir()
    (model / "weights").write_text("1")

    def fingerprint(notebook="02_support"):
        plan.file_hash.cache_clear()
        return plan.fingerprint(loaded, notebook, plan.resolve(loaded, notebook))

    first, first_after = fingerprint(), fingerprint("06_boundary")
    os.utime("notebooks/02_support.ipynb", (1, 1))
    os.utime(model / "weights", (1, 1))
    assert (fingerprint(), fingerprint("06_boundary")) == (first, first_after)
    (model / "weights").write_text("2")
    second, second_after = fingerprint(), fingerprint("06_boundary")
    assert {name for name in first if first[name] != second[name]} == {"some-model/weights"}
    assert {n for n in first_after if first_after[n] != second_after[n]} == {"run:02_support"}


def test_a_data_file_named_in_the_notebook_is_part_of_a_run(toy):
    Path("data").mkdir()
    Path("data/published.yaml").write_text("a: 1")
    write_notebook("02_support", 'rows = open("data/published.yaml")\nother = "data/missing.yaml"')
    loaded = plan.load_study("toy")
    parts = plan.fingerprint(loaded, "02_support", plan.resolve(loaded, "02_support"))
    assert [name for name in parts if name.startswith("data/")] == ["data/published.yaml"]


def test_medmnist_files_are_part_of_a_run(toy, monkeypatch):
    monkeypatch.setenv("MEDMNIST_ROOT", "images")
    Path("images").mkdir()
    for name in ("bloodmnist", "dermamnist", "pathmnist"):
        Path("images", f"{name}.npz").write_text(name)
    groups = ["strips:bloodmnist:chest-film", "medmnist:dermamnist", "drawn:chest film"]
    values = plan.resolve(plan.load_study("toy"), "00_data", {"groups": groups})
    assert list(plan.data_files(values)) == ["images/bloodmnist.npz", "images/dermamnist.npz"]
    named = {"groups": ["drawn:chest film"], "train_on": ["medmnist:pathmnist"]}
    values = plan.resolve(plan.load_study("toy"), "05_transfer", named)
    assert list(plan.data_files(values)) == ["images/pathmnist.npz"]


def changed_parts(notebook: str, values: dict, path: Path) -> list[str]:
    """The names in a fingerprint whose sums differ after a byte is added to a file."""
    loaded = plan.load_study("toy")
    found = []
    for _ in range(2):
        plan.file_hash.cache_clear()
        found.append(plan.fingerprint(loaded, notebook, plan.resolve(loaded, notebook, values)))
        path.write_bytes(path.read_bytes() + b" ")
    assert found[0].keys() == found[1].keys()
    assert not any("/" in name and Path(name).is_absolute() for name in found[0])
    return [name for name in found[0] if found[0][name] != found[1][name]]


def test_two_files_of_one_name_outside_the_clone_both_count(toy, tmp_path_factory):
    """Two bases with model.safetensors each: a change of either is seen, and named."""
    away = tmp_path_factory.mktemp("away")
    models = {}
    for name in ("model", "second"):
        (away / name).mkdir()
        (away / name / "model.safetensors").write_text(name)
        models[name] = str(away / name)
    for name in models:
        changed = changed_parts("02_support", models, away / name / "model.safetensors")
        assert changed == [f"{name}: model.safetensors"]


def test_the_base_of_an_adapter_is_part_of_a_run(toy, tmp_path_factory):
    away = tmp_path_factory.mktemp("away")
    (away / "base").mkdir()
    (away / "base/config.json").write_text("{}")
    (away / "adapter").mkdir()
    named = {"base_model_name_or_path": str(away / "base")}
    (away / "adapter/adapter_config.json").write_text(json.dumps(named))
    model = {"model": str(away / "adapter")}
    assert changed_parts("02_support", model, away / "base/config.json") == [
        "model, base: config.json"
    ]


def test_every_picture_that_an_item_names_is_part_of_a_run(toy, tmp_path_factory):
    """A table, its pictures, and a YAML whose pictures are in a folder of their own."""
    away = tmp_path_factory.mktemp("away")
    for name in ("data", "pictures"):
        (away / name).mkdir()
        (away / name / "1.png").write_bytes(b"one")
    (away / "data/q.csv").write_text("image,question,answer\n1.png,Is it?,yes\n")
    (away / "q.yaml").write_text("source: data/q.csv\nimages: pictures\n")
    write_notebook("07_vqa", "x = 1")
    for source, path, named in (
        ("data/q.csv", "data/1.png", "sources.VQA-RAD: 1.png"),
        ("data/q.csv", "data/q.csv", "sources.VQA-RAD: q.csv"),
        ("q.yaml", "pictures/1.png", "sources.VQA-RAD: pictures/1.png"),
    ):
        values = {"sources": {"VQA-RAD": str(away / source)}}
        assert changed_parts("07_vqa", values, away / path) == [named]
    values = {"groups": ["drawn:chest film", str(away / "q.yaml")]}
    changed = changed_parts("02_support", values, away / "pictures/1.png")
    assert changed == ["groups.1: pictures/1.png"]


def test_a_run_folder_is_complete_with_its_manifest(toy):
    folder = execute("02_support", k=8)
    assert results.read(folder)["numbers"]["k"]["value"] == 8
    assert (folder / "executed.ipynb").is_file()
    manifest = provenance.read(folder)
    assert manifest.command == "medrl run 02_support --study toy -p k=8"
    assert (manifest.study, manifest.label, manifest.seeds) == ("toy", "toy data", [3])
    assert manifest.data_hashes == {"toy": "d0"}
    assert manifest.sources["notebooks/02_support.ipynb"] == plan.file_hash(
        Path("notebooks/02_support.ipynb")
    )
    assert manifest.peak_memory_mb > 10
    left = {path.name for path in folder.parent.iterdir() if not path.name.endswith(".lock")}
    assert left == {folder.name}


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (
            "from medrl_core.errors import UserError\nraise UserError('no x; do y')",
            UserError,
            "do y",
        ),
        ("1 / 0", execution.RunFailed, "cell 4 raised ZeroDivisionError"),
        ("pass", UserError, "no results there"),
    ],
)
def test_a_failed_run_leaves_no_folder_and_the_old_one(toy, code, kind, said):
    folder = execute("02_support")
    before = (folder / "manifest.json").read_bytes()
    write_notebook("02_support", code)
    with pytest.raises(kind, match=said) as caught:
        execute("02_support")
    assert "\n" not in str(caught.value)
    assert (folder / "manifest.json").read_bytes() == before
    assert [path.name for path in folder.parent.iterdir() if "partial" in path.name] == []
    if "kept" in str(caught.value):
        assert Path("runs/.failed/toy/02_support/executed.ipynb").is_file()


def test_a_second_process_is_told_that_the_run_is_being_made(toy):
    Path("runs/toy").mkdir(parents=True)
    with FileLock("runs/toy/.02_support.lock"), pytest.raises(UserError, match="another process"):
        execute("02_support")


def test_a_second_study_is_told_that_one_is_being_made(toy):
    Path("runs").mkdir()
    with FileLock("runs/.snakemake.lock"), pytest.raises(UserError, match="a study is being made"):
        execution.snakemake(plan.load_study("toy"), ["all"])


def test_a_run_whose_upstream_is_missing_is_refused(toy):
    with pytest.raises(UserError, match="runs/toy/02_support is no finished run"):
        execute("06_boundary")


def _finished(said: str) -> list[str]:
    """Return the runs that said that they finished; the last says that all are there."""
    names = re.findall(r"^(\w+): finished in \d+ s; (\d) of 2 runs of the study toy", said, re.M)
    assert not names or names[-1][1] == "2"
    return [name for name, _ in names]


def test_just_what_is_stale_runs_again(toy):
    first, second = Path("runs/toy/02_support"), Path("runs/toy/06_boundary")

    def make_study():
        command = [sys.executable, "-m", "medrl.commands.main", "study", "toy"]
        return subprocess.run(command, capture_output=True, text=True)

    def made_again(change=lambda: None) -> set[str]:
        """Change something, make the study, and name the runs that were made."""
        before = {f: _made(f) for f in (first, second)}
        change()
        done = make_study()
        assert "Job stats" not in done.stderr and "Building DAG" not in done.stderr
        for name in _finished(done.stderr):
            assert done.stderr.count(f"{name}: finished in ") == 1
        assert done.returncode == 0, done.stderr
        return {folder.name for folder in before if _made(folder) != before[folder]}

    def edit(path, old, new):
        return lambda: Path(path).write_text(Path(path).read_text().replace(old, new))

    assert made_again() == {"02_support", "06_boundary"}
    assert made_again() == set()
    assert made_again(lambda: Path("notebooks/02_support.ipynb").touch()) == set()
    assert made_again(edit("notebooks/06_boundary.ipynb", "# Toy", "# My")) == {"06_boundary"}
    assert made_again(edit(TOY, "k: 4", "k: 8")) == {"02_support", "06_boundary"}
    assert results.read(first)["numbers"]["k"]["value"] == 8
    assert made_again(lambda: subprocess.run(["rm", "-r", second], check=True)) == {"06_boundary"}
    assert made_again(lambda: subprocess.run(["rm", "-r", ".snakemake"], check=True)) == set()

    before, good = _made(second), Path("notebooks/06_boundary.ipynb").read_text()
    write_notebook("06_boundary", "1 / 0")
    failed = make_study()
    assert failed.returncode == 1
    assert "06_boundary: cell 4 raised ZeroDivisionError" in failed.stderr
    assert _made(second) == before
    Path("notebooks/06_boundary.ipynb").write_text(good)
    assert made_again() == set()


def _made(folder: Path) -> int | None:
    path = folder / "manifest.json"
    return path.stat().st_mtime_ns if path.is_file() else None


def test_a_new_run_or_failure_makes_the_book_stale(toy):
    loaded = plan.load_study("toy")
    found = [plan.book_fingerprint(loaded, "student")]
    for path in ("runs/toy/02_support@01234567/manifest.json", "runs/.failed/toy/x/failure.json"):
        Path(path).parent.mkdir(parents=True)
        Path(path).write_text("{}")
        found.append(plan.book_fingerprint(loaded, "student"))
        assert found[-1] != found[-2]
    assert plan.book_fingerprint(loaded, "student") == found[-1]


def test_a_book_counts_as_built_when_it_is_whole_and_of_what_is_here(toy):
    loaded, sources = plan.load_study("toy"), execution.BOOK_SOURCES
    plan.BOOK.parent.mkdir(parents=True)

    def built() -> bool:
        plan.BOOK.touch()
        sources.write_bytes(execution.listed(plan.book_fingerprint(loaded, "student")))
        return kept("student")

    def kept(edition: str) -> bool:
        execution.mark_book(loaded, edition)
        return sources.is_file()

    assert not kept("student")
    assert built() and kept("student")
    plan.BOOK.unlink()
    assert not kept("student")
    assert built() and not kept("instructor")
    assert built()
    Path("runs/toy/02_support").mkdir(parents=True)
    Path("runs/toy/02_support/manifest.json").write_text("made again")
    assert not kept("student")
