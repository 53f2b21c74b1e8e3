"""No result number is typed by hand into a chapter or the README: the build puts them there."""

from __future__ import annotations

import re

import pytest
import yaml

from made_runs import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "book").glob("*.md"))]

# What is no prose: code, templates, link targets, headings of terms, HTML comments.
NOT_PROSE = [
    re.compile(r"^(```+|~~~+).*?^\1", re.S | re.M),
    re.compile(r"\{[{%#].*?[}%#]\}", re.S),
    re.compile(r"`[^`\n]*`"),
    re.compile(r"\]\([^)]*\)"),
    re.compile(r"https?://\S+"),
    re.compile(r"<!--.*?-->", re.S),
]
# What a machine measured (3.2 GB) is no result of a study and may be typed.
NUMBER = re.compile(
    r"(?<![\w.-])\d+\.\d+\b%?(?! (?:GB|MB|s|min)\b)|(?<![\w.])\d+ ?%|\d+ (?:points|percent)\b"
)

# Configuration facts that are no result, each with the reason why it may stand.
ALLOWED = {
    "index.md": {
        "20 points": "the mark of taking off, fixed before the runs",
        "60 points": "the mark of having learnt the rule, fixed before the runs",
        "95%": "level of all intervals",
    },
    "reading.md": {"95%": "level of all intervals"},
    "README.md": {
        "4.0": "name of the licence CC BY 4.0",
        "2603.01301": "number of the paper at arXiv",
        "3.11": "a version of Python",
        "3.13": "a version of Python",
    },
}


def typed_numbers(text: str) -> list[str]:
    """Return the decimals, percentages and points of a page's prose."""
    for pattern in NOT_PROSE:
        text = pattern.sub(" ", text)
    return NUMBER.findall(text)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_no_result_is_typed_by_hand(page) -> None:
    allowed = ALLOWED.get(page.name, {})
    typed = [number for number in typed_numbers(page.read_text()) if number not in allowed]
    assert not typed, f"{page.name}: take {typed} from results.json or data/published.yaml"


def test_what_is_allowed_is_used() -> None:
    for name, numbers in ALLOWED.items():
        page = next(path for path in PAGES if path.name == name)
        assert set(numbers) <= set(typed_numbers(page.read_text()))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("accuracy 0.731 here", ["0.731"]),
        ("rose by 12% and 3.5%", ["12%", "3.5%"]),
        ("5 points more", ["5 points"]),
        ("with 4 options and K of 16", []),
        ("`temperature=1.2` and {{ number('a', '0.5') }}", []),
        ("see [it](file-0.1.md)", []),
        ("```\np=0.5\n```\nand 0.9", ["0.9"]),
        ("Qwen2.5-VL and GPT-4.1", []),
        ("peak memory 3.2 GB", []),
    ],
)
def test_what_counts_as_typed(text: str, found: list[str]) -> None:
    assert typed_numbers(text) == found


def test_links_of_the_readme_are_relative_and_hold() -> None:
    text = (ROOT / "README.md").read_text()
    targets = re.findall(r"\]\(([^)#]+)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    assert targets
    for target in targets:
        assert "://" not in target
        assert (ROOT / target).exists(), target


def test_every_chapter_is_in_the_table_of_contents_and_tells_its_story() -> None:
    toc = yaml.safe_load((ROOT / "book/_toc.yml").read_text())
    chapters = [one for part in toc["parts"] for one in part["chapters"]]
    files = {toc["root"], *(one["file"] for one in chapters)}
    pages = {*(ROOT / "book").glob("*.md"), *(ROOT / "book").glob("labs/*.ipynb")}
    assert files == {path.relative_to(ROOT / "book").with_suffix("").as_posix() for path in pages}
    for one in chapters:
        if "sections" in one:
            text = (ROOT / f"book/{one['file']}.md").read_text()
            heads = ["## What we found", "## How", "## What could be wrong", "## Summary"]
            places = [text.index(head) for head in heads]
            assert places == sorted(places)
