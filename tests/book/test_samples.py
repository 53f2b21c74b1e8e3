"""The rollout browser shows texts as texts, filters them, and says how many rows there are."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

import tiny
from made_runs import HOSTILE, ROOT, raw_html, write_rollouts, write_run
from medrl.book import samples
from medrl.book.chapter import Chapter
from medrl_core.data import groups
from medrl_core.data.items import build_items, question_of

# 30 items of a greedy answer and three samples: one right answer an item, and it is a sample.
SETS = {"bloodmnist": [[0, 0, 1, 0]] * 30}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("rollouts")
    write_run(top / "runs/toy/02_support", "toy", "02_support")
    write_rollouts(top / "runs/toy/02_support", SETS)
    samples.write(chapter(top), top / "rollouts")
    shutil.copy(ROOT / "book/extra/rollouts/rollouts.js", top / "rollouts")
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


def test_filters_leave_what_fits_and_pages_turn(page: Page) -> None:
    count = page.locator("output[name=count]")
    expect(count).to_have_text("Rows 1 to 10 of 120 that fit, among 120 on this page.")
    page.get_by_role("button", name="Later rows").press("Enter")
    expect(count).to_have_text(re.compile("^Rows 11 to 20 of 120"))
    page.get_by_label("Answer").select_option("right")
    expect(count).to_have_text(re.compile("^Rows 1 to 10 of 30"))
    assert set(page.locator("article .verdict").all_text_contents()) == {"right"}
    expect(page.locator("article").first).to_contain_text("sample 2")
    page.get_by_label("Parser's rule").select_option("tag_text")
    expect(count).to_have_text(re.compile("^Rows 1 to 10 of 30"))
    page.get_by_label("Answer").select_option("wrong")
    expect(page.get_by_label("Parser's rule")).to_have_value("all")  # no wrong row has that rule
    expect(count).to_have_text(re.compile("^Rows 1 to 10 of 90"))
    expect(page.locator("article").first).to_contain_text("no answer")
    page.get_by_label("Text holds").fill("no such words")
    expect(count).to_have_text(re.compile("^None of 0 that fit"))
    expect(page.get_by_role("button", name="Later rows")).to_be_disabled()


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


def test_a_sample_is_even_over_kinds_and_the_same_each_time() -> None:
    frame = pd.DataFrame({"correct": [True] * 95 + [False] * 5, "text": range(100)})
    for name in set(samples.KINDS) - {"correct"}:
        frame[name] = "same"
    drawn = samples.draw(frame, 20)
    assert len(drawn) == 20
    assert (~drawn.correct).sum() == 5
    assert drawn.equals(samples.draw(frame, 20))
    assert len(samples.draw(frame, 1000)) == 100


def test_the_list_says_how_many_of_how_many(folder: Path) -> None:
    assert "`02_support` [toy]{.study}: 120 of 120 rows here; [all rows" in samples.listing(
        chapter(folder)
    )
    data = (folder / "rollouts/rows.js").read_text()
    content = json.loads(data.removeprefix("window.medrlRollouts = ").removesuffix(";\n"))
    assert len(content["rows"]) == 120


def test_without_a_run_the_page_has_no_rows(tmp_path: Path) -> None:
    samples.write(chapter(tmp_path), tmp_path)
    assert '"rows":[]' in (tmp_path / "rows.js").read_text()
    assert "No run has sampled yet" in samples.listing(chapter(tmp_path))


def test_without_javascript_the_page_says_what_to_do(browser: Browser, folder: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((folder / "index.html").as_uri())
    expect(page.locator("#rollouts")).to_be_hidden()
    expect(page.get_by_text("This page needs JavaScript")).to_be_visible()
    context.close()
