"""Odd numbers and sizes: huge images, many options, one item, one class, all kinds of letters."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import tiny
from damaging import refused
from made_images import write_npz
from medrl.commands.scores import score_folder, summary
from medrl_core.data.images import SPLITS, ImageSet, read_npz
from medrl_core.data.items import build_items
from medrl_core.data.own import read_items
from medrl_core.data.pictures import MAX_PIXELS
from medrl_core.data.prompts import prompt_hash, user_text
from medrl_core.errors import UserError
from medrl_core.models import hub
from medrl_core.report import myst
from medrl_core.sample import rollouts
from medrl_core.sample.rollouts import SCHEMA, RolloutStore
from medrl_core.sample.sampling import Completion, Decoding
from medrl_core.score.evaluate import rollout_rows
from medrl_core.score.statistics import score
from medrl_core.vision import axis
from running import said


def black_png(path: Path, width: int, height: int) -> None:
    """Write an all-black PNG of one bit a pixel, which packs to almost nothing."""
    packer = zlib.compressobj(1)
    row = bytes(1 + (width + 7) // 8)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    size = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", size), (b"IDAT", data), (b"IEND", b""))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in chunks
        )
    )


def one_item(folder: Path, image: str) -> Path:
    line = {"dataset_name": "d", "dataset_index": 0, "image_paths": [image]}
    (folder / "a.jsonl").write_text(json.dumps(line | {"question": "Which?", "answer": "yes"}))
    return folder / "a.jsonl"


@pytest.mark.parametrize("size", [(20_000, 15_000), (9_500, 9_500)])
@pytest.mark.fault(
    "Odd numbers and sizes", "an image of 300 or of 90 megapixels in a file of some kilobytes",
    "refused before it is unpacked, in one line with file, reason and remedy",
)  # fmt: skip
def test_a_huge_image_is_refused_before_it_is_unpacked(tmp_path, monkeypatch, tried, size):
    black_png(tmp_path / "huge.png", *size)
    assert (tmp_path / "huge.png").stat().st_size < 300_000
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("it was unpacked"))
    table = tmp_path / "t.csv"
    table.write_text(
        "Figure_path,Question,Answer,Choice A,Choice B,Choice C,Choice D\nhuge.png,Q?,A,1,2,3,4\n"
    )
    (tmp_path / "images").symlink_to(".")
    reads = (
        lambda: read_items(one_item(tmp_path, "huge.png")),
        lambda: read_items(table, name="PMC-VQA"),
    )
    for read, place in zip(reads, ("line 1", "line 2"), strict=True):
        with tried(), pytest.raises(UserError) as error:
            read()
        said = str(error.value)
        assert f"{place}: image" in said and "huge.png" in said and "\n" not in said
        assert "has more than 89,478,485 pixels; make it smaller" in said


def test_the_largest_image_that_is_read_is_made_smaller(tmp_path):
    black_png(tmp_path / "large.png", 9_400, 9_500)
    (item,) = read_items(one_item(tmp_path, "large.png"))
    assert 800_000 < item.images[0].width * item.images[0].height <= MAX_PIXELS


QUESTION = {"dataset_name": "d", "dataset_index": 0, "image_paths": [], "question": "Is it?"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return hub.save(*tiny.build(), tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def evaluated(model, tmp_path):
    """Runs `medrl evaluate` on rows of the kit's format and returns its output; it must succeed."""

    def run(*rows: dict, k: int = 1, more: tuple = ()) -> str:
        path = tmp_path / "items.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)))
        words = ["evaluate", "--model", model, "--items", path, "--out", tmp_path / "out"]
        return said(*words, "-k", k, "--max-new-tokens", 6, *more)

    return run


@pytest.mark.fault(
    "Odd numbers and sizes", "one item, one sample (K = 1): evaluated, scored, compared, diagnosed",
    "each command answers; what one image cannot tell is said to be unknown",
)  # fmt: skip
def test_one_item_and_one_sample(evaluated, tmp_path, tried):
    out = tmp_path / "out"
    with tried(5):
        text = evaluated(QUESTION | {"answer": "yes"})
        assert text == said("score", out)
        assert "all items     1" in text and "Pass@1" in text and "nan" not in text
        assert "nan" not in said("compare", out, out)
        told = said("diagnose", out, "-k", 1)
        assert "undecided, because too few items" in told and "nan" not in told
        assert "needs as many samples an item" in refused("diagnose", out, "-k", 2)


