"""Execute one run of a study with Papermill, or hand a whole study to Snakemake.

`medrl run 02_support --study smoke -p k=8`; `medrl study smoke`. Test: pytest tests/test_study.py
"""

from __future__ import annotations

import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from medrl_core import clone, params, plain, plan
from medrl_core.errors import UserError
from medrl_core.report import provenance

KERNEL_ENVIRONMENT = {
    # Sums on one thread run in one order, so results do not depend on the number of cores.
    "OMP_NUM_THREADS": "1",
    # Progress comes as lines on stderr: no bars, and no word of the widgets that would draw them.
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "PYTHONWARNINGS": "ignore:IProgress not found",
}
BOOK_SOURCES = plan.BOOK.parents[1] / "sources.json"


class RunFailed(Exception):
    """A cell raised something that is no mistake of the user; says which cell and where to look."""


def run(study: plan.Study, notebook: str, overrides: dict[str, Any], only: bool) -> Path:
    """Make one run and what it needs; finished work is not done again.

    Arguments: `overrides` are parameter values that win over the study's. `only` executes the
    notebook even if a finished run exists, and nothing that it needs.
    Returns: the run folder. Raises: UserError, RunFailed.
    """
    values = plan.resolve(study, notebook, overrides)
    folder = plan.run_folder(study, notebook, values)
    needed = plan.dependencies(values)
    if needed and not only:
        snakemake(study, [(plan.RUNS / study.name / name).as_posix() for name in needed])
    if only or not folder.is_dir() or changes(study, notebook, values, folder):
        execute(study, notebook, values, folder)
    return folder


def changes(study: plan.Study, notebook: str, values: params.Common, folder: Path) -> list[str]:
    """Return the names of what a finished run was made of and is different now; [] if none is."""
    before = provenance.verify(folder).sources
    now = plan.fingerprint(study, notebook, values)
    return [name for name in sorted(before | now) if before.get(name) != now.get(name)]


def state(study: plan.Study, notebook: str, values: params.Common) -> str:
    """Return in words what `run` would do with a run's folder."""
    folder = plan.run_folder(study, notebook, values)
    if not folder.is_dir():
        return f"would be made in {folder}"
    changed = changes(study, notebook, values, folder)
    if changed:
        return f"would be made again in {folder}; changed: {', '.join(changed)}"
    return f"{folder} is there and valid, nothing would be made"


def mark_stale(study: plan.Study, runs: plan.Planned) -> dict[str, Path]:
    """Return, for each run that is there but stale, a new file; the Snakefile makes it an input.

    The manifest alone says what a run was made of, so it does not matter who made the run. What
    changed is printed.
    """
    marks = {}
    for name, (notebook, values) in runs.items():
        folder = plan.RUNS / study.name / name
        if folder.is_dir() and (names := changes(study, notebook, values, folder)):
            print(f"{folder} is stale; changed: {', '.join(names)}", file=sys.stderr)
            marks[name] = _mark(folder)
    return marks


def mark_stale_book(study: plan.Study, edition: str) -> list[Path]:
    """Return a new file if the built book was made of other things than are here now."""
    if not plan.BOOK.is_file() or not BOOK_SOURCES.is_file():
        return []
    before, now = json.loads(BOOK_SOURCES.read_text()), plan.book_fingerprint(study, edition)
    return [] if before == now else [_mark(plan.BOOK.parents[1])]


def failed_folder(folder: Path) -> Path:
    """Return where the last failed try of a run folder is kept."""
    return plan.RUNS / ".failed" / folder.parent.name / folder.name


def _mark(folder: Path) -> Path:
    mark = plan.RUNS / ".stale" / folder.parent.name / folder.name
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(str(time.time_ns()))  # Snakemake ignores a new file with the old content
    return mark


def snakemake(
    study: plan.Study,
    targets: list[str],
    options: list[str] | None = None,
    edition: str = "student",
    grid: Path | None = None,
) -> None:
    """Let Snakemake make targets of a study: run folders, "all", or "book" in an edition.

    Arguments: `grid` is the file of a sweep whose runs may be targets too.
    Raises: RunFailed if a run failed, and the run itself has said why; UserError if a study is
    being made here already. Our lock ends with its process, Snakemake's own would outlive a kill.
    """
    command = [sys.executable, "-m", "snakemake", *targets, "--config", f"study={study.path}"]
    command += [f"edition={edition}", *([f"grid={grid}"] if grid else [])]
    command += ["--cores", "all", "--rerun-triggers", "mtime"]
    command += ["--rerun-incomplete", "--keep-going", "--quiet", "host", "reason"]
    with locked(plan.RUNS / ".snakemake.lock", "a study"):
        # Progress of the runs goes to stderr; what the command makes is all that stdout says.
        done = subprocess.run([*command, "--nolock", *(options or [])], stdout=2)
    if done.returncode != 0:
        raise RunFailed(f"study {study.name} is not complete; the lines above say what failed")


