"""Build the book of a study's runs with Jupyter Book, as pages or as one page that is printed.

`medrl book --study micro`.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

from medrl.studies import plan
from medrl.studies.execution import BOOK_SOURCES, RunFailed, listed
from medrl_core.errors import UserError, on_disk
from medrl_core.files import lock_of, locked, write_bytes


def build_book(study: plan.Study, edition: str) -> None:
    """Assemble chapters, executed notebooks and labs in _build/stage, and build _build/html.

    Arguments: `edition` of the labs, student or instructor.
    Raises: UserError from a chapter or lab; RunFailed if Jupyter Book finds anything to warn of;
    its output has said what.
    """
    sources = plan.book_fingerprint(study, edition)
    from medrl.book.assembly import assemble

    stage = plan.BOOK.parents[1] / "stage"
    with on_disk(stage.parent), locked(lock_of(stage), "the book") as held:
        BOOK_SOURCES.unlink(missing_ok=True)
        assemble(study.name, stage, edition=edition)
        _jupyter_book(stage, [], held)
        write_bytes(BOOK_SOURCES, listed(sources))


def print_book(browser: str) -> Path:
    """Put the book that was built last on a single page and print that as a PDF.

    Arguments: `browser` as `find_browser` returns it.
    Returns: the PDF; the page stays in _build/singlehtml. Raises: RunFailed if either refuses.
    """
    folder = plan.BOOK.parents[1]
    with locked(lock_of(folder / "stage"), "the book") as held:
        _jupyter_book(folder / "stage", ["--builder", "singlehtml"], held)
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


def _jupyter_book(stage: Path, options: list[str], lock: int) -> None:
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", stage.as_posix()]
    command += ["--path-output", ".", "-n", "-W", "-q", "--keep-going", *options]
    print("the pages are being built", file=sys.stderr, flush=True)
    unfinished = stage.with_name(".unfinished")
    if unfinished.exists():  # Sphinx would take a file that a kill cut off for whole
        for name in ("html", "singlehtml", ".doctrees"):
            shutil.rmtree(stage.with_name(name), ignore_errors=True)
    unfinished.touch()
    if subprocess.run(command, stdout=2, pass_fds=[lock]).returncode != 0:
        if shutil.disk_usage(stage).free < 2**20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise RunFailed("the book is not built; the lines above say what Jupyter Book refused")
    unfinished.unlink()
