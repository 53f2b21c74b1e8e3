"""The book is put together from runs: each number with its study, no blanks, all text escaped."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from browsing import broken_links, read_pages
from made_runs import HOSTILE, ROOT, write_manifest, write_run
from medrl.book import assembly
from medrl.book.chapter import Chapter
from medrl.labs import editions
from medrl.studies import parameters
from medrl_core.errors import UserError
from medrl_core.report import results, tables
from medrl_core.report.myst import escape

EVERY = list(parameters.NOTEBOOKS)
MEASURED = (
    "architectures.json", "faults.json", "reader-errors.json", "sweep-overhead.json",
    "throughput.json",
)  # fmt: skip


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone without runs: the real chapters, claims and configuration."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "book").symlink_to(ROOT / "book")
    for name in ("_config.yml", "CITATION.cff", "medrl_core"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "notebooks/studies").mkdir(parents=True)
    paper = "notebooks/studies/paper.yaml"  # whose recipe the page on cost estimates
    for name in (paper, *(f"notebooks/{one}.ipynb" for one in EVERY)):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "data").mkdir()
    for name in (
        "claims.yaml", "literature.yaml", *MEASURED, "published.yaml", "recorded.yaml",
        "drawn-base", "twin-base",
    ):
        (tmp_path / "data" / name).symlink_to(ROOT / "data" / name)
    return tmp_path


def chapter(clone: Path) -> Chapter:
    return Chapter("toy", clone / "runs", clone / "data/records")


def test_a_number_carries_interval_unit_and_study(clone: Path) -> None:
    write_run(Path("runs/toy/02_support"), "toy", "02_support")
    text = chapter(clone).number("02_support", "h2")
    assert text == "[+20.0 &#91;+15.0, +25.0&#93; points]{.number} [toy]{.study}"


def test_a_missing_number_of_a_run_is_an_error_of_one_line(clone: Path) -> None:
    write_run(Path("runs/toy/02_support"), "toy", "02_support")
    with pytest.raises(UserError, match="no number 'h22'; there: ") as error:
        chapter(clone).number("02_support", "h22")
    assert "\n" not in str(error.value)


def test_what_is_not_run_says_so_with_the_command_and_takes_no_other_study(clone: Path) -> None:
    write_run(Path("runs/toy/02_support"), "toy", "02_support")
    one = chapter(clone)
    for text in (
        one.number("02_support", "h2", study="medmnist"),
        one.figure("02_support", "passk", study="medmnist"),
        one.table("02_support", "support", "caption", study="medmnist"),
    ):
        assert "not run (`medrl run 02_support --study medmnist`) [medmnist]{.study}" in text
        assert "20.0" not in text


def test_the_label_of_the_study_comes_from_its_runs(clone: Path) -> None:
    assert chapter(clone).about() == "[toy]{.study} not run yet"
    write_run(Path("runs/toy/02_support"), "toy", "02_support")
    assert chapter(clone).about() == "[toy]{.study} made for a test"


def test_a_record_is_read_from_the_records_only(clone: Path) -> None:
    write_run(Path("runs/medmnist/02_support"), "medmnist", "02_support")
    assert "not run" in chapter(clone).number("02_support", "h2", study="medmnist")
    write_run(Path("data/records/medmnist/02_support"), "medmnist", "02_support")
    assert "[medmnist]" in chapter(clone).number("02_support", "h2", study="medmnist")


def test_a_rebuilt_file_is_called_rebuilt_and_an_official_one_is_not(clone: Path) -> None:
    folder = Path("data/records/medmnist/02_support")
    write_run(folder, "medmnist", "02_support", origin="unverified")
    one = chapter(clone)
    shown = {"columns": ["dataset", "value"], "study": "medmnist"}
    rebuilt = one.table("02_support", "support", "caption", **shown)
    assert "BloodMNIST (rebuilt)" in rebuilt
    assert "BloodMNIST &#40;rebuilt&#41;" in one.real_data("02_support")
    for text in (rebuilt, one.number("02_support", "h2", study="medmnist"), one.judged("H2")):
        assert "[medmnist, partly rebuilt]{.study}" in text
    write_run(folder, "medmnist", "02_support", origin="official")
    official = one.table("02_support", "support", "caption", **shown)
    assert "rebuilt" not in official + one.real_data("02_support")
    assert "bloodmnist: the official bytes" in one.real_data("02_support")


def test_a_figure_has_alt_text_study_numbers_and_origin(clone: Path) -> None:
    write_run(Path("runs/toy/02_support"), "toy", "02_support")
    text = chapter(clone).figure("02_support", "passk", "A caption")
    assert text.startswith("\n:::{figure} files/toy/02_support/figures/passk.svg\n:alt: ")
    assert "[toy]{.study}" in text
    assert "passk.csv" in text
    assert "medrl run 02_support --study toy" in text
    assert "0123456789ab" in text


def test_a_record_without_pictures_shows_the_numbers(clone: Path) -> None:
    folder = Path("data/records/medmnist/02_support")
    write_run(folder, "medmnist", "02_support")
    (folder / "figures/passk.svg").unlink()
    text = chapter(clone).figure("02_support", "passk", study="medmnist")
    assert "{figure}" not in text
    assert "50.0% [40.0, 60.0]" in text


@pytest.mark.parametrize("sign", list("<>|`*_[]{}()#$\\\"'&:"))
def test_escaped_text_keeps_no_sign_that_means_something(sign: str) -> None:
    assert escape(f"a{sign}b") == f"a&#{ord(sign)};b"


def test_texts_from_data_cannot_become_markup(clone: Path) -> None:
    write_run(Path("runs/toy/02_support"), "toy", "02_support")
    text = chapter(clone).table("02_support", "support", "caption", ["dataset", "value"])
    assert tables.cell(HOSTILE) in text
    assert "<script>" not in text


def test_an_unknown_column_or_function_names_the_chapter(clone: Path) -> None:
    write_run(Path("runs/toy/02_support"), "toy", "02_support")
    one = chapter(clone)
    with pytest.raises(UserError, match=r"x\.md: .*has no column 'nope'"):
        assembly.render("{{ table('02_support', 'support', 'c', columns=['nope']) }}", "x.md", one)
    with pytest.raises(UserError, match=r"x\.md: 'nunber' is undefined"):
        assembly.render("{{ nunber('02_support', 'h2') }}", "x.md", one)
    with pytest.raises(UserError, match="'02_suport', which does not exist"):
        assembly.render("{{ number('02_suport', 'h2') }}", "x.md", one)


def test_published_numbers_name_their_source(clone: Path) -> None:
    one = chapter(clone)
    assert one.published("medmnist", "BreastMNIST") == "86.3% {cite}`yang2023`"
    assert one.published("vqa", "SLAKE") == "88% {cite}`jeddi2026`"
    with pytest.raises(UserError, match="vqa has no value 'SLAK'"):
        one.published("vqa", "SLAK")


def test_published_numbers_have_an_entry_in_the_bibliography() -> None:
    groups = yaml.safe_load((ROOT / "data/published.yaml").read_text())
    bibliography = (ROOT / "book/references.bib").read_text()
    for group in groups.values():
        assert f"{{{group['source']}," in bibliography


def test_a_failed_assembly_leaves_the_old_stage(clone: Path) -> None:
    Path("stage").mkdir()
    Path("stage/old").touch()
    write_run(Path("runs/toy/02_support"), "toy", "02_support")
    content = results.read("runs/toy/02_support")
    del content["figures"]["passk"]
    Path("runs/toy/02_support/results.json").write_text(results.json.dumps(content))
    write_manifest(Path("runs/toy/02_support"), "toy", "02_support")
    with pytest.raises(UserError, match="no figure 'passk'"):
        assembly.assemble("toy", Path("stage"))
    assert [path.name for path in clone.glob("*stage*")] == ["stage"]
    assert Path("stage/old").exists()


def test_executed_notebooks_lose_stderr_and_gain_their_origin(clone: Path) -> None:
    write_run(Path("runs/toy/02_support"), "toy", "02_support")
    assembly.assemble("toy", Path("stage"))
    read = nbformat.read("stage/runs/02_support.ipynb", as_version=4)
    names = [one.name for cell in read.cells for one in cell.get("outputs", [])]
    assert names == ["stdout"]
    assert "[toy]{.study}" in read.cells[1].source
    assert "Make it again" in read.cells[-1].source
    missing = Path("stage/runs/04_rl.md").read_text()
    assert "medrl run 04_rl --study toy" in missing


def page_text(path: Path) -> str:
    """Return what a page says, without the tags that colour its code."""
    return html.unescape(re.sub(r"<[^>]+>", "", path.read_text()))


def solution_lines() -> set[str]:
    """Return the lines of all solutions and of the instructor's notes that nobody else has."""
    lines, others = set(), set()
    for source in (ROOT / "book/labs").glob("*.ipynb"):
        for cell in nbformat.read(source, as_version=4).cells:
            mine = {"solution", "instructor"} & set(editions.tags(cell))
            (lines if mine else others).update(map(str.strip, cell.source.splitlines()))
    return {line for line in lines - others if len(line) > 20}


