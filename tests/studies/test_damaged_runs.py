"""Damaged runs and what people write: results, manifests, notebooks, studies, claims, the book.

Files without a checksum of their own are compared with a hash that is kept elsewhere.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import small_book
from conftest import ROOT
from damaging import check, cuts, flips, of_one_form, refused
from made_runs import write_manifest, write_rollouts, write_run
from medrl.book import assembly, listed, measurements, scoreboard
from medrl.studies import clone, execution, plan
from medrl.studies import manifest as provenance
from medrl_core.errors import UserError
from medrl_core.report import results

KEPT = ["results.json", "executed.ipynb", "rollouts.parquet", "figures/passk.csv"]


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.fault(
    "Damaged files",
    "results, executed notebook, rollouts or figure of a finished run: cut off, or any bit flipped",
    "refused before the book or another run uses it, by the hash in the run's manifest",
)
def test_files_of_a_run_are_compared_with_its_manifest(tmp_path, monkeypatch, tried, name):
    monkeypatch.chdir(tmp_path)
    folder = Path("runs/toy/02_support")
    monkeypatch.chdir(ROOT)  # what the chapters ask for
    write_run(tmp_path / folder, "toy", "02_support")
    write_rollouts(tmp_path / folder, {"blood": [[1, 0]]})
    write_manifest(tmp_path / folder, "toy", "02_support")
    monkeypatch.chdir(tmp_path)
    times = tried.times(20, 200)
    assert check(folder / name, lambda: provenance.verify(folder), tried, times) == times + 9


@pytest.mark.fault(
    "Damaged files", "a run's results.json, one bit flipped, read without its manifest",
    "refused, or another value of the right type; that one the manifest finds",
)  # fmt: skip
def test_results_have_their_form(tmp_path, monkeypatch, tried):
    monkeypatch.chdir(ROOT)
    write_run(tmp_path, "toy", "02_support")
    path, whole = tmp_path / "results.json", results.read(tmp_path)
    check(path, lambda: results.read(tmp_path), tried, tried.times(300, 3000),
          same=lambda found, _: found.keys() == whole.keys())  # fmt: skip


@pytest.mark.fault(
    "Damaged files", "manifest.json or failure.json of a run: cut off, or one bit flipped",
    "refused in one line that names the file, or another letter or digit of a note",
)  # fmt: skip
def test_manifests(tmp_path, tried):
    write_manifest(tmp_path, "toy", "02_support")
    times = tried.times(100, 1000)
    check(tmp_path / "manifest.json", lambda: provenance.verify(tmp_path), tried, times,
          same=of_one_form)  # fmt: skip
    failure = provenance.Failure(error="x", command="y", started="z", wall_seconds=1.0)
    (tmp_path / "failure.json").write_text(failure.model_dump_json())
    check(tmp_path / "failure.json", lambda: provenance.read_failure(tmp_path), tried, times,
          same=of_one_form)  # fmt: skip


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ("data/claims.yaml", scoreboard.read_claims),
        ("data/published.yaml", listed.published),
        ("data/recorded.yaml", listed.recorded),
        ("data/faults.json", measurements.read),
        ("notebooks/studies/smoke.yaml", lambda path: plan.load_study(str(path))),
        ("_config.yml", lambda path: assembly.configuration(clone.read_text(path))),
    ],
)
@pytest.mark.fault(
    "Damaged files", "claims, published numbers, a study or the book's settings: one bit flipped",
    "refused in one line that names the file, or another value of the right type",
)  # fmt: skip
def test_files_that_people_write(tmp_path, monkeypatch, tried, source, read):
    monkeypatch.chdir(ROOT)
    path = tmp_path / Path(source).name
    shutil.copyfile(source, path)
    # Cut between two entries, a list of entries is a shorter one: git has the whole one.
    check(path, lambda: read(path), tried, tried.times(40, 400), cut=False, same=of_one_form)
    with tried(2):
        for content in (b"", b"\0\xff"):
            path.write_bytes(content)
            with pytest.raises(UserError, match=path.name):
                read(path)


@pytest.mark.fault(
    "Damaged files", "a notebook, cut off, empty or one bit flipped, before it is run or shown",
    "refused in one line that names the file, or another letter in a cell",
)  # fmt: skip
def test_notebooks(tried, toy):
    path = Path("notebooks/02_support.ipynb")
    check(path, lambda: clone.read_notebook(path), tried, tried.times(60, 600), same=of_one_form)
    with tried():
        path.write_bytes(path.read_bytes()[:-9])
        assert "02_support.ipynb is no whole notebook" in refused(
            "run", "02_support", "--study", "toy"
        )
        assert not [file for file in Path("runs").rglob("*") if file.is_file()]


@pytest.mark.fault(
    "Damaged files", "`medrl run` and `medrl study` with a study that is cut off or no text",
    "one line with the file; nothing is made",
)  # fmt: skip
def test_commands_refuse_a_damaged_study(toy, tried):
    path = Path("notebooks/studies/toy.yaml")
    whole = path.read_bytes()
    for damaged in (b"", whole[:25], b"\xff" + whole, whole + b"]"):
        for words in (("run", "02_support", "--study", "toy"), ("study", "toy")):
            with tried():
                path.write_bytes(damaged)
                assert path.as_posix() in refused(*words)
    assert not Path("runs").exists()


@pytest.mark.fault(
    "Damaged files", "a finished run damaged, then the commands that need it",
    "each ends in one line with the file and what to do, and changes nothing",
)  # fmt: skip
def test_commands_refuse_a_damaged_run(toy, tried):
    folder = Path("runs/toy/02_support")
    folder.mkdir(parents=True)
    results.Results(folder, notebook="02_support", study="toy").save()
    write_manifest(folder, "toy", "02_support")
    whole = {path: path.read_bytes() for path in folder.iterdir()}
    for path in whole:
        with tried(2):
            path.write_bytes(whole[path].replace(b"toy", b"tox", 1))
            for words in (("02_support",), ("06_boundary", "--only")):
                if path.name == "results.json":
                    line = refused("run", *words, "--study", "toy")
                    assert f"{path} is not as its run wrote it" in line
                    assert f"delete {folder} and run it again" in line
            path.write_bytes(b"")
            assert str(path) in refused("run", "06_boundary", "--only", "--study", "toy")
            assert str(path) in refused("study", "toy")
            path.write_bytes(whole[path])
    assert not Path("runs/toy/06_boundary").exists()


@pytest.mark.parametrize("name", ["results.json", "executed.ipynb", "manifest.json"])
@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.fault(
    "Damaged files", "`medrl book` on a run whose results, notebook or manifest is cut off",
    "one line with the file; the old book stays, also for runs made before hashes were kept",
)  # fmt: skip
def test_the_book_refuses_a_damaged_run(toy, tried, name, hashed):
    small_book.write()
    folder = Path("runs/toy/02_support")
    folder.mkdir(parents=True)
    results.Results(folder, notebook="02_support", study="toy").save()
    shutil.copyfile("notebooks/02_support.ipynb", folder / "executed.ipynb")
    write_manifest(folder, "toy", "02_support")
    if not hashed:
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps(manifest | {"files": {}}))
    Path("_build/stage").mkdir(parents=True)
    Path("_build/stage/old").touch()
    content = (folder / name).read_bytes()
    for damaged in (b"", content[: len(content) // 2], content[:-3]):
        with tried():
            (folder / name).write_bytes(damaged)
            assert str(folder / name) in refused("book", "--study", "toy", "--only")
            assert [path.name for path in Path("_build/stage").iterdir()] == ["old"]


@pytest.mark.fault(
    "Damaged files", "the list of what the book was built from cut off, or any bit flipped",
    "the book counts as stale and is built again",
)  # fmt: skip
def test_a_damaged_list_of_sources_makes_the_book_stale(toy, tried):
    small_book.write()
    chosen = plan.load_study("toy")
    plan.BOOK.parent.mkdir(parents=True)
    plan.BOOK.touch()
    whole = execution.listed(plan.book_fingerprint(chosen, "student"))
    for damaged in (*cuts(whole), *flips(whole, tried.times(20, 100))):
        with tried():
            execution.BOOK_SOURCES.write_bytes(damaged)
            execution.mark_book(chosen, "student")
            assert not execution.BOOK_SOURCES.exists()
    execution.BOOK_SOURCES.write_bytes(whole)
    execution.mark_book(chosen, "student")
    assert execution.BOOK_SOURCES.exists()
