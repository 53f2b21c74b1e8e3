"""Data and YAML that somebody made who wants in: each attack on the real reader."""

from __future__ import annotations

import gc
import io
import json
import os
import pickle
import shutil
import socket
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from attacks import Pickled, refused
from medrl.studies import plan
from medrl_core import plain
from medrl_core.data import homes, medmnist, vqa
from medrl_core.data.images import read_npz
from medrl_core.models import hub
from medrl_core.train import launch


def read(path, most=None):
    return read_npz(path, name="toy", modality="toy", task="binary", classes=("no", "yes"),
                    origin="unverified", most=most)  # fmt: skip


@pytest.mark.fault(
    "Untrusted input",
    "npz file with a pickled object among its arrays, in place of images or of labels",
    "refused, and the object is never made",
)
@pytest.mark.parametrize("key", ["train_images", "test_labels", "extra"])
def test_an_npz_never_unpickles(tmp_path, hit, tried, key):
    path = tmp_path / "a.npz"
    fields = {f"{split}_{kind}": np.zeros((2, 4, 4) if kind == "images" else (2, 1), np.uint8)
              for split in ("train", "val", "test") for kind in ("images", "labels")}  # fmt: skip
    held = fields | {key: np.array([Pickled(hit)] * 2, object)}
    np.savez(path, **held)
    with tried():
        if key == "extra":  # an array that no one asks for is not opened
            assert len(read(path).images["train"]) == 2
        else:
            refused(lambda: read(path), "is damaged", "fetch the file again")
        path.write_bytes(pickle.dumps(Pickled(hit)))  # numpy would take this for an old .npy
        refused(lambda: read(path), "is damaged")


@pytest.mark.fault(
    "Untrusted input",
    "npz file of a few kilobytes that unpacks to more than the image set holds, or says so",
    "refused, and the memory is not taken",
)
@pytest.mark.parametrize("what", ["zeros", "shape"])
def test_an_npz_that_unpacks_to_too_much_is_refused(tmp_path, tried, what):
    path = tmp_path / "breastmnist.npz"
    shape = {"zeros": (3000, 28, 28, 3), "shape": (10**7, 280, 280, 3)}[what]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for split in ("train", "val", "test"):
            for kind, size in (("images", shape), ("labels", (shape[0], 1))):
                member = io.BytesIO()
                about = {"descr": "|u1", "fortran_order": False, "shape": size}
                np.lib.format.write_array_header_1_0(member, about)
                zeros = bytes(int(np.prod(size))) if what == "zeros" else bytes(1000)
                archive.writestr(f"{split}_{kind}.npy", member.getvalue() + zeros)
    assert path.stat().st_size < 30_000
    with tried():
        tracemalloc.start()
        said = refused(
            lambda: medmnist.load("breastmnist", tmp_path, allow=("breastmnist",)), str(path)
        )
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert ("unpacks to" in said) == (what == "zeros")
        if what == "zeros":
            assert peak < 5_000_000


IMAGE = {"_type": "Image"}


def table(path, pictures, kind=None):
    """Write rows of PathVQA as Parquet; `kind` is what its metadata says of the images."""
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    n = len(pictures)
    made = pa.table(
        {"image": pa.array(pictures, struct), "question": ["Is it?"] * n, "answer": ["yes"] * n}
    )
    if kind:
        text = {"dtype": "string", "_type": "Value"}
        features = {"image": kind, "question": text, "answer": text}
        made = made.replace_schema_metadata(
            {"huggingface": json.dumps({"info": {"features": features}})}
        )
    path.parent.mkdir(exist_ok=True)
    pq.write_table(made, path)
    return path


def rows(path):
    return list(homes.rows(str(path), "PathVQA"))


