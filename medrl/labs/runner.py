"""The grader's end of a student's process: starts it, asks it for plain data, and ends it in time.

No code of a student runs on this side. `Runner.call` is what a check takes for the student's
function: the call happens over there, and a number or a list comes back.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import psutil

import medrl
from medrl.labs import isolation, wire

GRACE = 15  # seconds over the limit of a cell, in which its process can end it by itself
START = 120  # seconds for Python to start


class Failed(Exception):
    """The student's code raised this, or gave what is no plain data."""


class Ended(Exception):
    """The student's process is gone; says why."""


class Runner:
    """One process for one notebook.

    Arguments: `limits` of the notebook; `hidden` folders that it shall not see; `checks` modules
    that are empty there; `data` the clone's folder of models.
    """

    def __init__(
        self, limits: isolation.Limits, hidden: Sequence[Path], checks: Sequence[str], data: Path
    ):
        self.limits, self.reason = limits, ""
        self.scratch = Path(tempfile.mkdtemp(prefix="medrl-grade-")).resolve()
        (self.scratch / "data").symlink_to(data.resolve())
        self.end = time.monotonic() + START
        self._buffer = b""
        self._start(hidden, checks)
        try:
            self.network = str(self._read(self.end)["network"])
        except Ended:
            self.close()
            raise
        self.end = time.monotonic() + limits.seconds

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, source: str) -> None:
        """Run a cell.

        Raises: Failed with what the cell raised; Ended.
        """
        self._ask({"do": "cell", "source": source})

    def call(self, name: str) -> Callable:
        """Return a function that calls the student's function of that name over there."""

        def called(*arguments: Any) -> Any:
            functions: list[Callable] = []
            packed = wire.pack(arguments, functions)
            return self._ask({"do": "call", "name": name, "arguments": packed}, functions)

        return called

    def again(self, name: str, sources: Sequence[str], given: dict[str, Any]) -> Any:
        """Run cells once more with other values in the names `given`, and return what `name` is.

        Raises: Failed; Ended.
        """
        functions: list[Callable] = []
        packed = wire.pack(given, functions)
        message = {"do": "again", "name": name, "sources": list(sources), "given": packed}
        return self._ask(message, functions)

    def stop(self) -> None:
        """End the process with all that it started."""
        if self.process.poll() is None:
            # The first process behind `unshare` takes all of its namespace with it.
            with suppress(psutil.Error):
                for one in psutil.Process(self.process.pid).children(recursive=True):
                    with suppress(psutil.Error):
                        one.kill()
            self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End the process, and remove its folder."""
        self.stop()
        for one in (self._in, self._out):
            if one >= 0:
                os.close(one)
        self._in = self._out = -1
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _start(self, hidden: Sequence[Path], checks: Sequence[str]) -> None:
        theirs_in, self._in = os.pipe()
        self._out, theirs_out = os.pipe()
        told = {
            "reader": theirs_in, "writer": theirs_out, "limits": asdict(self.limits),
            "hidden": [str(one) for one in hidden], "checks": list(checks),
            "unshared": isolation.available(),
        }  # fmt: skip
        environment = {
            "PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "MPLBACKEND": "agg",
            "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(Path(medrl.__file__).resolve().parents[1]),
            **dict.fromkeys(("HOME", "TMPDIR", "MPLCONFIGDIR", "IPYTHONDIR"), str(self.scratch)),
        }  # fmt: skip
        before = isolation.UNSHARE if told["unshared"] else ()
        self.process = subprocess.Popen(
            [*before, sys.executable, "-m", "medrl.labs.confined", json.dumps(told)],
            cwd=self.scratch, env=environment, pass_fds=(theirs_in, theirs_out),
            start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)

    def _ask(self, message: dict[str, Any], functions: Sequence[Callable] = ()) -> Any:
        """Send a message and return the value of its reply; answer questions in between."""
        if self.reason:
            raise Ended(self.reason)
        end = min(self.end, time.monotonic() + self.limits.cell_seconds + GRACE)
        self._write(message, end)
        while True:
            reply = self._read(end)
            if "ask" in reply:
                self._write(_answered(reply, functions), end)
                continue
            if "error" in reply:
                raise Failed(str(reply["error"]))
            try:
                return wire.unpack(reply.get("value"))
            except ValueError as error:
                raise Failed(str(error)) from None

    def _write(self, message: dict[str, Any], end: float) -> None:
        os.set_blocking(self._in, False)
        left = memoryview(wire.line(message))
        while left:
            if not select.select([], [self._in], [], max(0, end - time.monotonic()))[1]:
                self._over(end)
            try:
                left = left[os.write(self._in, left) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self._gone()

    def _read(self, end: float) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            if not select.select([self._out], [], [], max(0, end - time.monotonic()))[0]:
                self._over(end)
            part = os.read(self._out, 1 << 16)
            if not part:
                self._gone()
            self._buffer += part
            if len(self._buffer) > wire.LONGEST:
                self._end("a result was larger than what is read")
        text, _, self._buffer = self._buffer.partition(b"\n")
        try:
            return wire.read(text)
        except ValueError:
            self._end("it wrote into the grader's pipe what is no message")

    def _over(self, end: float) -> NoReturn:
        whole = end >= self.end
        seconds = self.limits.seconds if whole else self.limits.cell_seconds
        self._end(f"stopped: {'the notebook' if whole else 'a cell'} took more than {seconds:g} s")

    def _gone(self) -> NoReturn:
        try:
            code = self.process.wait(5)
        except subprocess.TimeoutExpired:
            self._end("its process closed the grader's pipe")
        # A process that unshare started ends by a signal that unshare takes over, or by 128 and it.
        by = -code if code < 0 else code - 128 if code > 128 else 0
        if by == signal.SIGXCPU or by == signal.SIGKILL:
            limit = f"{self.limits.seconds:g} s"
            self._end(f"its process was killed: more than {limit} of computing, or no memory left")
        self._end(f"its process ended itself (exit code {code})")

    def _end(self, reason: str) -> NoReturn:
        self.reason = reason
        self.stop()
        raise Ended(reason)


def _answered(question: dict[str, Any], functions: Sequence[Callable]) -> dict[str, Any]:
    """Return the value of one of our functions, for plain numbers only."""
    try:
        arguments = wire.unpack(question["arguments"])
        if not all(isinstance(one, (int, float)) and abs(one) < 1e9 for one in arguments):
            raise ValueError("numbers are asked for")
        return {"value": wire.pack(functions[question["ask"]](*arguments))}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:200]}
