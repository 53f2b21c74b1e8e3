"""Every page of the built book in a real browser, as a stranger would open it.

`make pages` runs this on _build/html and keeps screenshots in _build/screenshots.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from browsing import Heard, axe_faults, broken_links, chromium, listen, read_pages, served

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
HEAVIEST = 2_000_000  # bytes of all that one page loads
# Nothing moves while it is looked at.
STILL = "*, *::before, *::after { transition: none !important; animation: none !important }"
SHOWN = "figure img, .cell_output img"
HALF_SEEN = f"""[...document.querySelectorAll("{SHOWN}")]
  .filter(image => !image.naturalWidth || image.getBoundingClientRect().width < 150)
  .map(image => image.src.slice(0, 100))"""
UNSAID = "[...document.images].filter(image => !image.alt.trim()).map(i => i.src.slice(0, 100))"
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def html(request: pytest.FixtureRequest) -> Path:
    folder = request.config.getoption("--book")
    if folder is None:
        pytest.skip("make pages checks the built book; this run names none (--book _build/html)")
    if not (folder / "index.html").is_file():
        pytest.fail(f"no book in {folder}: build it by make book")
    return folder.resolve()


@pytest.fixture(scope="module")
def browser(html: Path) -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def site(html: Path) -> Iterator[str]:
    with served(html) as base:
        yield base


@dataclass
class Visit:
    """What was found on one page."""

    heard: Heard
    unsaid: list[str]  # images without alternative text
    half_seen: list[str]  # figures without size
    faults: dict[str, list[str]]  # theme to faults by axe-core
    sideways: int  # pixels that a phone would scroll sideways


def visit(page: Page, base: str, name: str, shots: Path) -> Visit:
    """Open one page on a phone and on a desk, in the light and in the dark."""
    heard = listen(page)
    page.set_viewport_size(NARROW)
    page.goto(base + name, wait_until="load")
    page.add_style_tag(content=STILL)
    sideways = page.evaluate(SIDEWAYS)
    shot = name.removesuffix(".html").replace("/", "-")
    page.screenshot(path=shots / f"{shot}-390.png")
    page.set_viewport_size(WIDE)
    page.screenshot(path=shots / f"{shot}-1280.png")
    faults = {"light": axe_faults(page)}
    page.emulate_media(color_scheme="dark")
    page.screenshot(path=shots / f"{shot}-1280-dark.png")
    faults["dark"] = axe_faults(page, ["color-contrast"])
    return Visit(heard, page.evaluate(UNSAID), page.evaluate(HALF_SEEN), faults, sideways)


@pytest.fixture(scope="module")
def visits(html: Path, browser: Browser, site: str) -> dict[str, Visit]:
    shots = html.with_name("screenshots")
    shots.mkdir(exist_ok=True)
    for old in shots.glob("*.png"):
        old.unlink()
    names = [path.relative_to(html).as_posix() for path in sorted(html.rglob("*.html"))]
    context, found = browser.new_context(), {}
    for name in [name for name in names if not name.startswith("_")]:
        page = context.new_page()
        found[name] = visit(page, site, name, shots)
        page.close()
    context.close()
    assert len(found) > 25
    return found


def test_no_page_complains(visits: dict[str, Visit]) -> None:
    assert {n: one.heard.errors for n, one in visits.items() if one.heard.errors} == {}


@pytest.mark.fault(
    "Untrusted input",
    "each page of the built book, opened in Chromium",
    "nobody outside is asked for anything",
)
def test_no_page_asks_outside(visits: dict[str, Visit], site: str, tried) -> None:
    with tried(len(visits)):
        assert {n: out for n, one in visits.items() if (out := one.heard.outside(site))} == {}


def test_no_page_is_heavy(visits: dict[str, Visit], html: Path) -> None:
    weights = {name: one.heard.weight(html) for name, one in visits.items()}
    assert min(weights.values()) > 100_000  # the theme alone
    assert {name: weight for name, weight in weights.items() if weight > HEAVIEST} == {}


def test_every_image_says_what_it_shows(visits: dict[str, Visit]) -> None:
    assert {n: one.unsaid for n, one in visits.items() if one.unsaid} == {}


def test_every_figure_has_a_size(visits: dict[str, Visit]) -> None:
    assert {n: one.half_seen for n, one in visits.items() if one.half_seen} == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_fault(visits: dict[str, Visit], theme: str) -> None:
    assert {n: one.faults[theme] for n, one in visits.items() if one.faults[theme]} == {}


def test_no_page_scrolls_sideways_on_a_phone(visits: dict[str, Visit]) -> None:
    assert {n: one.sideways for n, one in visits.items() if one.sideways > 0} == {}


def test_links_inside_the_book_hold(html: Path) -> None:
    pages = read_pages(html)
    assert sum(len(page.links) for page in pages.values()) > 100
    assert broken_links(pages) == []


def test_the_search_finds_the_guess_floor(browser: Browser, site: str) -> None:
    page = browser.new_page()
    page.goto(f"{site}search.html?q=guess+floor")
    results = page.locator("#search-results li a")
    expect(results.filter(has_text="Support: what is within reach")).not_to_have_count(0)
    page.close()


def test_the_search_opens_from_the_keyboard_and_leads_to_results(
    browser: Browser, site: str
) -> None:
    page = browser.new_page()
    page.goto(f"{site}index.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("guess floor")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=guess+floor*")
    expect(page.locator("#search-results li").first).to_be_visible()
    page.close()


def test_the_first_key_offers_to_skip_to_the_text(browser: Browser, site: str) -> None:
    page = browser.new_page()
    page.goto(f"{site}support.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").strip() == "Skip to main content"
    page.close()


def test_code_of_an_executed_notebook_is_folded_and_one_click_away(
    browser: Browser, site: str
) -> None:
    page = browser.new_page()
    page.goto(f"{site}runs/02_support.html")
    code = page.locator("details.hide .cell_input, details.hide").first
    block = code.locator(".highlight").first
    expect(block).to_be_hidden()
    code.locator("summary").first.click()
    expect(block).to_be_visible()
    page.close()


def test_single_answers_turn_and_filter(browser: Browser, site: str) -> None:
    page = browser.new_page()
    page.goto(f"{site}rollouts.html")
    count = page.locator("output[name=count]")
    expect(count).to_have_text(re.compile(r"^Item 1 of \d+ that fit"))
    assert page.locator("article img").count() == 1  # drawn again from its name
    page.get_by_role("button", name="Later item").click()
    expect(count).to_have_text(re.compile(r"^Item 2 of"))
    page.get_by_label("Text holds").fill("no such words")
    expect(count).to_have_text(re.compile("^Item 0 of 0 that fit"))
    page.close()
