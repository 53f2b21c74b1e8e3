"""Shared by all tests: the clone's top folder, and a toy project of two small notebooks."""

from __future__ import annotations

import os
import pickle
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from hypothesis import HealthCheck, settings
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from medrl.book import measurements, origin
from medrl.studies import parameters, plan

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# No test judges by the clock: on a busy machine the same example may take ten times as long.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parents[1]
# As the Makefile has it: no test asks a hub.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

FAULTS = pytest.StashKey[dict[str, dict[str, Any]]]()
FAILED = pytest.StashKey[bool]()
SKIPPED = pytest.StashKey[bool]()
TABLE = pytest.StashKey[list[dict[str, Any]]]()

STUDY = """
title: Toy
label: toy data
defaults: {seed: 3}
runs:
  02_support: {model: some-model, k: 4}
  06_boundary: {init: "run:02_support"}
"""
RESULTS = """
from medrl_core.report.results import Results
res = Results(out, notebook="toy", study=study)
res.number("k", {k}, unit="count")
res.data_hash("toy", "d0", "drawn")
res.save()
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--book", type=Path, help="built book for test_pages.py, e.g. _build/html")
    parser.addoption("--faults", type=Path, help="file of the counts of all tests marked fault")
    parser.addoption("--architectures", type=Path, help="file of the table of all architectures")


# What trains, samples a model, starts processes or browsers, or builds books: `make quick` leaves
# it out. Single tests say so with @pytest.mark.slow.
SLOW_ROOMS = {"book", "labs", "models", "studies", "train"}
SLOW_FILES = {
    "test_again.py", "test_alone.py", "test_disk.py", "test_e2e.py", "test_fuzz.py",
    "test_injection.py", "test_log_page.py", "test_make.py", "test_network.py",
    "test_real_model.py",
    "test_score_properties.py", "test_settings.py", "test_doses.py", "test_layers.py",
    "test_sampling.py", "test_cli_measure.py", "test_decode.py", "test_vision.py",
    "test_exact.py", "test_exact_support.py", "test_evaluate.py", "test_rivals_of_reports.py",
    "test_layouts.py", "test_odd_sizes.py", "test_server.py", "test_real_server.py",
}  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        room = item.path.relative_to(ROOT / "tests").parts[0]
        if room in SLOW_ROOMS or item.path.name in SLOW_FILES:
            item.add_marker(pytest.mark.slow)


def pytest_configure(config: pytest.Config) -> None:
    line = "fault(group, what, promise): a line of the book's table of faults, and its tests"
    config.addinivalue_line("markers", line)
    config.addinivalue_line("markers", "slow: trains, starts processes or browsers; see make quick")
    config.stash[FAULTS] = {}
    config.stash[TABLE] = []


class Tried:
    """What a test marked fault has tried; `many` is set where the counts are to be recorded."""

    def __init__(self, many: bool):
        self.many, self.tried, self.lost = many, 0, 0

    def times(self, few: int, many: int) -> int:
        """Return how often to try: often for the record, seldom in each run of the tests."""
        return many if self.many else few

    @contextmanager
    def __call__(self, count: int = 1) -> Iterator[None]:
        """Count what is tried inside; what raises is lost, and fails the test."""
        self.tried += count
        try:
            yield
        except BaseException:
            self.lost += count
            raise


@pytest.fixture
def tried(request: pytest.FixtureRequest) -> Iterator[Tried]:
    """Counts for the table of faults: `with tried(): break something and check what is left`."""
    counts = Tried(many=request.config.getoption("--faults") is not None)
    yield counts
    if request.node.stash.get(SKIPPED, False):  # nothing was broken, so there is no line of it
        return
    assert counts.tried, "this test of a fault tried nothing"
    group, what, promise = request.node.get_closest_marker("fault").args
    row = request.config.stash[FAULTS].setdefault(
        what, {"group": group, "what": what, "promise": promise, "tried": 0, "lost": 0}
    )
    row["tried"] += counts.tried
    row["lost"] += max(counts.lost, request.node.stash.get(FAILED, False))


@pytest.fixture
def hit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that only a payload makes; at the end it is not there.

    It lies outside the toy project, whose own place is taken out of what its runs leave.
    """
    from attacks import Pickled

    folder = tmp_path_factory.mktemp("payload") / "hit"
    pickle.loads(pickle.dumps(Pickled(folder)))  # the payload does what it should
    folder.rmdir()
    yield folder
    assert not folder.exists(), "the payload ran"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, Any]:
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    item.stash[SKIPPED] = item.stash.get(SKIPPED, False) or report.skipped
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = session.config.getoption("--faults")
    if path is not None:
        rows = session.config.stash[FAULTS].values()
        measurements.record(path, sorted(rows, key=lambda row: (row["group"], row["what"])))
    path = session.config.getoption("--architectures")
    if path is not None:
        rows = session.config.stash[TABLE]
        measurements.record(path, sorted(rows, key=lambda row: row["architecture"]))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; a test that needs it is skipped, saying so, where it is not there."""
    from browsing import chromium

    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser, folder: Path) -> Iterator[Page]:
    """The index.html of the test's own `folder`, opened without a server; nobody else is asked."""
    from browsing import listen

    opened = browser.new_page()
    heard = listen(opened)
    opened.goto((folder / "index.html").as_uri())
    yield opened
    assert heard.errors == []
    assert heard.outside(folder.as_uri()) == []
    opened.close()


def parameters_cell(notebook: str) -> str:
    """Return the source of a parameters cell with the notebook's defaults."""
    values = {**parameters.defaults(notebook), "out": f"runs/dev/{notebook}"}
    return "\n".join(f"{name} = {value!r}" for name, value in values.items())


def write_notebook(notebook: str, code: str) -> Path:
    """Write notebooks/NOTEBOOK.ipynb: a title, the parameters cell and one cell of code."""
    cells = [
        new_markdown_cell(f"# Toy {notebook}", id="title"),
        new_code_cell(
            parameters_cell(notebook), id="parameters", metadata={"tags": ["parameters"]}
        ),
        new_code_cell(code, id="code"),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = Path("notebooks", f"{notebook}.ipynb")
    nbformat.write(new_notebook(cells=cells, metadata=kernel), path)
    return path


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project in a temporary folder, and the current folder: study `toy` of two notebooks."""
    monkeypatch.chdir(tmp_path)
    Path("notebooks/studies").mkdir(parents=True)
    Path("notebooks/studies/toy.yaml").write_text(STUDY)
    Path("Snakefile").symlink_to(ROOT / "Snakefile")
    for notebook in ("02_support", "06_boundary"):
        write_notebook(notebook, RESULTS.format(k="k"))
    yield tmp_path
    # Both go by names in the current folder, and other tests have other files of these names.
    plan.file_hash.cache_clear()
    origin._kind.cache_clear()