def build_book(study: plan.Study, edition: str) -> None:
    """Assemble chapters, executed notebooks and labs in _build/stage, and build _build/html.

    Arguments: `edition` of the labs, student or instructor.
    Raises: UserError from a chapter or lab; RunFailed if Jupyter Book finds anything to warn of;
    its output has said what.
    """
    sources = plan.book_fingerprint(study, edition)
    from medrl_core.report.book import assemble

    stage = plan.BOOK.parents[1] / "stage"
    assemble(study.name, stage, edition=edition)
    _jupyter_book(stage, [])
    BOOK_SOURCES.write_text(json.dumps(sources, indent=2))


def print_book(browser: str) -> Path:
    """Put the book that was built last on a single page and print that as a PDF.

    Arguments: `browser` as `find_browser` returns it.
    Returns: the PDF; the page stays in _build/singlehtml. Raises: RunFailed if either refuses.
    """
    folder = plan.BOOK.parents[1]
    _jupyter_book(folder / "stage", ["--builder", "singlehtml"])
    target = folder / "book.pdf"
    page = (folder / "singlehtml/index.html").resolve().as_uri()
    command = [browser, "--headless", "--disable-gpu", "--no-pdf-header-footer"]
    # Chromium refuses to start its sandbox as root, which is who runs in a container.
    command += ["--no-sandbox"] if os.geteuid() == 0 else []
    target.unlink(missing_ok=True)
    done = subprocess.run([*command, f"--print-to-pdf={target}", page], capture_output=True)
    if done.returncode != 0 or not target.is_file():
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise RunFailed(f"{browser} printed no PDF: {said[-1] if said else 'no reason given'}")
    return target


