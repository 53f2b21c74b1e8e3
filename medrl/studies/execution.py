"""Execute one run of a study with Papermill, or hand a whole study to Snakemake.

`medrl run 02_support --study smoke -p k=8`; `medrl study smoke`.
"""

from __future__ import annotations

import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from medrl.studies import clone, credentials, parameters, plan
from medrl.studies import manifest as provenance
from medrl_core import plain
from medrl_core.errors import UserError, of_disk, on_disk
from medrl_core.files import lock_of, locked, mend, mend_all, partial_of, replace

KERNEL_ENVIRONMENT = {
    # Sums on one thread run in one order, so results do not depend on the number of cores.
    "OMP_NUM_THREADS": "1",
    # Progress comes as lines on stderr: no bars, and no word of the widgets that would draw them.
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    # Of transformers, about a name that TRL still asks for.
    "PYTHONWARNINGS": "ignore:IProgress not found,ignore:`is_gradient_checkpointing`",
}
BOOK_SOURCES = plan.BOOK.parents[1] / "sources.json"


# Snakemake only says what it would do, so nothing is fetched for it.
DRY_RUN = {"-n", "--dry-run", "--dryrun"}


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
    if only or not folder.is_dir():
        plan.provide(values)
    missing = [name for name in needed if not (plan.RUNS / study.name / name).is_dir()]
    if missing and not only:
        usual = plan.Resources.model_validate({})
        minutes = sum(study.resources.get(name, usual).minutes for name in missing)
        print(
            f"{notebook} needs {' and '.join(missing)} of study {study.name}; they are made first, "
            f"in at most {minutes} minutes by its resources: --dry-run says what they train",
            file=sys.stderr,
        )
    if needed and not only:
        snakemake(study, [made(study, name) for name in needed])
    mend_all(folder.parent, provenance.NAME)
    if only or not folder.is_dir() or changes(study, notebook, values, folder):
        execute(study, notebook, values, folder)
    return folder


def changes(study: plan.Study, notebook: str, values: parameters.Common, folder: Path) -> list[str]:
    """Return the names of what a finished run was made of and is different now; [] if none is."""
    before = provenance.verify(folder).sources
    now = plan.fingerprint(study, notebook, values)
    return [name for name in sorted(before | now) if before.get(name) != now.get(name)]


def state(study: plan.Study, notebook: str, values: parameters.Common) -> str:
    """Return in words what `run` would do with a run's folder."""
    folder = plan.run_folder(study, notebook, values)
    if not folder.is_dir():
        return f"would be made in {folder}"
    changed = changes(study, notebook, values, folder)
    if changed:
        return f"would be made again in {folder}; changed: {', '.join(changed)}"
    return f"{folder} is there and valid, nothing would be made"


def made(study: plan.Study, name: str) -> str:
    """Return the file that tells Snakemake that a run of the study is there and valid."""
    return (plan.RUNS / ".made" / study.name / name).as_posix()


def mark_made(study: plan.Study, runs: plan.Planned) -> None:
    """Leave the file `made` for each run that is there and valid, and for no other.

    The manifest alone says what a run was made of, so it does not matter who made it or when. What
    has changed is printed.
    """
    for name, (notebook, values) in runs.items():
        folder, mark = plan.RUNS / study.name / name, Path(made(study, name))
        changed = changes(study, notebook, values, folder) if folder.is_dir() else []
        if changed:
            print(f"{folder} is stale; changed: {', '.join(changed)}", file=sys.stderr)
        if changed or not folder.is_dir():
            mark.unlink(missing_ok=True)
            continue
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        os.utime(mark, (0, 0))  # Snakemake goes by times: none of these is newer than another


def mark_book(study: plan.Study, edition: str) -> None:
    """Remove the list of the book's sources unless the book is there and made of what is here."""
    if BOOK_SOURCES.is_file() and plan.BOOK.is_file():
        now = listed(plan.book_fingerprint(study, edition))
        if BOOK_SOURCES.read_bytes() == now:  # not as JSON: a damaged list is just another one
            return
    BOOK_SOURCES.unlink(missing_ok=True)


def listed(sources: dict[str, str]) -> bytes:
    """Return the list of the book's sources as it is kept."""
    return json.dumps(sources, indent=2).encode()


def failed_folder(folder: Path) -> Path:
    """Return where the last failed try of a run folder is kept."""
    return plan.RUNS / ".failed" / folder.parent.name / folder.name


def snakemake(
    study: plan.Study,
    targets: list[str],
    options: list[str] | None = None,
    edition: str = "student",
    grid: tuple[Path, plan.Planned] | None = None,
) -> None:
    """Let Snakemake make targets of a study: files `made`, "all", or "book" in an edition.

    Arguments: `grid` is the file of a sweep and its runs, which may be targets too.
    Raises: RunFailed if a run failed, and the run itself has said why; UserError if a study is
    being made here already. Our lock ends with its process, Snakemake's own would outlive a kill.
    """
    command = [sys.executable, "-m", "snakemake", *targets, "--config", f"study={study.path}"]
    command += [f"edition={edition}", *([f"grid={grid[0]}"] if grid else [])]
    command += ["--cores", "all", "--rerun-triggers", "mtime"]
    # What is there is whole, also after a kill.
    command += ["--ignore-incomplete", "--nolock", "--keep-going", "--quiet"]
    # Runs say themselves what they do; who passes options on wants to read Snakemake's own lines.
    command += ["host", "reason"] if options else ["all"]
    with on_disk(plan.RUNS), locked(plan.RUNS / ".snakemake.lock", "a study") as held:
        mend_all(plan.RUNS / study.name, provenance.NAME)
        mark_made(study, plan.planned(study) | (grid[1] if grid else {}))
        if not DRY_RUN & set(options or []):
            _provide(study, targets, grid[1] if grid else {})
        if "book" in targets:
            mark_book(study, edition)
        # Progress of the runs goes to stderr; what the command makes is all that stdout says.
        # Should this process be killed, the lock is Snakemake's until it has ended too.
        process = subprocess.Popen([*command, *(options or [])], stdout=2, pass_fds=[held])
        try:
            failed = process.wait()
        except BaseException:
            _stop(process)
            raise
    if failed:
        raise RunFailed(f"study {study.name} is not complete; the lines above say what failed")


