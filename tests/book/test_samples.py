"""The page of single answers shows texts as texts, filters items, and reads a log of one's own."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

import tiny
from made_runs import HOSTILE, ROOT, raw_html, write_rollouts, write_run
from medrl.book import law_player, samples
from medrl.book.chapter import Chapter
from medrl_core.data import groups
from medrl_core.data.items import build_items, question_of
from medrl_core.score import law
from running import medrl

# 30 items of a greedy answer and three samples: one right answer an item, and it is a sample.
SETS = {"bloodmnist": [[0, 0, 1, 0]] * 30}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("rollouts")
    write_run(top / "runs/toy/02_support", "toy", "02_support")
    write_rollouts(top / "runs/toy/02_support", SETS)
    samples.write(chapter(top), top / "rollouts")
    shutil.copy(ROOT / "book/extra/rollouts/rollouts.js", top / "rollouts")
    found = law_player.data(ROOT / law.PATH, ROOT / "data/records")
    law_player.write(found, top / "law")
    (top / "index.html").write_text(
        '<!doctype html><meta charset="utf-8">' + raw_html("rollouts.md")
    )
    return top


def chapter(top: Path) -> Chapter:
    return Chapter("toy", top / "runs", top / "records", ROOT / "data")


def test_a_hostile_text_is_shown_as_it_is_and_does_nothing(page: Page) -> None:
    asked = []
    page.on("dialog", lambda dialog: asked.append(dialog.message) or dialog.dismiss())
    text = page.locator("article pre").first
    expect(text).to_contain_text("<script>alert(1)</script> | {{ x }}")
    expect(text).to_contain_text("<img src=x onerror='window.hit = 1'>")
    assert page.locator(".rows script, .rows img").count() == 0
    assert page.evaluate("window.hit") is None
    assert asked == []
    assert text.text_content().startswith(HOSTILE)


def test_marks_show_texts_filters_leave_what_fits_and_the_address_leads_back(page: Page) -> None:
    count = page.locator("output[name=count]")
    n = samples.PER_RUN
    expect(count).to_have_text(f"Item 1 of {n} that fit, among {n} here.")
    marks = page.locator("article .strip button")
    assert marks.all_text_contents() == ["?", "?", "\u2713", "?"]
    marks.nth(2).press("Enter")
    expect(page.locator("article .answer p")).to_contain_text("sample 2: right; read as:")
    page.get_by_role("button", name="Later item").press("Enter")
    expect(count).to_have_text(re.compile("^Item 2 of"))
    second, address = page.locator("article h3").text_content(), page.url
    page.get_by_label("Items").select_option(label="never right, first model")
    expect(count).to_have_text(re.compile("^Item 0 of 0 that fit"))
    expect(page.get_by_role("button", name="Later item")).to_be_disabled()
    page.goto("about:blank")
    page.goto(address)
    assert page.locator("article h3").text_content() == second


LOG = """item_id,greedy,correct,text,options,question
q1,true,1,"yes, it is",red|blue|green,"Is it ""red""?"
q1,false,0,no,red|blue|green,
q1,false,1,yes,red|blue|green,
q1,false,0,<script>window.hit = 1</script>,red|blue|green,
q1,false,0,no,red|blue|green,
q2,true,0,no,red|blue|green,Blue?
q2,false,0,no,red|blue|green,
q2,false,0,no,red|blue|green,
q2,false,0,no,red|blue|green,
q2,false,0,no,red|blue|green,
"""


def opened(page: Page, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    page.locator("input[name=file]").set_input_files(tmp_path / name)


def test_a_log_of_ones_own_gives_the_numbers_of_medrl_score(page: Page, tmp_path: Path) -> None:
    opened(page, tmp_path, "log.csv", LOG)
    expect(page.locator(".own h3")).to_have_text("log.csv: 2 items")
    told = page.locator(".own dt, .own dd").all_text_contents()
    shown = dict(zip(told[::2], told[1::2], strict=True))
    done = medrl("score", tmp_path / "log.csv", "--json", tmp_path / "out.json")
    assert done.exit_code == 0, done.output
    (report,) = json.loads((tmp_path / "out.json").read_text())["logs"]
    scores = {(row["metric"], row["k"]): row["value"] for row in report["scores"]
              if row["scope"] == "overall"}  # fmt: skip
    for k in (1, 2, 4):
        value, floor = scores["pass@k", k], scores["guess_floor@k", k]
        assert shown[f"Pass@{k}"] == f"{100 * value:.1f}%, a guesser {100 * floor:.1f}%"
    assert shown["Acc@1"] == "50.0%"
    assert shown["Expected hits"].startswith("512 right answers among 4,096 completions")
    p = min(law_player.P, key=lambda one: abs(np.log(one / 0.125)))
    chance = law.load_law(ROOT / law.PATH, mark=law.LEARNT).chance(p, 4096)
    assert float(chance) >= 0.5
    said = f"sharpen by RL: RL takes off with a chance of {100 * float(chance):.0f}% at p {p}"
    assert shown["What to do"].startswith(said)
    expect(page.locator("article h3")).to_have_text("q1")
    expect(page.locator("article")).to_contain_text('Is it "red"?')
    page.get_by_label("q1, sample 3").or_(page.get_by_label("your model, sample 3")).first.click()
    expect(page.locator("article pre")).to_have_text("<script>window.hit = 1</script>")
    assert page.evaluate("window.hit") is None


def test_jsonl_and_a_log_of_inspect_are_read(page: Page, tmp_path: Path) -> None:
    rows = [{"item_id": "a", "correct": right, "text": "x"} for right in (True, False)]
    opened(page, tmp_path, "log.jsonl", "\n".join(map(json.dumps, rows)))
    expect(page.locator(".own")).to_contain_text("Pass@2100.0%")
    expect(page.locator(".own")).to_contain_text("not known: the log has no options")
    inspect = {"samples": [
        {"id": 1, "epoch": epoch, "input": "Which?", "choices": ["red", "blue"], "target": "A",
         "output": {"completion": "A"}, "scores": {"choice": {"value": value}}}
        for epoch, value in ((1, "C"), (2, "I"))
    ]}  # fmt: skip
    opened(page, tmp_path, "log.json", json.dumps(inspect))
    expect(page.locator(".own")).to_contain_text("Pass@150.0%, a guesser 50.0%")
    expect(page.locator("article")).to_contain_text("Gold: A")


def test_models_of_a_log_stand_side_by_side_and_what_is_right_already_is_left_alone(
    page: Page, tmp_path: Path
) -> None:
    rows = [
        {"item_id": item, "model": model, "correct": right, "parsed": "x" if right else None,
         "decoding": "greedy" if index < 0 else "t=1"}
        for item in "ab" for model, right in (("base", 0), ("RL", 1)) for index in (-1, 0, 1)
    ]  # fmt: skip
    opened(page, tmp_path, "log.jsonl", "\n".join(map(json.dumps, rows)))
    expect(page.locator(".own h4")).to_have_text(["base", "RL"])
    told = page.locator(".own dl").all_text_contents()
    assert "Acc@10.0%" in told[0] and "labels first, then RL" in told[0]
    assert "Pass@2100.0%" in told[1] and "stop: at most 0 points are left" in told[1]
    assert "4,096 right answers among 4,096 completions" in told[1]
    marks = page.locator("article .strip").first.locator("button")
    assert marks.all_text_contents() == ["?", "?", "?"]  # nothing was read in them
    page.get_by_label("Items").select_option(label="new: only the second does")
    expect(page.locator("output[name=count]")).to_have_text("Item 1 of 2 that fit, among 2 here.")
    page.goto(page.url.replace("item=a", "item=gone"))
    expect(page.locator("output[name=count]")).to_contain_text("gone is not among them")


@pytest.mark.parametrize(("name", "text", "said"), [
    ("log.jsonl", "null\n", "record 1 is no object"),
    ("log.csv", 'item_id,correct\n"q1,1\n', "a quotation mark is never closed"),
    ("log.csv", "item_id,correct\nq1,1,2\n", "row 2 has 3 cells, not 2"),
    ("log.csv", "text,correct\nq1,1\n", "record 1 names no item"),
    ("log.csv", "item_id,text\nq1,yes\n", "record 1 says neither right nor wrong"),
    ("log.csv", "item_id,correct\n", "it has no records"),
    ("log.jsonl", '{"item_id": 1, "correct": 1}\n{', "line 2 is no JSON"),
    ("log.json", "[]", "it has no samples, which a log of inspect has"),
])  # fmt: skip
def test_a_log_that_cannot_be_read_is_one_line(page, tmp_path, name, text, said) -> None:
    opened(page, tmp_path, name, text)
    expect(page.locator(".own .error")).to_contain_text(f"{name}: {said}")


def test_a_hundred_thousand_rows_are_read(page: Page, tmp_path: Path) -> None:
    rows = "".join(f"q{n // 16},{n % 2},some words\n" for n in range(100_000))
    opened(page, tmp_path, "log.csv", f"item_id,correct,text\n{rows}")
    expect(page.locator(".own")).to_contain_text("log.csv: 6250 items", timeout=30_000)
    expect(page.locator(".own")).to_contain_text("Pass@150.0%")


def test_the_question_is_the_one_that_was_asked() -> None:
    images = tiny.made_set(1, 1, 6)
    for answer_format in ("open", "mcq"):
        for item in build_items(images, "test", answer_format, seed=5):
            index = int(item.image_id.split("/")[-1])
            assert question_of(item.modality, index, answer_format, 5) == item.question


def test_the_question_of_a_report_is_the_one_that_was_asked() -> None:
    for item in groups.load("drawn:chest film", "test", n=2):
        row = SimpleNamespace(item_id=item.item_id, modality=item.modality, answer_format="report")
        assert samples._question(row, 5) == item.question == "Report this chest film."


def test_items_are_even_over_groups_the_same_each_time_and_differing_ones_first() -> None:
    rows = [
        {"item_id": f"{group}{n}", "dataset": "d", "modality": group, "model_hash": model,
         "sample_index": index, "correct": model == "b" and n == 7 and index == 0}
        for group in "xy" for n in range(10) for model in "ab" for index in (-1, 0)
    ]  # fmt: skip
    frame = pd.DataFrame(rows)
    drawn = samples.draw(frame, 4)
    assert len(drawn) == 4 and {"x7", "y7"} < set(drawn)
    assert sum(item.startswith("x") for item in drawn) == 2
    assert drawn == samples.draw(frame, 4) and len(samples.draw(frame, 100)) == 20


def test_a_drawn_item_comes_with_its_picture_and_what_it_shows() -> None:
    (item,) = groups.load("drawn:chest film", "test", n=1, seed=900)
    again = samples._drawn(item.item_id)
    assert again.images[0].tobytes() == item.images[0].tobytes()
    assert again.reading == item.reading
    assert samples._drawn("strips-bloodmnist/x/test/0/1") is None


def test_the_list_says_how_many_rows_there_are(folder: Path) -> None:
    assert "`02_support` [toy]{.study}: 120 rows; [all rows" in samples.listing(chapter(folder))


def test_without_a_run_the_page_has_no_items(tmp_path: Path) -> None:
    samples.write(chapter(tmp_path), tmp_path)
    assert '"runs":[]' in (tmp_path / "rows.js").read_text()
    assert "No run has sampled yet" in samples.listing(chapter(tmp_path))


def test_without_javascript_the_page_says_what_to_do(browser: Browser, folder: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((folder / "index.html").as_uri())
    expect(page.locator("#rollouts")).to_be_hidden()
    expect(page.get_by_text("This page needs JavaScript")).to_be_visible()
    context.close()