@pytest.mark.fault(
    "Untrusted input",
    "Parquet file whose images are paths out of its folder, an address, links, or of odd types",
    "refused; no file is opened and no address asked",
)
@pytest.mark.parametrize("kind", [None, IMAGE])
def test_images_of_a_parquet_file_stay_in_its_folder(tmp_path, tried, kind):
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")
    inner = tmp_path / "in"
    inner.mkdir()
    (inner / "link.png").symlink_to(tmp_path / "secret.png")
    (inner / "up").symlink_to(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.png"
        outside = [str(tmp_path / "secret.png"), "../secret.png", "link.png", "up/secret.png"]
        for name in [*outside, address, f"file://{tmp_path}/secret.png", "/dev/stdin"]:
            with tried():
                path = table(inner / "x.parquet", [{"bytes": None, "path": name}], kind)
                refused(lambda path=path: rows(path), "row 0: image", "mend or remove it")
        with pytest.raises(TimeoutError):
            server.accept()
    shutil.copy(tmp_path / "secret.png", inner / "own.png")
    ((row),) = rows(table(inner / "x.parquet", [{"bytes": None, "path": "own.png"}], kind))
    assert row["images"][0].size == (8, 8)


@pytest.mark.fault(
    "Untrusted input",
    "Parquet file that says its images are of a type that needs another reader",
    "no other reader is called",
)
@pytest.mark.parametrize("kind", ["Audio", "Video", "Pdf", "Nifti", "os.system"])
def test_no_type_in_a_parquet_file_calls_another_reader(tmp_path, tried, kind):
    path = table(tmp_path / "in/x.parquet", [{"bytes": b"x", "path": None}], {"_type": kind})
    with tried():
        refused(lambda: rows(path), "cannot be read")


@pytest.mark.fault(
    "Untrusted input",
    "Parquet file of a few kilobytes that unpacks to more image bytes than are allowed",
    "refused by its own list of contents",
)
def test_a_parquet_file_that_unpacks_to_too_much_is_refused(tmp_path, tried, monkeypatch):
    monkeypatch.setattr(homes, "MOST_UNPACKED", 10**6)
    path = table(tmp_path / "in/x.parquet", [{"bytes": bytes(10**6), "path": None}] * 2, IMAGE)
    zstd = path.with_name("z.parquet")
    made = pq.read_table(path)
    pq.write_table(made, zstd, compression="zstd", use_dictionary=False)
    assert zstd.stat().st_size < 10_000
    with tried():
        refused(lambda: rows(zstd), "unpacks to", "smaller row groups")


@pytest.mark.fault(
    "Untrusted input",
    "image that is a PostScript program, in JSONL of the official kit and in Parquet",
    "refused; Ghostscript is not started",
)
def test_a_postscript_program_is_no_image(tmp_path, hit, tried, monkeypatch):
    tool = tmp_path / "bin/gs"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\nmkdir '{hit}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    program = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    for name in ("a.eps", "a.png"):
        (tmp_path / name).write_bytes(program)
        with tried():
            refused(lambda name=name: vqa.read_jsonl(jsonl(tmp_path, [name])), "cannot be read")
    path = table(tmp_path / "in/x.parquet", [{"bytes": program, "path": None}], IMAGE)
    with tried():
        refused(lambda: rows(path), "cannot be read")


def jsonl(folder, names):
    line = {"dataset_name": "d", "dataset_index": 0, "image_paths": names, "question": "Is it?"}
    (folder / "items.jsonl").write_text(json.dumps(line | {"answer": "yes"}))
    return folder / "items.jsonl"


@pytest.mark.fault(
    "Untrusted input",
    "image path that leads out of its folder: `..`, absolute, links to files and folders, devices",
    "refused in JSONL of the official kit, in VQA-RAD, in CSV and in JSON; the file is not opened",
)
# datasets leaves a CSV file open that it is not asked to read to its end.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_image_paths_stay_in_their_folder(tmp_path, tried):
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")
    inner = tmp_path / "in"
    (inner / "images").mkdir(parents=True)
    (inner / "imgs").mkdir()
    os.mkfifo(inner / "pipe.png")
    for folder in (inner, inner / "images", inner / "imgs"):
        (folder / "link.png").symlink_to(tmp_path / "secret.png")
        (folder / "up").symlink_to(tmp_path)
        (folder / "loop.png").symlink_to("loop.png")
    outside = ["../secret.png", str(tmp_path / "secret.png"), "link.png", "up/secret.png",
               "up/in/../secret.png", "images/../../secret.png", "loop.png", "/dev/zero", "up", ".",
               "pipe.png", "..", "~/secret.png", "secret.png\0.png", "a" * 5000]  # fmt: skip
    for name in outside:
        deeper = name if name.startswith("/") else f"../{name}"
        question = {"question": "Is it?", "answer": "yes"}
        with tried(4):
            refused(lambda name=name: vqa.read_jsonl(jsonl(inner, [name])), "image")
            row = {"id": 0, "image": name, **question}
            (inner / "test.json").write_text(json.dumps([row]))
            refused(lambda: vqa.read_vqa_rad(inner), "image")
            row = {"qid": 0, "img_name": deeper, "q_lang": "en", **question}
            (inner / "slake.json").write_text(json.dumps([row]))
            refused(lambda: list(homes.rows(str(inner / "slake.json"), "SLAKE")), "image")
            (inner / "pmc.csv").write_text(
                "Figure_path,Question,Answer,Choice A,Choice B,Choice C,Choice D\n"
                f'"{deeper.replace(chr(0), "")}",Is it?,A,a,b,c,d\n'
            )
            refused(lambda: list(homes.rows(str(inner / "pmc.csv"), "PMC-VQA")), "image")
    gc.collect()


TEN = ",".join(["{0}"] * 10)
BOMBS = {
    "aliases": ["a0: &a0 [x]"]
    + [f"a{i}: &a{i} [{TEN.format(f'*a{i - 1}')}]" for i in range(1, 30)],
    "long text": ["a0: &a0 " + "x" * 1000]
    + [f"a{i}: &a{i} [{TEN.format(f'*a{i - 1}')}]" for i in range(1, 4)],
    "merges": ["a0: &a0 {x: 1}"]
    + [f"a{i}: &a{i} {{<<: [{TEN.format(f'*a{i - 1}')}]}}" for i in range(1, 30)],
    "repeated merges": ["a0: &a0 {x: 1}"]
    + ["a{0}: &a{0} {{{1}}}".format(i, TEN.format(f"<<: *a{i - 1}")) for i in range(1, 30)],
    "itself": ["a: &a [*a]"],
    "deep": ["[" * 1000],
}
TAGS = ["!!python/object/apply:os.mkdir [HIT]", "!!python/object/new:os.mkdir [HIT]",
        "!!python/name:os.system", "!!python/module:os", "!!python/object:os.path {}",
        "!<tag:yaml.org,2002:python/object/apply:os.mkdir> [HIT]"]  # fmt: skip


@pytest.mark.parametrize("text", ["[" * 5000, "[]", "{}", "3", "\0", '{"exposure": [1]}'])
def test_a_strange_card_is_refused_in_one_line(tmp_path, text):
    path = jsonl(tmp_path, [])
    (tmp_path / "card.json").write_text(text)
    refused(lambda: vqa.read_jsonl(path), "card.json gives no")
    refused(lambda: hub.exposure(str(tmp_path)), "card.json is no card of a model")


def test_links_inside_the_folder_and_hard_links_are_read(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "elsewhere.png")
    inner = tmp_path / "in"
    (inner / "images").mkdir(parents=True)
    os.link(tmp_path / "elsewhere.png", inner / "images/hard.png")
    (inner / "soft.png").symlink_to("images/hard.png")
    (inner / "more").symlink_to("images")
    for name in ("images/hard.png", "soft.png", "more/hard.png", "images/../soft.png"):
        ((item),) = vqa.read_jsonl(jsonl(inner, [name]))
        assert item.image_id == "d/images/hard.png" and item.images[0].size == (8, 8)


@pytest.mark.fault(
    "Untrusted input",
    "YAML of a study or of `-p` that names Python objects, or unfolds without end",
    "refused in one line before memory is taken",
)
def test_yaml_is_data_and_has_an_end(toy, hit, tried):
    path = Path("notebooks/studies/toy.yaml")
    tags = [f"a: {tag.replace('HIT', str(hit))}" for tag in TAGS]
    for text in [*tags, *("\n".join(lines) for lines in BOMBS.values())]:
        assert len(text) < 20_000
        path.write_text(text)
        with tried(2):
            refused(lambda: plan.load_study("toy"), "toy.yaml is not YAML")
            refused(lambda text=text: plain.parse_yaml(text, "-p k=" + text), "-p k=", "not YAML")
    config = Path("launch.yaml")
    config.write_text(f"distributed_type: !!python/object/apply:os.mkdir [{hit}]\n")
    with tried():
        refused(lambda: launch.config_file("launch.yaml"), "launch.yaml is not YAML")
