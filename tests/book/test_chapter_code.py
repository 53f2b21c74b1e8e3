"""The code that chapters show runs as it stands there, and gives what they print."""

from __future__ import annotations

import doctest
import re

import pytest

from conftest import ROOT

BLOCK = re.compile(r"^```python\n(.*?)^```", re.S | re.M)
PAGES = [page for page in sorted((ROOT / "book").glob("*.md")) if ">>> " in page.read_text()]
EVIDENCE = (
    "data", "vision", "support", "sft", "rl", "transfer", "boundary", "vqa", "beyond",
)  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_code_gives_what_the_chapter_prints(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    names: dict = {}
    for number, block in enumerate(BLOCK.findall(page.read_text()), start=1):
        test = doctest.DocTestParser().get_doctest(block, names, f"{page.name}:{number}", None, 0)
        said: list[str] = []
        runner = doctest.DocTestRunner()
        runner.run(test, out=said.append, clear_globs=False)
        assert not runner.failures, "".join(said)
        names = test.globs


@pytest.mark.parametrize("name", EVIDENCE)
def test_a_chapter_has_two_exercises_with_folded_solutions(name):
    text = (ROOT / f"book/{name}.md").read_text()
    asked = text.split("## Try it")[1].split("\n## ")[0]
    assert re.findall(r"^\*\*(\d)\.\*\*", asked, re.M) == ["1", "2"]
    assert asked.count(":::{dropdown} Solution") == 2