@pytest.mark.fault(
    "Odd numbers and sizes", "10,000 options of an item, or 10,000 labels of an open one",
    "options beyond Z are refused in one line; labels are parsed, scored and guessed at as any",
)  # fmt: skip
def test_ten_thousand_options(evaluated, tmp_path, tried):
    many = tuple(f"finding {i}" for i in range(10_000))
    with tried():
        path = tmp_path / "many.jsonl"
        row = QUESTION | {"options": many, "answer_label": "A", "answer": many[0]}
        path.write_text(json.dumps(row))
        with pytest.raises(UserError, match="line 1: 10000 options: need 2 to 26"):
            read_items(path)
    with tried():
        with pytest.raises(UserError, match="plain has 10000 options, at most 26 have a letter"):
            replace(tiny.plain_item(), options=many)
        with pytest.raises(UserError, match="max_options 27: use 2 to 26"):
            build_items(tiny.image_set(), "test", "mcq", max_options=27)
    with tried():
        item = replace(
            tiny.plain_item(), options=None, label_set=many, answer_format="open", gold=many[-1]
        )
        texts = (f"<answer>{many[-1]}</answer>", f"It is {many[7]}.", "<answer>finding</answer>")
        said = [Completion(item, "p", i, text, 3, True, -1.0) for i, text in enumerate(texts)]
        about = {"seed": 0, "model_name": "m", "model_hash": "h"}
        rows = rollout_rows(said, Decoding(), **about)
        assert [row["parsed"] for row in rows] == [many[-1], many[7], "finding"]
        store = RolloutStore(tmp_path / "kept")
        store.append(rows)
        found = score(store.frame()).query("scope == 'overall' and k == 1")
        values = dict(zip(found.metric, found.value, strict=True))
        assert values["guess_floor@k"] == pytest.approx(1e-4)
        assert values["pass@k"] == pytest.approx(1 / 3)
    with tried():
        most = [f"finding {i}" for i in range(26)]
        row = QUESTION | {"options": most, "answer_label": "Z", "answer": most[-1]}
        assert "exact, at least" in evaluated(row, more=("--exact",))
        text = user_text(read_items(tmp_path / "items.jsonl")[0])
        assert "\nA) finding 0\n" in text and "\nZ) finding 25\n" in text


TEXTS = {
    "combining marks": "e\u0301 a\u030a o\u0308\u0323 \ufb01",
    "right to left": "\u05e9\u05dc\u05d5\u05dd \u0639\u0631\u0628\u064a \u202bx\u202c",
    "emoji": "\U0001f469\u200d\u2695\ufe0f\U0001fa7b \U0001f1e8\U0001f1ed",
    "zero width": "left\u200b lung\ufeff\u2060",
    "control signs": "nul\0 bell\x07 \x1b[31mred",
    "full width": "\uff21\uff22\uff23 \uff11\uff12",
    "Turkish i": "\u0130stanbul \u0131\u015f\u0131k II",
    "sharp s": "STRASSE stra\u00dfe \u1e9e",
    "markup": "<b onclick=x>&|`$\\{{ 7*7 }}{% raw %}",
    "Chinese": "\u80ba\u708e \u5de6\u4e0b\u53f6",
    "very long": "opacity of the left lower lobe " * 300,
    "line ends": "one\u2028two\u2029three\x85four",
}


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.fault(
    "Odd numbers and sizes", "texts of all kinds of letters in questions, options and answers",
    "from the items through prompt, rollouts, parser and scores to the page without loss",
)  # fmt: skip
def test_all_kinds_of_letters(tmp_path, tried, kind):
    text, clean = TEXTS[kind], " ".join(TEXTS[kind].split())
    row = QUESTION | {"question": text, "dataset_name": text[:40], "dataset_index": text[:9]}
    row |= {"options": {"A": text, "B": "nothing"}, "answer_label": "A", "answer": text}
    with tried():
        path = tmp_path / "items.jsonl"
        path.write_text(json.dumps(row) + "\n" + json.dumps(row | {"dataset_index": 1}))
        item, other = read_items(path)
        assert (item.question, item.options[0], item.gold) == (clean, clean, "A")
        assert user_text(item).startswith(f"{clean}\nA) {clean}\nB) nothing\n")
        texts = [f"<think>{text}</think><answer>{text}</answer>", "<answer>\uff22</answer>", text]
        said = [
            Completion(one, prompt_hash(one), i, answer, 3, True, -1.0)
            for one in (item, other)
            for i, answer in enumerate(texts)
        ]
        about = {"seed": 0, "model_name": text[:40], "model_hash": "h"}
        store = RolloutStore(tmp_path)
        store.append(rollout_rows(said, Decoding(), **about))
        store.compact()
        kept = rollouts.read(tmp_path)
        assert sorted(kept.text) == sorted(texts * 2)
        by_text = dict(zip(kept.text, kept.parsed.fillna("-"), strict=True))
        # A text of emoji alone has no letter that the parser could compare.
        assert by_text[texts[0]] == ("-" if kind == "emoji" else "A")
        assert by_text[texts[1]] == "B"  # a full-width letter is that letter
        table = score_folder(tmp_path)
        name = " ".join(text[:40].split())
        assert set(table.name[table.scope == "dataset"]) == {name}
        for again in (pd.read_csv(tmp_path / "scores.csv"), pd.read_json(tmp_path / "scores.json")):
            assert set(again.name[again.scope == "dataset"]) == {name}
        shown = summary(table)
        assert all(sign.isprintable() or sign == "\n" for sign in shown)
        few = table.head(3)[["name", "metric", "value"]]
        page = myst.pipe(few.assign(name=few.name.map(myst.escape)))
        assert not set("<{`") & set(page) and page.count("\n") == 5