def _provide(study: plan.Study, targets: list[str], extra: plan.Planned) -> None:
    """Check, before the first run starts, what all runs that will be made look for."""
    runs = plan.planned(study) | extra
    whole = {"all", "book"} & set(targets)
    left = [name for name in runs if whole or made(study, name) in targets]
    for name in left:  # which grows by what these need
        left += [one for one in plan.dependencies(runs[name][1]) if one not in left]
        if not Path(made(study, name)).is_file():
            plan.provide(runs[name][1])


def _stop(snakemake: subprocess.Popen) -> None:
    """End Snakemake and the runs that it has started, and wait for that."""
    here = os.getpgrp()
    with suppress(psutil.NoSuchProcess, ProcessLookupError):
        below = psutil.Process(snakemake.pid).children(recursive=True)
        # A kernel has a group of its own: its run ends it, and would take this for a failure.
        runs = [one for one in below if os.getpgid(one.pid) == here]
        snakemake.send_signal(signal.SIGINT)  # at SIGTERM it waits until the runs are done
        for one in runs:
            one.terminate()
    snakemake.wait()  # it waits for its runs


def execute(study: plan.Study, notebook: str, values: parameters.Common, folder: Path) -> None:
    """Execute one notebook into its run folder; the folder appears complete or not at all.

    Arguments: `values` are checked parameters, `folder` the run folder to make or replace.
    Raises: UserError if the same run is going on, a run that it needs is missing, or the notebook
    raises one; RunFailed for any other failure. The failed notebook is kept in runs/.failed/.
    """
    for needed in plan.dependencies(values):
        provenance.verify(plan.RUNS / study.name / needed)
    with on_disk(folder), locked(lock_of(folder), folder.as_posix()):
        mend(folder, provenance.NAME)
        partial = partial_of(folder)
        partial.mkdir(parents=True)
        try:
            seconds = _fill(study, notebook, values, partial)
            replace(folder, partial)
            _tell_finished(study, folder.name, seconds)
            shutil.rmtree(failed_folder(folder), ignore_errors=True)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _tell_finished(study: plan.Study, name: str, seconds: float) -> None:
    """Print what a run took and, of a study, how many of its runs are there and valid."""
    names, place = plan.planned(study), ""
    if name in names:
        there = sum(one == name or Path(made(study, one)).is_file() for one in names)
        place = f"; {there} of {len(names)} runs of the study {study.name} are there"
    print(f"{name}: finished in {seconds:.0f} s{place}", file=sys.stderr, flush=True)


def _fill(study: plan.Study, notebook: str, values: parameters.Common, partial: Path) -> float:
    """Execute the notebook into the partial folder and write the manifest; return its seconds."""
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
        cpu_seconds=_cpu_seconds_of_kernel(),
    )
    provenance.write(manifest, partial)
    return manifest.wall_seconds


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
            stderr_file=credentials.Hiding(sys.stderr),  # what the core prints of its progress
            extra_arguments=["--log-level=50"],  # the kernel's own warnings are no news
            on_cell_start=_progress(notebook, len(cells) + 1),
        )
        credentials.remove(partial, places=True)
    except (papermill.PapermillExecutionError, DeadKernelError) as error:
        kind, said = RunFailed, "the kernel died; was there too little memory?"
        if isinstance(error, papermill.PapermillExecutionError):
            said = " ".join(error.evalue.split())
            disk = of_disk(said, plan.RUNS)
            kind = UserError if error.ename == "UserError" or disk else RunFailed
            if disk:
                said = disk
            elif kind is RunFailed:
                said = f"cell {error.cell_index + 1} raised {error.ename}: {said}"
        said = credentials.hidden(said)
        failure = provenance.Failure(
            error=said,
            command=command,
            started=started.isoformat(timespec="seconds"),
            wall_seconds=round(time.monotonic() - clock, 1),
        )
        (partial / "failure.json").write_text(failure.model_dump_json(indent=2) + "\n")
        credentials.remove(partial)
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


def _cpu_seconds_of_kernel() -> float:
    """Return what all finished child processes have computed, the kernel among them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round(used.ru_utime + used.ru_stime, 1)


def command_line(study: plan.Study, notebook: str, values: parameters.Common) -> str:
    """Return the `medrl run` command that makes a run again, as a shell reads it."""
    usual = plan.resolve(study, notebook).model_dump()
    changed = {k: v for k, v in values.model_dump().items() if v != usual[k]}
    words = [word for k, v in changed.items() for word in ("-p", f"{k}={plain.line(v)}")]
    return shlex.join(["medrl", "run", notebook, "--study", named(study), *words])


def named(study: plan.Study) -> str:
    """Return what --study takes: the name of a study of this clone, else its path."""
    known = study.path == (plan.STUDIES / f"{study.name}.yaml").as_posix()
    return study.name if known else study.path
