"""The process that runs a student's notebook: it obeys the grader's messages, and knows no answer.

The grader starts it, `python -m medrl.labs.confined`, with two pipes and what `isolation` needs.
Cells run as in a notebook, one after another in one namespace. The checks are not here: the modules
of `medrl.labs.checks` are empty in this process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from medrl.labs import isolation

CHECKS = "medrl.labs.checks"


class TooLong(BaseException):
    """The time of a cell or a call is over; no `except Exception` of a student holds it up."""


class Notebook:
    """The namespace of a notebook, and the pipes to the grader."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO, seconds: float):
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config

        config = Config()
        config.HistoryManager.enabled = False
        self.shell = InteractiveShell.instance(config=config)
        self.reader, self.writer, self.seconds = reader, writer, seconds

    def serve(self) -> None:
        """Answer the grader's messages until it closes the pipe."""
        from medrl.labs import wire

        does: dict[str, Callable[[dict], Any]] = {
            "cell": self._cell,
            "call": self._call,
            "again": self._again,
        }
        for text in iter(self.reader.readline, b""):
            message = wire.read(text)
            signal.setitimer(signal.ITIMER_REAL, self.seconds, 5)
            try:
                reply = {"value": wire.pack(does[message["do"]](message))}
            except TooLong:
                reply = {"error": f"it took more than {self.seconds:g} s"}
            except BaseException as error:
                said = " ".join(f"{type(error).__name__}: {error}".split())
                reply = {"error": said[:300]}
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            self._send(reply)

    def _send(self, message: dict[str, Any]) -> None:
        from medrl.labs import wire

        self.writer.write(wire.line(message))
        self.writer.flush()

    def _cell(self, message: dict) -> None:
        ran = self.shell.run_cell(message["source"], store_history=False)
        error = ran.error_before_exec or ran.error_in_exec
        if error is not None:
            raise error

    def _call(self, message: dict) -> Any:
        from medrl.labs import wire

        found = self.shell.user_ns.get(message["name"])
        if found is None or found is ...:
            return found
        if not callable(found):
            raise TypeError("it is no function")
        return found(*wire.unpack(message["arguments"], self._function))

    def _again(self, message: dict) -> Any:
        """Run cells once more with other values in some names; what they define is forgotten."""
        from medrl.labs import wire

        names = self.shell.user_ns
        kept = dict(names)
        try:
            names.pop(message["name"], None)
            names.update(wire.unpack(message["given"], self._function))
            for source in message["sources"]:
                self._cell({"source": source})
            found = names.get(message["name"])
            return None if found is ... else found
        finally:
            names.clear()
            names.update(kept)

    def _function(self, number: int) -> Callable:
        """Return a function that asks the grader for its values."""
        from medrl.labs import wire

        def ask(*arguments: Any) -> Any:
            self._send({"ask": number, "arguments": wire.pack(arguments)})
            reply = wire.read(self.reader.readline())
            if "error" in reply:
                raise ValueError(reply["error"])
            return wire.unpack(reply["value"])

        return ask


def _too_long(*_: Any) -> None:
    raise TooLong


def _nothing(name: str) -> Callable:
    if name.startswith("__"):  # libraries look through all modules for such names
        raise AttributeError(name)
    return lambda *_: None


def _hide_checks(names: list[str]) -> None:
    """Put empty modules in place of the checks: a lab imports them, and none is called here."""
    package = types.ModuleType(CHECKS)
    sys.modules[CHECKS] = package
    for name in names:
        module = types.ModuleType(f"{CHECKS}.{name}")
        module.__dict__["__getattr__"] = _nothing
        sys.modules[module.__name__] = module
        setattr(package, name, module)


def main() -> None:
    """Confine this process, say what came of it, and serve."""
    told = json.loads(sys.argv[1])
    reader, writer = os.fdopen(told["reader"], "rb"), os.fdopen(told["writer"], "wb")
    limits = isolation.Limits(**told["limits"])
    hidden = [Path(one) for one in told["hidden"]]
    network = isolation.enter(Path.cwd(), hidden, limits, told["unshared"])
    signal.signal(signal.SIGALRM, _too_long)
    _hide_checks(told["checks"])
    writer.write(json.dumps({"network": network}).encode() + b"\n")
    writer.flush()
    sys.argv[1:] = []
    Notebook(reader, writer, limits.cell_seconds).serve()


if __name__ == "__main__":
    main()
