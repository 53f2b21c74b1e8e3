"""Each benchmark from its home and from the one evaluation set, on files in their true schemas."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import datasets
import pytest
from PIL import Image

from medrl_core.data import benchmarks, layouts, vqa
from medrl_core.errors import UserError
from medrl_core.models import hub
from medrl_core.sample.rollouts import RolloutStore
from medrl_core.sample.sampling import Decoding
from medrl_core.score.evaluate import evaluate
from medrl_core.score.statistics import score

SHARED = Path(os.environ.get("MEDRL_SHARED", Path(__file__).resolve().parents[3] / "shared"))


def picture(shade: int) -> dict:
    """An image as Parquet holds it."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (shade, 0, 0)).save(buffer, format="PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def parquet(path: Path, rows: list[dict], **images) -> Path:
    """Write rows as the library writes them: columns named in images get its image type."""
    table = datasets.Dataset.from_list(rows)
    for column, kind in images.items():
        table = table.cast_column(column, kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(str(path))
    return path


def eval_row(name: str, index: int, **more) -> dict:
    return {
        "images": [picture(index)], "question": f"Question {index}?",
        "options": "{'A': 'yes', 'B': \"it's not\"}", "answer_label": "B", "answer": "it's not",
        "dataset_name": name, "dataset_index": index,
    } | more  # fmt: skip


MANY = datasets.Sequence(datasets.Image())


@pytest.mark.parametrize("typed", [True, False])
def test_the_one_evaluation_set_gives_each_benchmark_its_rows(tmp_path, typed):
    told = [name for name, _ in vqa.BENCHMARKS.values()]
    rows = [eval_row(name, i) for i, name in enumerate(told * 2)]
    path = parquet(tmp_path / "e.parquet", rows, **({"images": MANY} if typed else {}))
    for benchmark, (name, _) in vqa.BENCHMARKS.items():
        (items,) = benchmarks.load([benchmark], sources={benchmark: str(path)}).values()
        places = [i for i, one in enumerate(told * 2) if one == name]
        assert [item.item_id for item in items] == [f"{benchmark}/test/{i}" for i in places]
        assert {item.options for item in items} == {("yes", "it's not")}
        assert [item.images[0].getpixel((0, 0)) for item in items] == [(i, 0, 0) for i in places]


def test_a_folder_of_shards_is_read_in_order(tmp_path):
    for shard in range(2):
        rows = [eval_row("pmc_vqa", 2 * shard + i) for i in range(2)]
        parquet(tmp_path / "p" / f"test-0000{shard}-of-00002.parquet", rows, images=MANY)
    (items,) = benchmarks.load(["PMC-VQA"], sources={"PMC-VQA": str(tmp_path / "p")}).values()
    assert [item.item_id[-1] for item in items] == ["0", "1", "2", "3"]


def test_options_are_data_and_never_code(tmp_path):
    row = eval_row("pmc_vqa", 0, options="__import__('os').mkdir('x')")
    path = parquet(tmp_path / "e.parquet", [row], images=MANY)
    with pytest.raises(UserError, match="row 0: options are a string that holds no"):
        benchmarks.load(["PMC-VQA"], sources={"PMC-VQA": str(path)})


def saved(folder: Path, name: str, shade: int = 9) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture(shade)["bytes"])


def only(benchmark: str, source: Path):
    ((item,),) = benchmarks.load([benchmark], sources={benchmark: str(source)}).values()
    return item


@pytest.mark.parametrize("benchmark", ["PathVQA", "VQA-RAD"])
def test_homes_of_images_with_a_question_and_an_answer(tmp_path, benchmark):
    rows = [{"image": picture(3), "question": "Is it  there?", "answer": "Yes"}]
    item = only(benchmark, parquet(tmp_path / "t.parquet", rows, image=datasets.Image()))
    assert (item.item_id, item.question) == (f"{benchmark}/test/0", "Is it there?")
    assert (item.gold, item.label_set, item.options) == ("yes", ("yes", "no"), None)


def test_the_home_of_slake_has_two_languages_and_image_files(tmp_path):
    row = {"qid": 7, "img_name": "xmlab1/source.jpg", "q_lang": "en", "question": "Which organ?",
           "answer": "Liver", "answer_type": "OPEN"}
    saved(tmp_path, "imgs/xmlab1/source.jpg")
    (tmp_path / "test.json").write_text(json.dumps([row | {"q_lang": "zh", "qid": 6}, row]))
    item = only("SLAKE", tmp_path / "test.json")
    assert (item.item_id, item.gold, item.label_set) == ("SLAKE/test/7", "liver", ())
    assert item.images[0].getpixel((0, 0)) == (9, 0, 0)


def test_the_home_of_mmmu_marks_images_in_the_text(tmp_path):
    row = {"id": "validation_Pharmacy_1", "question": "<image 1> What is it?", "answer": "A",
           "options": "['aspirin', \"St John's wort\"]", "question_type": "multiple-choice",
           "image_1": picture(1), "image_2": picture(2), "image_3": None}
    kinds = {f"image_{i}": datasets.Image() for i in (1, 2, 3)}
    item = only("MMMU-medical", parquet(tmp_path / "v.parquet", [row], **kinds))
    assert item.question == "(image 1) What is it?" and len(item.images) == 2
    assert (item.options, item.gold) == (("aspirin", "St John's wort"), "A")


