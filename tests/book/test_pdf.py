"""The book as a PDF: refused in one line without Chromium, printed from the single page with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medrl.book import build
from medrl.commands import main as cli
from medrl.studies import execution
from medrl_core.errors import UserError


def test_without_chromium_nothing_is_built(toy, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    done = CliRunner().invoke(cli.app, ["book", "--study", "toy", "--pdf"])
    assert done.exit_code == 2
    assert "needs Chromium" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not Path("_build").exists()


@pytest.fixture
def single_page(tmp_path, monkeypatch):
    """A folder in which the single page is written as it is, without Jupyter Book."""
    monkeypatch.chdir(tmp_path)

    def write(stage, options, lock):
        assert (stage, options) == (Path("_build/stage"), ["--builder", "singlehtml"])
        Path("_build/singlehtml").mkdir(parents=True)
        Path("_build/singlehtml/index.html").write_text("<title>Book</title><p>One page.")

    monkeypatch.setattr(build, "_jupyter_book", write)


def test_the_single_page_becomes_a_pdf(single_page):
    try:
        browser = build.find_browser()
    except UserError as error:
        pytest.skip(str(error))
    path = build.print_book(browser)
    assert path == Path("_build/book.pdf")
    assert path.read_bytes().startswith(b"%PDF-")


def test_a_browser_that_prints_nothing_is_told_in_one_line(single_page):
    Path("_build").mkdir()
    Path("_build/book.pdf").write_text("an old one")
    with pytest.raises(execution.RunFailed, match="printed no PDF") as caught:
        build.print_book(shutil.which("false"))
    assert "\n" not in str(caught.value)
    assert not Path("_build/book.pdf").exists()