@pytest.mark.parametrize(
    ("state", "edition"), [("nothing run", "student"), ("all run", "instructor")]
)
def test_the_book_builds_without_a_warning_and_asks_nobody(
    clone: Path, state: str, edition: str
) -> None:
    if state == "all run":
        for name in EVERY:
            write_run(Path("runs/toy") / name, "toy", name)
            write_run(Path("data/records/medmnist") / name, "medmnist", name, "unverified")
        config = Path("_config.yml").read_text()
        Path("_config.yml").unlink()
        Path("_config.yml").write_text(config.replace('url: ""', f"url: https://{PUBLIC}"))
    assembly.assemble("toy", Path("_build/stage"), edition=edition)
    command = [Path(sys.executable).with_name("jupyter-book"), "build", "_build/stage"]
    command += ["--path-output", ".", "-n", "-W", "--keep-going"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    pages = read_pages(Path("_build/html").resolve())
    assert len(pages) > 25
    for path, page in pages.items():
        outside = [url for url in page.loads if url.startswith(("http", "//"))]
        assert not outside, f"{path} loads {outside}"
        text = path.read_text()
        assert "alert(1)</script>" not in text
    assert broken_links(pages) == []
    # The student edition tells no solution, in no page, source or notebook to download.
    code = [line for line in solution_lines() if "=" in line or "(" in line]
    assert code
    files = [path for path in Path("_build/html").rglob("*") if path.suffix in LEAKY]
    shown = "".join(page_text(path) if path.suffix == ".html" else _cells(path) for path in files)
    there = {line for line in solution_lines() if line in shown}
    if edition == "student":
        assert not there
    else:
        assert set(code) <= there
    assert len(list(Path("_build/html/_downloads").rglob("*.ipynb"))) == len(editions.sources())
    # Launch buttons, where there is an address, lead to the notebooks in the repository.
    launched = {path.stem: LAUNCHED.findall(path.read_text()) for path in pages}
    expected = {name: LAUNCH.format(name).split() for name in EVERY} if state == "all run" else {}
    assert {name: found for name, found in launched.items() if found} == expected


PUBLIC = "github.com/owner/medrl"
LAUNCHED = re.compile(r'href="([^"]*(?:mybinder|colab)[^"]*)"')
LAUNCH = (
    "https://mybinder.org/v2/gh/owner/medrl/main?urlpath=lab/tree/notebooks/{0}.ipynb "
    "https://colab.research.google.com/github/owner/medrl/blob/main/notebooks/{0}.ipynb"
)
LEAKY = {".html", ".ipynb", ".txt", ".js"}


def _cells(path: Path) -> str:
    """Return the text of a file; of a notebook its cells."""
    if path.suffix != ".ipynb":
        return path.read_text(errors="ignore")
    return "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
