"""Items from real files: each kind of surprise with the value worked out by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import datasets
import pytest
from PIL import Image

from medrl_core.data import check
from medrl_core.data.items import Item
from medrl_core.data.own import files, read_items
from medrl_core.errors import LONGEST, UserError

ROW = {"image": "a.png", "question": "Which?", "answer": "yes"}


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8), (9, 0, 0)).save("a.png")
    return tmp_path


def put(name: str, *rows: dict) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(list(rows)) if name.endswith("json") else "\n".join(map(json.dumps, rows))
    Path(name).write_text(text)
    return name


def one(**values) -> Item:
    (item,) = read_items(put("x.json", ROW | values))
    return item


# ---- splits


def test_splits_come_from_the_names_of_files(here):
    for name, n in (("train-0.jsonl", 3), ("test-0.jsonl", 2), ("validation.jsonl", 1)):
        put(f"set/{name}", *({**ROW, "image": None, "id": f"{name}{i}"} for i in range(n)))
    assert [item.split for item in read_items("set")] == ["test"] * 2
    assert len(read_items("set", split="train")) == 3 and len(read_items("set", split="val")) == 1
    assert len(read_items("set", split="all")) == 6
    Path("set/more.jsonl").write_text(json.dumps(ROW))
    with pytest.raises(UserError, match="more.jsonl is named for no split, other files are"):
        read_items("set")


def test_splits_come_from_a_column(here):
    rows = [ROW | {"split": told, "id": i} for i, told in enumerate(["train", "Validation", "dev"])]
    assert len(read_items(put("x.json", *rows), split="val")) == 2
    with pytest.raises(UserError, match="x.json has the splits train and val: say which"):
        read_items("x.json")
    with pytest.raises(UserError, match="has no split test, only train, val"):
        read_items("x.json", split="test")
    with pytest.raises(UserError, match="split 'fold 3' is neither train, val nor test"):
        read_items(put("x.json", ROW | {"split": "fold 3"}))


def test_a_split_that_nothing_names_is_the_one_asked_for(here):
    put("x.json", ROW)
    assert read_items("x.json")[0].split == "test"
    assert read_items("x.json", split="train")[0].split == "train"


# ---- values of JSON


@pytest.mark.parametrize(("answer", "gold", "kind"), [
    (True, "yes", "closed"), (False, "no", "closed"), (3, "3", "open"), (3.0, "3", "open"),
    (1.5, "1.5", "open"), ("Yes", "yes", "closed"), ("Left  Lung", "left lung", "open"),
])  # fmt: skip
def test_answers_of_all_json_types(here, answer, gold, kind):
    item = one(answer=answer)
    assert (item.gold, item.answer_format) == (gold, kind)


def test_vqa_rad_as_its_authors_publish_it(here):
    """Answers of mixed types, closed by its own field ("CLOSED " too), the split in phrase_type.

    By hand: of five rows three are closed; two of them, and one open one, are of the test split.
    """
    Path("VQA_RAD Image Folder").mkdir()
    Image.new("L", (4, 4)).save("VQA_RAD Image Folder/s1.jpg")
    rows = [
        ("Yes", "CLOSED", "test_freeform"), ("left", "CLOSED ", "test_para"),
        (3, "OPEN", "test_freeform"), (False, "CLOSED", "freeform"), ("yes", "OPEN", "para"),
    ]  # fmt: skip
    put("public.json", *(
        {"qid": i, "image_name": "s1.jpg", "question": "Is it?", "answer": answer,
         "answer_type": kind, "phrase_type": phrase}
        for i, (answer, kind, phrase) in enumerate(rows)
    ))  # fmt: skip
    items = read_items("public.json", split="all", name="VQA-RAD")
    found = [(item.split, item.answer_format, item.gold, item.label_set) for item in items]
    assert found == [
        ("test", "closed", "yes", ("yes", "no")), ("test", "closed", "left", ()),
        ("test", "open", "3", ()), ("train", "closed", "no", ("yes", "no")),
        ("train", "open", "yes", ()),
    ]  # fmt: skip


def test_a_list_is_several_accepted_answers(here):
    item = one(answer=["Liver", "hepar", None])
    assert item.gold == "liver" and item.synonyms == {"hepar": "liver"}
    assert one(answer="['1.5', '3/2']").synonyms == {"3/2": "1.5"}
    with pytest.raises(UserError, match="no answer"):
        one(answer=[])


@pytest.mark.parametrize(("options", "found"), [
    (["a", "b", None], ("a", "b")), (["a", "b", "", math.nan], ("a", "b")),
    ({"A": "a", "B": "b", "C": math.nan}, ("a", "b")), ("a|b | c", ("a", "b", "c")),
    ([True, 2.0], ("yes", "2")), ([None, None], None),
])  # fmt: skip
def test_empty_options_are_not_counted(here, options, found):
    item = one(options=options, answer=None if found else "x", answer_label="B" if found else None)
    assert item.options == found and item.n_options == len(found or ())


@pytest.mark.parametrize(("values", "says"), [
    ({"options": ["a", "b"], "answer_label": "AB", "answer": None}, "'AB' is no letter of 2"),
    ({"options": ["a", "b"], "answer_label": "C", "answer": None}, "'C' is no letter of 2"),
    ({"options": ["3", "4"], "answer_label": "B", "answer": 3}, "'3' is not option B ('4')"),
    ({"options": ["-3", "3"], "answer_label": "B", "answer": -3}, "'-3' is not option B"),
    ({"options": ["a", None, "c"], "answer_label": "C", "answer": None}, "option B is empty"),
    ({"options": ["a", "b"], "answer": "c"}, "answer 'c' is none of the 2 options"),
    ({"options": ["a", "a"], "answer": "a"}, "answer 'a' is option A and B: give answer_label"),
    ({"answer": math.nan}, "no answer"),
    ({"answer": {"text": "x"}}, "neither text nor number"),
    ({"question": 0.0}, None),
])
def test_values_that_contradict_each_other_are_refused(here, values, says):
    if says is None:
        assert one(**values).question == "0"
        return
    with pytest.raises(UserError) as error:
        one(**values)
    assert says in str(error.value)


@pytest.mark.parametrize("answer", ["Left lung.", "left  lung", "(left lung)", "B", "b.", "B)"])
def test_a_gold_that_differs_by_punctuation_alone_is_the_option(here, answer):
    assert one(options=["right lung", "left lung"], answer_label="B", answer=answer).gold == "B"
    assert one(options=["right lung", "left lung"], answer=answer).gold == "B"


def test_doubled_ids_are_found_while_reading(here):
    rows = [ROW | {"id": told} for told in (1, 2, "1", 2.0, 2)]
    says = r"3 bad: question 2: x/test/1 is on question 0 too; question 3: x/test/2 is on"
    with pytest.raises(UserError, match=says):
        read_items(put("x.json", *rows))


def test_a_message_names_three_and_a_count_and_stays_short(here):
    rows = [ROW | {"id": i, "image": f"{'long' * 300}{i}.png"} for i in range(1000)]
    with pytest.raises(UserError) as error:
        read_items(put("x.json", *rows))
    said = str(error.value)
    assert "1000 bad: question 0: " in said and "and 997 more: fix them" in said
    assert len(said) < LONGEST + 10 and len(str(UserError("x" * 239_000 + "remedy"))) < LONGEST + 10
    assert str(UserError("x" * 239_000 + "remedy")).endswith("remedy")


# ---- sources


def test_classes_of_a_saved_set_have_their_names(here):
    kind = datasets.ClassLabel(names=["benign", "malignant"])
    table = datasets.Dataset.from_dict(
        {"label": [1, 0], "question": ["Q?"] * 2}, features=datasets.Features(
            {"label": kind, "question": datasets.Value("string")})
    )  # fmt: skip
    table.save_to_disk("saved")
    assert [item.gold for item in read_items("saved")] == ["malignant", "benign"]


def test_the_name_is_the_users(here):
    put("x.json", ROW)
    assert read_items("x.json")[0].item_id == "x/test/0"
    item = read_items("x.json", name="Our-Ward")[0]
    assert (item.dataset, item.item_id) == ("Our-Ward", "Our-Ward/test/0")
    Path("about.yaml").write_text("source: x.json\nname: Mine\n")
    assert read_items("about.yaml")[0].dataset == "Mine"


@pytest.mark.parametrize(("text", "says"), [
    ("name: a", "source: field required"), ("source: x.json\nclases: [a]", "clases"),
    ("source: x.json\ncolumns: {answer: gold}", "no column 'gold'; there are image"),
    ("source: x.json\nclasses: [a, b]", "answer 'yes' is none of the 2 classes"),
    ("source: none.csv", "none.csv is not there"),
])  # fmt: skip
def test_a_wrong_yaml_is_one_line(here, text, says):
    put("x.json", ROW)
    Path("about.yaml").write_text(text)
    with pytest.raises(UserError, match=says.replace("?", ".")) as error:
        read_items("about.yaml")
    assert "\n" not in str(error.value)


def test_unnamed_classes_and_odd_folders_are_refused(here):
    import numpy as np

    splits, black = ("train", "val", "test"), np.zeros((2, 8, 8), np.uint8)
    arrays = {f"{split}_images": black for split in splits}
    arrays |= {f"{split}_labels": np.array([[0], [1]]) for split in splits}
    np.savez("cells.npz", **arrays)
    with pytest.raises(UserError, match="numbers its classes: name them in a YAML"):
        read_items("cells.npz")
    Path("one/kind").mkdir(parents=True)
    Image.new("L", (4, 4)).save("one/kind/a.png")
    with pytest.raises(UserError, match="neither a table nor pictures in a folder a class"):
        read_items("one")
    Path("both").mkdir()
    put("both/a.jsonl", ROW)
    Path("both/b.csv").write_text("question,answer\nq,a\n")
    with pytest.raises(UserError, match="contains .csv and .jsonl files: name the one"):
        read_items("both")


def test_files_lists_the_pictures_that_rows_name(here):
    put("x.json", ROW, ROW | {"image": "none.png"})
    assert [path.name for path in files("x.json")] == ["a.png", "x.json"]
    assert files("nowhere.csv") == files(f"owner/name@{'0' * 40}") == []


# ---- check


def test_check_counts_balance_floor_and_copies(here):
    """Six items by hand: test yes, yes, no; a copy and a near copy of test's pictures in train."""
    shades = Image.linear_gradient("L").resize((64, 64)).transpose(Image.Transpose.ROTATE_90)
    shades.save("g.png")
    marked = shades.copy()
    marked.putpixel((5, 5), 255)
    marked.save("h.png")
    put("set/test.jsonl", *(
        {"image": "../g.png", "question": f"{i}?", "answer": told}
        for i, told in enumerate(["yes", "yes", "no"])
    ))  # fmt: skip
    Path("set/test.jsonl").write_text(Path("set/test.jsonl").read_text().replace("../", ""))
    put("set/train.jsonl", ROW | {"image": "g.png"}, ROW | {"image": "h.png"},
        ROW | {"image": None, "answer": "left"})  # fmt: skip
    for name in ("g.png", "h.png"):
        Path(name).rename(f"set/{name}")
    said = list(check.lines(read_items("set", split="all")))
    assert said[0] == "items: 6 (test 3, train 3) of set"
    assert "closed: 5 items, guess floor 80.0%" in said and "  answers: yes 4, no 1" in said
    assert "open: 1 items, guess floor 0.0%" in said
    assert "pictures: 2 different; 1 items have none" in said
    assert "pictures equal in two splits: 1 (set/test/0 and set/train/0)" in said
    assert "pictures alike in two splits: 1 (set/test/0 and set/train/1)" in said


def test_the_floor_of_options_is_chance_or_the_commonest_letter(here):
    """Four of 2 options, gold A, A, A, B: the letter gives 3/4, chance 1/2."""
    rows = [ROW | {"id": i, "options": ["a", "b"], "answer_label": told, "answer": None}
            for i, told in enumerate("AAAB")]  # fmt: skip
    assert check.floor(read_items(put("x.json", *rows))) == 0.75
    assert check.floor([]) != check.floor([])
