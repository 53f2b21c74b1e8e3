"""A single SIGTERM ends a command within seconds, whatever it does and however it clears up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

COMMAND = """
import time
from medrl.commands import endings
endings.GRACE = 1

@endings.one_line
def command():
    try:
        print("started", flush=True)
        {work}
    finally:
        {clearing}

command()
"""


@pytest.mark.parametrize(("work", "clearing", "status"), [
    ("time.sleep(60)", "print('cleared', flush=True)", 128 + signal.SIGTERM),
    ("while True: pass", "print('cleared', flush=True)", 128 + signal.SIGTERM),
    ("time.sleep(60)", "time.sleep(60)", -signal.SIGALRM),  # it hangs: the system ends it
])
def test_one_sigterm_ends_a_command(work, clearing, status):
    code = COMMAND.format(work=work, clearing=clearing)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        assert process.wait(30) == status
        assert time.monotonic() - begun < 20
        assert (process.stdout.read() == "cleared\n") == (status > 0)


REFUSALS = """
import os
from pathlib import Path
import typer
from medrl.commands import endings

def command(out: Path):
    {work}

typer.run(endings.one_line(command))
"""


@pytest.mark.parametrize(("place", "work", "said"), [
    ("dangling", "out.mkdir(exist_ok=True)", "dangling: file exists: remove or rename what is"),
    ("x" * 252, "(out.parent / f'.{out.name}.lock').open('w')", "name too long: give a shorter"),
    ("file/below", "out.mkdir()", "file/below: not a directory: remove or rename what is"),
    ("large", "out.write_bytes(bytes(1 << 20))", "file too large: the system lets no file grow"),
    (b"\xff", "print(out)", "the locale cannot read this name; set LC_ALL=C.UTF-8"),
])  # fmt: skip
def test_a_place_that_cannot_be_written_is_one_line(tmp_path, place, work, said):
    (tmp_path / "dangling").symlink_to("nowhere/there")
    (tmp_path / "file").touch()
    shell = f'ulimit -f 8; exec "{sys.executable}" -c "$CODE" "$PLACE"'
    done = subprocess.run(
        ["bash", "-c", shell], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "CODE": REFUSALS.format(work=work), "PLACE": os.fsdecode(place)},
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1 and said in done.stderr


def test_a_terminal_without_a_sign_shows_its_number(tmp_path):
    code = REFUSALS.format(work="print(out)")
    done = subprocess.run(
        [sys.executable, "-c", code, "\u00fcn\u00ef"], capture_output=True, text=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert (done.returncode, done.stdout) == (0, "\\xfcn\\xef\n"), done.stderr
