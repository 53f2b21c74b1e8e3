"""The one-file report of a log: what it holds, and that no text of a model acts in it."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from browsing import axe_faults
from made_logs import PIXEL, QUESTIONS, trl_frame
from medrl.commands import log_page, log_report
from medrl_core.score.logs import recognise
from medrl_core.score.logs.grading import grade

# Each would change the title if any part of the page ran it.
HOSTILE = [
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "<svg onload=\"document.title='owned'\"></svg>",
    "{{ 7 * 7 }}{% for x in y %}",
    "<!--<script>",
    "</pre></li></ul><iframe src=\"javascript:parent.document.title='owned'\"></iframe>",
    "\u2028\u2029 \\u003c/script\\u003e ' \" ` & <answer>A</answer>",
]


def page_of(path: Path, **how) -> str:
    [log] = recognise.read(path)
    graded = grade(log)
    return log_page.page([(graded, log_report.report(graded, **how))])


def table(path: Path, image: str = PIXEL, hostile: bool = True, n: int = 6) -> Path:
    rows = []
    for item in range(n):
        one = QUESTIONS[item % 4]
        words = HOSTILE[item % len(HOSTILE)] if hostile else ""
        rows += [
            {"item_id": f"{words}{item}", "question": f"{one.text} {words}", "gold": one.gold,
             "options": json.dumps([f"{text} {words}" for text in one.options]), "image": image,
             "model": HOSTILE[0] if hostile else "m", "correct": index % 2 == 0,
             "text": f"{HOSTILE[index % 7] if hostile else ''} Answer: {'ABCA'[index % 4]}"}
            for index in range(4)
        ]  # fmt: skip
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    """For the fixture `page`: a report of hostile texts as index.html."""
    (tmp_path / "index.html").write_text(page_of(table(tmp_path / "a.csv")), encoding="utf-8")
    return tmp_path


def test_hostile_texts_do_not_act_in_a_browser(page):
    assert page.title() == "Pass@K report: a.csv"
    for at in range(6):
        assert page.locator(".card").count() == 1
        card = page.locator(".card").inner_text()
        assert QUESTIONS[at % 4].text in card and "Answer: A" in card
        assert page.locator(".card script, .card iframe, .card svg").count() == 0
        if at < 5:
            page.get_by_role("button", name="next").click()
    page.wait_for_timeout(200)
    assert page.title() == "Pass@K report: a.csv"


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_the_page_fits_and_has_no_serious_fault(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert axe_faults(page) == []


def test_items_are_found_by_kind_and_word(page):
    assert page.locator(".filters .small").inner_text() == "1 of 6"
    page.get_by_label("which items").select_option(label="never right (0)")
    assert page.locator(".card").count() == 0
    page.get_by_label("which items").select_option(index=0)
    page.get_by_label("find in questions and answers").fill("MENISKUS")
    assert page.locator(".filters .small").inner_text() == "1 of 1"


def test_the_page_says_what_the_report_says(tmp_path):
    html = page_of(table(tmp_path / "a.csv", hostile=False, n=24))
    assert "With 4 answers an item" in html and "Pass@1, in place of Acc@1" in html
    assert "the paper's rule" in html.lower() or "The paper&#39;s rule" in html
    for words in ("What to do", "right ones", "without an answer", "Whose verdicts", "Acc@1 is wi"):
        assert words in html
    assert html.count("<svg") == 2 and "NaN" not in html and "None" not in html
    assert not re.search(r"https?://", html)


def test_a_series_has_its_table_and_figure(tmp_path):
    for step in (0, 5):
        trl_frame(step).to_parquet(tmp_path / f"completions_{step:05d}.parquet")
    html = page_of(tmp_path)
    assert "Over training steps" in html and html.count("<svg") == 3


def test_json_in_the_page_cannot_end_its_element():
    text = log_page.embedded({"a": "</script><!--\u2028&"})
    assert not set("<>&\u2028") & set(text) and json.loads(text) == {"a": "</script><!--\u2028&"}


def noise(side: int, kind: str) -> str:
    out = io.BytesIO()
    Image.effect_noise((side, side), 80).save(out, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(out.getvalue()).decode()}"


def test_pictures_are_small_raster_data_or_words(tmp_path):
    def shown(image: str) -> dict[str, str]:
        return log_page._picture(image, str(tmp_path / "a.csv"))

    found = shown(noise(900, "PNG"))["url"]
    with Image.open(io.BytesIO(base64.b64decode(found.partition(",")[2]))) as picture:
        assert max(picture.size) == log_page.PICTURE
    assert len(found) < 100_000
    Image.new("RGB", (20, 10), "red").save(tmp_path / "x.png")
    assert shown("x.png")["url"].startswith("data:image/png;base64,")
    for image, words in (("https://example.org/a.png", "does not load"), ("gone.png", "not beside"),
                         ("data:image/svg+xml;base64,PHN2Zz4=", "of a kind"),
                         ("data:image/png;base64,AAAA", "cannot be read"),
                         ("javascript:alert(1)", "not beside")):  # fmt: skip
        assert words in shown(image)["said"]


def test_of_too_many_items_some_are_shown_and_long_texts_are_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(log_page, "MOST_ITEMS", 10)
    monkeypatch.setattr(log_page, "LONGEST", 40)
    path = table(tmp_path / "a.csv", hostile=False, n=60)
    html = page_of(path)
    assert "10 of 60 items are here, those first whose two verdicts differ." in html
    items = json.loads(re.search(r'id="items-1">(.*?)</script>', html)[1])
    assert len(items) == 10
    frame = pd.read_csv(path).assign(text="Answer: A " + "x" * 100)
    frame.to_csv(path, index=False)
    assert "signs left out ..." in page_of(path)
    monkeypatch.setattr(log_page, "MOST_SIGNS", 1500)
    assert "of 60 items are here" in page_of(path)