def test_the_home_of_medxpertqa_lists_options_in_its_question(tmp_path):
    row = {"id": "MM-1", "question": "Best step?\nAnswer Choices: (A) wait (B) act", "label": "B",
           "options": {"A": "wait", "B": "act"}, "images": ["MM-1-a.jpg"]}
    saved(tmp_path, "images/MM-1-a.jpg")
    (tmp_path / "test.jsonl").write_text(json.dumps(row))
    item = only("MedXpertQA-MM", tmp_path / "test.jsonl")
    assert (item.question, item.options, item.gold) == ("Best step?", ("wait", "act"), "B")


def test_the_home_of_pmc_vqa_is_a_table(tmp_path):
    saved(tmp_path, "images/PMC1.jpg")
    (tmp_path / "test.csv").write_text(
        "Figure_path,Question,Answer,Choice A,Choice B,Choice C,Choice D,Answer_label\n"
        "PMC1.jpg,What stain?,HE, A:HE ,B: PAS,C:none,D:1,A\n"
    )
    item = only("PMC-VQA", tmp_path / "test.csv")
    assert (item.options, item.gold) == (("HE", "PAS", "none", "1"), "A")


HASH = "0" * 40


@pytest.mark.parametrize(("benchmark", "source", "why"), [
    ("PathVQA", "flaviagiammarino/path-vqa", "needs the 40 digits of a commit"),
    ("PathVQA", "flaviagiammarino/path-vqa@main", "needs the 40 digits of a commit"),
    ("PathVQA", f"flaviagiammarino/path-vqa@{HASH}", "cannot be read.*set HF_HUB_OFFLINE=0"),
    ("SLAKE", f"BoKelvin/SLAKE@{HASH}", "are in an archive: hf download BoKelvin/SLAKE"),
    ("SLAKE", f"{layouts.EVAL}@{HASH}", "cannot be read.*set HF_HUB_OFFLINE=0"),
])
def test_nothing_is_fetched_without_a_pinned_revision(benchmark, source, why, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=why) as error:
        benchmarks.load([benchmark], sources={benchmark: source})
    assert "\n" not in str(error.value)


def test_files_of_another_layout_are_one_line(tmp_path):
    path = parquet(tmp_path / "t.parquet", [{"image": picture(1), "question": "Why?"}])
    with pytest.raises(UserError, match="row 0: no answer"):
        only("PathVQA", path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="neither a table nor pictures"):
        only("PathVQA", tmp_path / "empty")
    (tmp_path / "bad.parquet").write_bytes(b"no")
    with pytest.raises(UserError, match="cannot be read"):
        only("PathVQA", tmp_path / "bad.parquet")
    row = {"qid": 0, "img_name": "../../out.png", "q_lang": "en", "question": "?", "answer": "x"}
    (tmp_path / "test.json").write_text(json.dumps([row]))
    with pytest.raises(UserError, match="leads out"):
        only("SLAKE", tmp_path / "test.json")


def of_vqa_rad(folder: Path, n: int) -> tuple[Path, Path]:
    """The first closed questions of the real VQA-RAD, as the kit's JSONL and as the data set."""
    source = SHARED / "vqa" / "vqa_rad"
    told = json.loads((source / "test.json").read_text())
    lines, rows = [], []
    for row in [row for row in told if row["answer"].lower() in ("yes", "no")][:n]:
        label = "A" if row["answer"].lower() == "yes" else "B"
        same = {"question": row["question"], "answer_label": label, "answer": row["answer"],
                "dataset_name": "vqa_rad_closed", "dataset_index": row["id"]}
        lines.append(same | {"options": {"A": "yes", "B": "no"}, "image_paths": [row["image"]]})
        image = {"bytes": (source / row["image"]).read_bytes(), "path": row["image"]}
        rows.append(same | {"options": "{'A': 'yes', 'B': 'no'}", "images": [image]})
    (folder / "kit").mkdir()
    (folder / "kit" / "vqa_rad.jsonl").write_text("\n".join(map(json.dumps, lines)))
    for line in lines:
        path = folder / "kit" / line["image_paths"][0]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((source / line["image_paths"][0]).read_bytes())
    return folder / "kit", parquet(folder / "rad.parquet", rows, images=MANY)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared folder with real images is not here")
def test_real_vqa_rad_gives_equal_results_from_the_jsonl_and_from_the_data_set(tmp_path):
    kit, table = of_vqa_rad(tmp_path, 6)
    small = {"max_pixels": 2000}  # a tiny model looks at every pixel
    (lines,) = benchmarks.load(["VQA-RAD"], str(kit), **small).values()
    (rows,) = benchmarks.load(["VQA-RAD"], sources={"VQA-RAD": str(table)}, **small).values()
    assert len(lines) == 6
    assert benchmarks.fingerprint(lines) == benchmarks.fingerprint(rows)
    net, processor = hub.load("data/drawn-base")
    frames = [
        evaluate(net, processor, items, RolloutStore(tmp_path / name), k=2, seed=0,
                 decoding=Decoding(max_new_tokens=12), model_name="m", model_hash="h")
        for name, items in (("lines", lines), ("rows", rows))
    ]  # fmt: skip
    assert frames[0].equals(frames[1])
    assert score(frames[0]).equals(score(frames[1]))
