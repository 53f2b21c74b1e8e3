"""A single SIGTERM ends a command within seconds, whatever it does and however it clears up."""

from __future__ import annotations

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