def find_browser() -> str:
    """Return the path of Chromium; a UserError says how to do without."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    raise UserError(
        "--pdf needs Chromium, which is not here: install it (Debian: apt install chromium)"
    )


def _jupyter_book(stage: Path, options: list[str]) -> None:
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", stage.as_posix()]
    command += ["--path-output", ".", "-n", "-W", "--keep-going", *options]
    if subprocess.run(command, stdout=2).returncode != 0:
        raise RunFailed("the book is not built; the lines above say what Jupyter Book refused")


def execute(study: plan.Study, notebook: str, values: params.Common, folder: Path) -> None:
    """Execute one notebook into its run folder; the folder appears complete or not at all.

    Arguments: `values` are checked parameters, `folder` the run folder to make or replace.
    Raises: UserError if the same run is going on, a run that it needs is missing, or the notebook
    raises one; RunFailed for any other failure. The failed notebook is kept in runs/.failed/.
    """
    for needed in plan.dependencies(values):
        provenance.verify(plan.RUNS / study.name / needed)
    with locked(folder.with_name(f".{folder.name}.lock"), folder.as_posix()):
        partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
        for left in folder.parent.glob(f".{folder.name}.partial-*"):
            shutil.rmtree(left)
        partial.mkdir(parents=True)
        try:
            _fill(study, notebook, values, partial)
            _replace(folder, partial)
            shutil.rmtree(failed_folder(folder), ignore_errors=True)
            shutil.rmtree(checkpoint_folder(folder), ignore_errors=True)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def checkpoint_folder(folder: Path) -> Path:
    """Return where the trainings of a run keep their state until the run is whole."""
    return plan.RUNS / ".checkpoints" / folder.parent.name / folder.name


def _fill(study: plan.Study, notebook: str, values: params.Common, partial: Path) -> None:
    """Execute the notebook into the partial folder and write the manifest."""
    for name, value in KERNEL_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    started, clock = datetime.now(UTC), time.monotonic()
    sources = plan.fingerprint(study, notebook, values)
    command = command_line(study, notebook, values)
    given = {**plan.with_paths(values), "out": partial.as_posix()}
    _papermill(notebook, given, partial, command)
    commit, dirty = provenance.git_state()
    data_hashes, model_hashes = _hashes(partial)
    manifest = provenance.Manifest(
        study=study.name,
        label=study.label,
        notebook=notebook,
        command=command,
        parameters=values.model_dump(),
        seeds=sorted({values.seed, *getattr(values, "seeds", [])}),
        commit=commit,
        dirty=dirty,
        sources=sources,
        data_hashes=data_hashes,
        model_hashes=model_hashes,
        packages=provenance.packages(),
        hardware=provenance.hardware(),
        started=started.isoformat(timespec="seconds"),
        wall_seconds=round(time.monotonic() - clock, 1),
        peak_memory_mb=_peak_memory_of_kernel_mb(),
    )
    provenance.write(manifest, partial)


def _papermill(notebook: str, values: dict[str, Any], partial: Path, command: str) -> None:
    """Execute a notebook to executed.ipynb in the partial folder, with progress on stderr.

    Where it fails, the folder is kept in runs/.failed/ with a failure.json.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError

    started, clock = datetime.now(UTC), time.monotonic()
    source = plan.notebook_path(notebook)
    cells = clone.read_notebook(source)["cells"]
    try:
        papermill.execute_notebook(
            source.as_posix(),
            (partial / "executed.ipynb").as_posix(),
            parameters=values,
            kernel_name="python3",
            progress_bar=False,
            stderr_file=sys.stderr,  # what the core prints of its progress
            extra_arguments=["--log-level=50"],  # the kernel's own warnings are no news
            on_cell_start=_progress(notebook, len(cells) + 1),
        )
    except (papermill.PapermillExecutionError, DeadKernelError) as error:
        kind, said = RunFailed, "the kernel died; was there too little memory?"
        if isinstance(error, papermill.PapermillExecutionError):
            said = " ".join(error.evalue.split())
            kind = UserError if error.ename == "UserError" else RunFailed
            if kind is RunFailed:
                said = f"cell {error.cell_index + 1} raised {error.ename}: {said}"
        failure = provenance.Failure(
            error=said,
            command=command,
            started=started.isoformat(timespec="seconds"),
            wall_seconds=round(time.monotonic() - clock, 1),
        )
        (partial / "failure.json").write_text(failure.model_dump_json(indent=2) + "\n")
        kept = failed_folder(partial.with_name(partial.name.split(".partial-")[0][1:]))
        shutil.rmtree(kept, ignore_errors=True)
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial.rename(kept)
        raise kind(f"{notebook}: {said} (kept: {kept}/executed.ipynb)") from None


def _progress(notebook: str, total: int) -> Callable:
    """Return a hook that prints notebook, section, cell i/n and elapsed time before each cell."""
    start, section = time.monotonic(), ""

    def tell(cell, cell_index: int) -> None:
        nonlocal section
        if cell.cell_type == "markdown":
            titles = [line for line in cell.source.splitlines() if line.startswith("#")]
            section = titles[-1].lstrip("# ") if titles else section
            return
        elapsed = time.monotonic() - start
        place = f"cell {cell_index + 1}/{total}, {elapsed:.0f} s"
        print(f"{notebook}: {place}  {section}", file=sys.stderr, flush=True)

    return tell


def _hashes(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return the data and model hashes that a notebook recorded."""
    from medrl_core.report import results

    content = results.read(folder)
    return {name: entry["md5"] for name, entry in content["data"].items()}, content["models"]


def _peak_memory_of_kernel_mb() -> int:
    """Return the largest resident size of any finished child process, the kernel among them."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def command_line(study: plan.Study, notebook: str, values: params.Common) -> str:
    """Return the `medrl run` command that makes a run again, as a shell reads it."""
    usual = plan.resolve(study, notebook).model_dump()
    changed = {k: v for k, v in values.model_dump().items() if v != usual[k]}
    words = [word for k, v in changed.items() for word in ("-p", f"{k}={plain.line(v)}")]
    return shlex.join(["medrl", "run", notebook, "--study", named(study), *words])


def named(study: plan.Study) -> str:
    """Return what --study takes: the name of a study of this clone, else its path."""
    known = study.path == (plan.STUDIES / f"{study.name}.yaml").as_posix()
    return study.name if known else study.path


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold a lock file while `what` is being made; a second holder is told so at once.

    The lock ends with its process, so a killed one leaves nothing that stands in the way.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"{what} is being made here by another process; wait for it") from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held: nobody can have taken it in between
        lock.release()


def _replace(folder: Path, partial: Path) -> None:
    """Put the finished folder in place of the old one."""
    old = folder.with_name(f".{folder.name}.old-{os.getpid()}")
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