@pytest.mark.fault(
    "Odd numbers and sizes", "half a surrogate pair in any text of an item, or in an answer",
    "refused in one line that says so",
)  # fmt: skip
def test_half_a_surrogate_pair_is_refused(tmp_path, tried):
    path = tmp_path / "items.jsonl"
    row = QUESTION | {"options": ["a", "b"], "answer_label": "A", "answer": "a"}
    for field in ("dataset_name", "dataset_index", "question", "answer_label", "answer", "options"):
        with tried():
            bad = ["\ud800", "b"] if field == "options" else "x\udfff"
            path.write_text(json.dumps(row | {field: bad}))
            with pytest.raises(UserError, match="line 1: .*(half a surrogate pair|is no letter)"):
                read_items(path)
    with tried():
        path.write_text(json.dumps(row | {"image_paths": ["\ud800.png"]}))
        with pytest.raises(UserError, match=r"image path '\\ud800.png' is not a path"):
            read_items(path)
    with tried():
        store, item = RolloutStore(tmp_path / "kept"), tiny.plain_item()
        about = {"seed": 0, "model_name": "m", "model_hash": "h"}
        said = Completion(item, "p", 0, "\ud800", 1, True, 0.0)
        with pytest.raises(UserError, match="a rollout row has a value of the wrong type"):
            store.append(rollout_rows([said], Decoding(), **about))
        assert store.frame().empty


def images_of(n: int, classes: tuple[str, ...] = ("x", "y"), label: int = 0) -> ImageSet:
    draw = np.random.default_rng(0)
    return ImageSet(
        "s", "m", "multiclass", classes,
        {split: draw.integers(0, 255, (n, 8, 8), np.uint8) for split in SPLITS},
        {split: np.full(n, label) for split in SPLITS}, "unverified", "0",
    )  # fmt: skip


@pytest.mark.fault(
    "Odd numbers and sizes", "image sets and lists of items with nothing in them",
    "refused in one line that names the file or the set",
)  # fmt: skip
def test_nothing_is_refused(tmp_path, tried):
    with tried():
        empty = images_of(0)
        write_npz(tmp_path / "a.npz", empty.images, empty.labels)
        about = {"name": "a", "modality": "m", "task": "binary", "classes": ("x", "y")}
        with pytest.raises(UserError, match="a.npz: train_images holds no image"):
            read_npz(tmp_path / "a.npz", **about, origin="unverified")
    with tried(), pytest.raises(UserError, match="s has no images to train and val and test"):
        axis.of_set(images_of(0), "pixels")
    for content in ("", "\n\n", " "):
        with tried(), pytest.raises(UserError, match="items.jsonl contains no item"):
            (tmp_path / "items.jsonl").write_text(content)
            read_items(tmp_path / "items.jsonl")
    with tried(), pytest.raises(UserError, match="test.json is no list of questions"):
        (tmp_path / "test.json").write_text("[]")
        read_items(tmp_path / "test.json")
    with tried():
        RolloutStore(tmp_path / "out")
        assert "holds no log of a known format" in refused("score", tmp_path / "out")
        rollouts.write_whole(SCHEMA.empty_table(), str(tmp_path / "out/rollouts.parquet"))
        assert "holds no rollout:" in refused("diagnose", tmp_path / "out")


@pytest.mark.fault(
    "Odd numbers and sizes", "an image set of one class, or with one training image",
    "probed: always right, no area under a curve; one image is refused in one line",
)  # fmt: skip
def test_one_class_and_one_image(tried):
    for classes, label in ((("x", "y"), 1), (("x",), 0)):
        with tried():
            found = axis.of_set(images_of(12, classes, label), "pixels")
            values = found.set_index(["probe", "metric"]).value
            for kind in ("linear", "paper", "knn"):
                assert values[kind, "accuracy"] == 1 and np.isnan(values[kind, "auc"])
    with tried(), pytest.raises(UserError, match="needs two training images"):
        axis.of_set(images_of(1), "pixels")
