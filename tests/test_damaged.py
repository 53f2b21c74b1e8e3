"""Damaged files: cut off at several lengths, one bit flipped at many places, and empty.

Each damage has one of two ends: the file is refused in one line that names it, or it is read as if
it were whole, because the bit has no meaning. Files without a checksum of their own are compared
with a hash that is kept elsewhere. `pytest tests/test_damaged.py` runs this module.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from typer.testing import CliRunner

import small_book
from conftest import ROOT
from made_runs import write_manifest, write_rollouts, write_run
from medrl_core import cli, clone, plan, study
from medrl_core.data import homes, images, pictures, subset, vqa
from medrl_core.errors import UserError
from medrl_core.measure import exact, rollouts
from medrl_core.report import book, listed, measured, provenance, results, scoreboard, scores

READ_WHOLE = "refused in one line that names the file, or read whole"


def cuts(whole: bytes) -> Iterator[bytes]:
    """The file cut off at several lengths; the first is empty."""
    for share in (0, 0.1, 0.3, 0.5, 0.7, 0.9):
        yield whole[: int(share * len(whole))]
    for left in (1, 2, 8):
        yield whole[:-left]


def flips(whole: bytes, times: int) -> Iterator[bytes]:
    """The file with one bit flipped, at places drawn with a seed."""
    draw = random.Random(len(whole))
    for _ in range(times):
        damaged = bytearray(whole)
        damaged[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        yield bytes(damaged)


def check(path: Path, read: Callable, tried, flipped: int, cut: bool = True, same=None) -> int:
    """Damage a file again and again; each time it has to be refused by name, or read whole.

    Arguments: `read` reads the file; `same` compares what was read with what is read undamaged.
    Returns: how often it was refused.
    """
    whole, before, refused = path.read_bytes(), read(), 0
    for damaged in (*(cuts(whole) if cut else ()), *flips(whole, flipped)):
        with tried():
            path.write_bytes(damaged)
            try:
                found = read()
            except UserError as error:
                assert path.name in str(error) and "\n" not in str(error)
                refused += 1
            else:
                assert same(found, before) if same else found == before
    path.write_bytes(whole)
    assert refused
    return refused


def of_one_form(found: object, before: object) -> bool:
    return type(found) is type(before)


def refused(*words: object) -> str:
    """The one line with which a command refuses."""
    done = CliRunner().invoke(cli.app, [str(word) for word in words])
    assert done.exit_code == 2 and done.stdout == "", (done.output, done.exception)
    line = done.stderr.splitlines()[-1]
    assert line.startswith("medrl: ")
    return line


@pytest.mark.fault("Damaged files", "a MedMNIST file cut off, or one bit of it flipped", READ_WHOLE)
def test_npz(tmp_path, tried):
    path, rng = tmp_path / "a.npz", np.random.default_rng(0)
    pixels = {split: rng.integers(0, 255, (8, 28, 28), np.uint8) for split in images.SPLITS}
    images.write_npz(path, pixels, {split: np.arange(8) % 2 for split in images.SPLITS})
    about = {"name": "a", "modality": "m", "task": "binary", "classes": ("x", "y")}

    def read():
        found = images.read_npz(path, **about, origin="unverified")
        return [part.tobytes() for half in (found.images, found.labels) for part in half.values()]

    check(path, read, tried, tried.times(150, 2000))
    with tried(2):
        breast = tmp_path / "breastmnist.npz"
        breast.write_bytes(path.read_bytes()[:-100])
        there = ("--root", tmp_path)
        assert f"{breast} has MD5 " in refused("data", "verify", "breastmnist", *there)
        words = ("--model", "pixels", "--data", "breastmnist", "--allow", "breastmnist")
        assert f"{breast} is damaged (" in refused("probe", *words, *there)


def stored(folder: Path) -> rollouts.RolloutStore:
    """A store with texts that are all different, as those of a model are."""
    draw = random.Random(0)
    store = rollouts.RolloutStore(folder)
    shared = {
        "image_id": "im", "dataset": "d", "modality": "m", "answer_format": "mcq", "n_options": 4,
        "gold": "C", "model": "toy", "model_hash": "h", "prompt_hash": "p", "seed": 7,
        "parsed": "C", "parse_rule": "tag", "correct": True, "n_tokens": 5,
        "finish_reason": "stop",
    }  # fmt: skip
    store.append(
        [
            shared | {"item_id": f"i{item}", "sample_index": index, "logprob": -draw.random()}
            | {"decoding": "greedy" if index < 0 else "t=1", "text": f"<answer>{draw.random()}"}
            for item in range(10)
            for index in range(-1, 3)
        ]
    )  # fmt: skip
    return store


@pytest.mark.parametrize("part", [False, True])
@pytest.mark.fault(
    "Damaged files", "rollouts in Parquet, whole or a part: cut off, or one bit flipped", READ_WHOLE
)
def test_rollouts(tmp_path, tried, part):
    store = stored(tmp_path / "out")
    path = tmp_path / "out/rollouts/part-00000.parquet" if part else store.compact()
    check(path, lambda: rollouts.read(tmp_path / "out"), tried, tried.times(300, 3000),
          same=pd.DataFrame.equals)  # fmt: skip
    if not part:
        path.write_bytes(path.read_bytes()[:-100])
        assert str(path) in refused("score", tmp_path / "out")
        assert str(path) in refused("diagnose", tmp_path / "out")


@pytest.mark.fault("Damaged files", "exact.parquet cut off, or one bit flipped", READ_WHOLE)
def test_exact_probabilities(tmp_path, tried):
    rows = [("i", "im", "d", "m", 2, "A", "h", 1.0, True, letter, 0.25) for letter in "AB"]
    table = pd.DataFrame(rows, columns=exact.COLUMNS)
    scores.write_exact(tmp_path, table, "t=1")
    path = tmp_path / "exact.parquet"
    check(path, lambda: rollouts.read_as(path, scores.EXACT), tried, tried.times(150, 1000),
          same=pa.Table.equals)  # fmt: skip


def picture_files(folder: Path) -> dict[str, Path]:
    """A picture with smooth parts and noise in each format that items may have."""
    rng = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8) * 2
    pixels = np.stack([ramp, ramp.T[::-1], 255 - ramp], -1) + rng.integers(0, 9, (64, 64, 3))
    files = {}
    for kind in ("png", "jpg", "webp", "gif", "tif", "bmp"):
        files[kind] = folder / f"one.{kind}"
        Image.fromarray(pixels.astype(np.uint8)).save(files[kind])
    return files


@pytest.mark.parametrize("through", ["JSONL", "CSV"])
@pytest.mark.fault(
    "Damaged files", "a PNG image of an item cut off, or one bit flipped",
    "refused in one line that names image and place, or read whole: PNG has checksums",
)  # fmt: skip
def test_png_images(tmp_path, tried, through):
    path = picture_files(tmp_path)["png"]
    line = {"dataset_name": "d", "dataset_index": 0, "image_paths": [path.name]}
    items = tmp_path / "a.jsonl"
    items.write_text(json.dumps(line | {"question": "Which?", "answer": "yes"}))
    table = tmp_path / "t.csv"
    (tmp_path / "images").symlink_to(".")
    table.write_text(
        "Figure_path,Question,Answer,Choice A,Choice B,Choice C,Choice D\none.png,Q?,A,1,2,3,4\n"
    )

    def read():
        if through == "JSONL":
            (item,) = vqa.read_jsonl(items)
        else:
            (item,) = vqa.from_rows(homes.rows(str(table), "PMC-VQA"), "PMC-VQA")
        return item.images[0].tobytes()

    check(path, read, tried, tried.times(150, 2000))
    if through == "JSONL":
        with tried():
            path.write_bytes(path.read_bytes()[:500])
            words = ("--items", items, "--model", tmp_path, "--out", tmp_path / "out")
            line = refused("evaluate", *words)
            assert "line 1: image one.png cannot be read (" in line and "--skip-bad" in line
            assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["jpg", "webp", "gif", "tif", "bmp"])
@pytest.mark.fault(
    "Damaged files", "a JPEG, WebP, GIF, TIFF or BMP image of an item cut off, or one bit flipped",
    "cut off it is refused; a bit flipped, it is refused or other pixels: these have no checksum",
)  # fmt: skip
def test_other_images(tmp_path, tried, kind):
    path = picture_files(tmp_path)[kind]
    whole, before = path.read_bytes(), pictures.read(path).tobytes()
    for damaged in cuts(whole):
        with tried():
            try:
                found = pictures.read(damaged).tobytes()
            except pictures.Bad:
                continue
            assert found == before and len(damaged) >= len(whole) - 8  # an end without pixels
    for damaged in flips(whole, tried.times(100, 1000)):
        with tried(), suppress(pictures.Bad):
            pictures.read(damaged)


@pytest.mark.fault(
    "Damaged files", "items in JSONL cut off, or one bit flipped",
    "refused in one line that names file and line, or another letter in a text",
)  # fmt: skip
def test_items(tmp_path, tried):
    path, text = write_items(tmp_path / "a.jsonl")
    flipped = tried.times(300, 3000)
    # A flipped letter is another letter, and a file cut between two lines is a shorter one: see
    # the next test for items that have a card.
    check(path, lambda: vqa.read_jsonl(path), tried, flipped, same=of_one_form)
    with tried():
        path.write_bytes(text[:-9])
        assert f"{path}: 1 bad: line 4: no JSON" in refused(
            "evaluate", "--items", path, "--model", tmp_path, "--out", tmp_path / "out"
        )


def write_items(path: Path) -> tuple[Path, bytes]:
    shared = {"dataset_name": "d", "image_paths": [], "question": "What is in the image?"}
    answer = {"options": {"A": "liver", "B": "heart"}, "answer_label": "B", "answer": "heart"}
    lines = [shared | answer | {"dataset_index": index} for index in range(4)]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return path, path.read_bytes()


@pytest.mark.fault(
    "Damaged files", "items that `medrl data subset` chose cut off, or any bit flipped",
    "refused: their card holds the hash of all items",
)  # fmt: skip
def test_chosen_items_are_compared_with_their_card(tmp_path, tried):
    path, text = write_items(tmp_path / "all.jsonl")
    chosen, counts = subset.choose(vqa.read_jsonl(path), 3)
    made = subset.write(chosen, counts, tmp_path / "chosen")
    times = tried.times(50, 500)
    assert check(made, lambda: vqa.read_jsonl(made), tried, times) == times + 9
    card = made.with_name("card.json")
    check(card, lambda: vqa.read_jsonl(made), tried, times)


@pytest.mark.parametrize("kind", ["parquet", "json", "csv"])
@pytest.mark.fault(
    "Damaged files", "a benchmark's rows in Parquet, JSON or CSV cut off, or one bit flipped",
    "refused in one line that names the file, or another value of the right type",
)  # fmt: skip
def test_rows_of_a_benchmark(tmp_path, tried, kind):
    (tmp_path / "images").mkdir()
    picture_files(tmp_path / "images")
    row = {"Figure_path": "one.png", "Question": "Q?", "Answer": "A"}
    row |= {f"Choice {letter}": letter * 3 for letter in "ABCD"}
    table, path = pd.DataFrame([row] * 3), tmp_path / f"t.{kind}"
    if kind == "parquet":
        table.to_parquet(path)
    elif kind == "json":
        table.to_json(path, orient="records")
    else:
        table.to_csv(path, index=False)

    def read():
        rows = homes.rows(str(path), "PMC-VQA")
        return vqa.from_rows(rows, "PMC-VQA", source=str(path))

    whole = path.read_bytes()
    for damaged in (*cuts(whole), *flips(whole, tried.times(60, 600))):
        with tried():
            path.write_bytes(damaged)
            try:
                assert all(len(item.options) == 4 and item.images for item in read())
            except UserError as error:
                assert path.name in str(error) and "\n" not in str(error)


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
        ("data/faults.json", measured.read),
        ("notebooks/studies/smoke.yaml", lambda path: plan.load_study(str(path))),
        ("_config.yml", lambda path: book.configuration(clone.read_text(path))),
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
    whole = study.listed(plan.book_fingerprint(chosen, "student"))
    for damaged in (*cuts(whole), *flips(whole, tried.times(20, 100))):
        with tried():
            study.BOOK_SOURCES.write_bytes(damaged)
            study.mark_book(chosen, "student")
            assert not study.BOOK_SOURCES.exists()
    study.BOOK_SOURCES.write_bytes(whole)
    study.mark_book(chosen, "student")
    assert study.BOOK_SOURCES.exists()
