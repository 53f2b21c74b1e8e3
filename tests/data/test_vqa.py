"""VQA readers."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from medrl_core.data import vqa
from medrl_core.errors import UserError

SHARED = Path(os.environ.get("MEDRL_SHARED", Path(__file__).resolve().parents[3] / "shared"))
GOOD = {
    "dataset_name": "pmc_vqa",
    "dataset_index": 7,
    "image_paths": ["one.png"],
    "question": "Which  organ is shown?",
    "options": {"A": "liver", "B": "heart"},
    "answer_label": "B",
    "answer": "Heart",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inner = tmp_path / "items"
    inner.mkdir()
    Image.new("L", (40, 20), 90).save(inner / "one.png")
    Image.new("RGB", (8, 8), (1, 2, 3)).save(inner / "two.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "outside.png")
    return inner


def write(folder: Path, *rows: object) -> Path:
    path = folder / "items.jsonl"
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    return path


def test_a_choice_item_is_read_whole(folder: Path) -> None:
    (item,) = vqa.read_jsonl(write(folder, GOOD))
    assert (item.item_id, item.image_id) == ("pmc_vqa/test/7", "pmc_vqa/one.png")
    assert item.options == item.label_set == ("liver", "heart")
    assert (item.gold, item.answer_format, item.split) == ("B", "mcq", "test")
    assert item.question == "Which organ is shown?" and item.modality == "medical figure"
    assert item.images[0].mode == "RGB" and item.images[0].size == (40, 20)


@pytest.mark.parametrize("options", [None, "", {}, "None", "null"])
def test_without_options_the_item_is_open(folder: Path, options: object) -> None:
    row = GOOD | {"options": options, "answer_label": None}
    yes, free = vqa.read_jsonl(
        write(folder, row | {"answer": "Yes"}, row | {"answer": "Left lung", "dataset_index": 8})
    )
    assert (yes.answer_format, yes.gold, yes.label_set) == ("open", "yes", ("yes", "no"))
    assert (free.options, free.gold, free.label_set) == (None, "left lung", ())


@pytest.mark.parametrize(
    "options",
    ['{"A": "liver", "B": "heart"}', "{'A': 'liver', 'B': 'heart'}", ["liver", "heart"]],
)
def test_options_may_be_a_list_or_a_string_that_holds_a_dict(folder: Path, options) -> None:
    (item,) = vqa.read_jsonl(write(folder, GOOD | {"options": options}))
    assert item.options == ("liver", "heart")


def test_several_images_and_a_shared_image_are_kept_apart(folder: Path) -> None:
    pair, single = vqa.read_jsonl(
        write(folder, GOOD | {"image_paths": ["two.png", "one.png"]}, GOOD | {"dataset_index": 8})
    )
    assert pair.image_id == "pmc_vqa/two.png+one.png" and len(pair.images) == 2
    assert single.images[0] is pair.images[1]  # decoded once


def test_large_images_are_made_smaller(folder: Path) -> None:
    (item,) = vqa.read_jsonl(write(folder, GOOD), max_pixels=200)
    assert item.images[0].size == (20, 10)


def test_each_kind_of_image_becomes_rgb(folder: Path) -> None:
    half = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    half.putpixel((0, 0), (10, 20, 30, 255))
    kinds = {
        "grey.png": (Image.new("L", (2, 1), 90), (90, 90, 90)),
        "deep.png": (Image.fromarray(np.full((1, 2), 0x8001, np.uint16)), (128, 128, 128)),
        "bit.png": (Image.new("1", (2, 1), 1), (255, 255, 255)),
        "palette.png": (Image.new("RGB", (2, 1), (1, 2, 3)).quantize(), (1, 2, 3)),
        "cmyk.tif": (Image.new("CMYK", (2, 1), (0, 255, 255, 0)), (255, 0, 0)),
        "alpha.png": (half, (10, 20, 30)),
        "pixel.png": (Image.new("RGB", (1, 1), (7, 8, 9)), (7, 8, 9)),
    }
    for name, (image, _) in kinds.items():
        image.save(folder / name)
    rows = [GOOD | {"image_paths": [name], "dataset_index": name} for name in kinds]
    items = vqa.read_jsonl(write(folder, *rows))
    for item, (name, (_, first)) in zip(items, kinds.items(), strict=True):
        assert item.images[0].mode == "RGB" and item.images[0].getpixel((0, 0)) == first, name
    assert items[5].images[0].getpixel((1, 0)) == (255, 255, 255)  # no black text on black
    Image.fromarray(np.ones((2, 2), np.float32)).save(folder / "float.tif")
    with pytest.raises(UserError, match="image float.tif is of mode F"):
        vqa.read_jsonl(write(folder, GOOD | {"image_paths": ["float.tif"]}))


BAD = {
    "no JSON": "{",
    "no JSON object": "[1]",
    "no question": GOOD | {"question": " "},
    "no dataset_name": GOOD | {"dataset_name": None},
    "no dataset_index": {k: v for k, v in GOOD.items() if k != "dataset_index"},
    "image_paths is no list": GOOD | {"image_paths": "one.png"},
    "image 'none.png' is not there": GOOD | {"image_paths": ["none.png"]},
    "image path '../outside.png' leads out": GOOD | {"image_paths": ["../outside.png"]},
    "image path '/etc/hostname' leads out": GOOD | {"image_paths": ["/etc/hostname"]},
    "image items.jsonl cannot be read": GOOD | {"image_paths": ["items.jsonl"]},
    "is not a path": GOOD | {"image_paths": ["a" * 5000]},
    "need A, B, C": GOOD | {"options": {"A": "x", "C": "y"}},
    "1 options": GOOD | {"options": ["x"]},
    "holds no dict": GOOD | {"options": "__import__('os').getcwd()"},
    "options are no dict": GOOD | {"options": 3},
    "no answer_label": GOOD | {"answer_label": None},
    "'C' is no letter of 2": GOOD | {"answer_label": "C"},
    "is not option B": GOOD | {"answer": "liver"},
    "no answer": GOOD | {"options": None, "answer": ""},
    "surrogate": json.dumps(GOOD).replace("organ", "\\ud800"),
}


@pytest.mark.parametrize("says", BAD)
def test_each_bad_line_says_what_is_wrong(folder: Path, says: str) -> None:
    with pytest.raises(UserError) as caught:
        vqa.read_jsonl(write(folder, GOOD, "", BAD[says]))
    assert "1 bad: line 3: " in str(caught.value) and says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_bad_lines_stand_in_one_report_and_can_be_left_out(folder: Path) -> None:
    path = write(folder, "{", GOOD, GOOD, GOOD | {"question": ""}, GOOD | {"dataset_index": "x"})
    expected = (
        "3 bad: line 1: no JSON; line 3: pmc_vqa/test/7 is on line 2 too; line 4: no question"
    )
    with pytest.raises(UserError, match=expected):
        vqa.read_jsonl(path)
    with pytest.warns(UserWarning, match=expected):
        items = vqa.read_jsonl(path, skip_bad=True)
    assert [item.item_id for item in items] == ["pmc_vqa/test/7", "pmc_vqa/test/x"]


def test_links_may_stay_inside_but_not_lead_out(folder: Path) -> None:
    (folder / "in.png").symlink_to("one.png")
    (folder / "out.png").symlink_to("../outside.png")
    (folder / "up").symlink_to("..")
    (folder / "loop.png").symlink_to("loop.png")
    (item,) = vqa.read_jsonl(write(folder, GOOD | {"image_paths": ["in.png"]}))
    assert item.image_id == "pmc_vqa/one.png"  # one picture has one id
    for name in ("out.png", "up/outside.png", "loop.png"):
        with pytest.raises(UserError, match="leads out|is not a path|is not there"):
            vqa.read_jsonl(write(folder, GOOD | {"image_paths": [name]}))


def test_no_file_and_no_item_are_mistakes(folder: Path) -> None:
    with pytest.raises(UserError, match="FileNotFoundError"):
        vqa.read_jsonl(folder / "none.jsonl")
    with pytest.raises(UserError, match="holds no item"):
        vqa.read_jsonl(write(folder, "", " "))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(field=st.sampled_from(sorted(GOOD)), value=json_values)
def test_no_value_ends_in_another_error(folder: Path, field: str, value: object) -> None:
    path = write(folder, GOOD | {field: value})
    try:
        (item,) = vqa.read_jsonl(path)
    except UserError as error:
        assert "line 1: " in str(error) and "\n" not in str(error)
    else:
        assert item.gold and item.question
        item.item_id.encode()


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60))
def test_no_bytes_end_in_another_error(folder: Path, content: bytes) -> None:
    (folder / "items.jsonl").write_bytes(content)
    with pytest.raises(UserError):
        vqa.read_jsonl(folder / "items.jsonl")


def eval_row(**changes: object) -> dict:
    row = GOOD | {"options": "{'A': 'liver', 'B': 'heart'}", "images": [Image.new("RGB", (9, 9))]}
    return {k: v for k, v in row.items() if k != "image_paths"} | changes


def test_rows_of_one_benchmark_become_items() -> None:
    other = eval_row(dataset_name="slake_closed", question="")
    one, two = vqa.from_rows(
        [eval_row(), other, eval_row(dataset_index=8, answer_label="A", answer="liver")], "PMC-VQA"
    )
    assert (one.item_id, one.dataset, one.gold) == ("PMC-VQA/test/7", "PMC-VQA", "B")
    assert two.gold == "A" and one.image_id == two.image_id


@pytest.mark.parametrize(
    ("rows", "benchmark", "says"),
    [
        ([eval_row()], "VQA", "use one of PMC-VQA"),
        ([eval_row()], "SLAKE", "'slake_closed'"),
        ([eval_row(question="")], "PMC-VQA", "row 0 of PMC-VQA: no question"),
        ([{"dataset_name": "pmc_vqa"}], "PMC-VQA", "has no 'images'"),
    ],
)
def test_wrong_rows_end_in_one_line(rows: list, benchmark: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        vqa.from_rows(rows, benchmark)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_vqa_rad_layout_is_read_and_checked(folder: Path) -> None:
    rows = [
        {
            "id": 0,
            "image": "one.png",
            "question": "is it?",
            "answer": "Yes ",
            "answer_type": "CLOSED",
        },
        {
            "id": 1,
            "image": "one.png",
            "question": "where?",
            "answer": "Left",
            "answer_type": "OPEN",
        },
    ]
    (folder / "test.json").write_text(json.dumps(rows))
    first, second = vqa.read_vqa_rad(folder)
    assert (first.gold, first.label_set, second.label_set) == ("yes", ("yes", "no"), ())
    assert first.image_id == second.image_id == "VQA-RAD/one.png"
    assert [i.item_id for i in vqa.read_vqa_rad(folder, closed_only=True)] == ["VQA-RAD/test/0"]
    rows[1]["image"] = "../outside.png"
    (folder / "test.json").write_text(json.dumps(rows))
    with pytest.raises(UserError, match="question 1: image path '../outside.png' leads out"):
        vqa.read_vqa_rad(folder)
    for text, says in (("{", "cannot be read"), ("{}", "no list"), ("[3]", "question with an id")):
        (folder / "test.json").write_text(text)
        with pytest.raises(UserError, match=says):
            vqa.read_vqa_rad(folder)
    with pytest.raises(UserError, match="not there"):
        vqa.read_vqa_rad(folder, "train")
    with pytest.raises(UserError, match="use train or test"):
        vqa.read_vqa_rad(folder, "val")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared folder with real images is not here")
def test_real_vqa_rad_is_what_its_readme_says() -> None:
    items = vqa.read_vqa_rad(SHARED / "vqa" / "vqa_rad", max_pixels=4096)
    assert len(items) == 451 and len({item.item_id for item in items}) == 451
    closed = Counter(item.gold for item in items if item.label_set)
    assert closed == {"no": 133, "yes": 118}
    assert len({item.image_id for item in items}) == 203
