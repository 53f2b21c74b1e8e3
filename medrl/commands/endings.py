"""How a command of `medrl` ends: an error is one line, and a signal lets it clear up."""

from __future__ import annotations

import functools
import io
import logging
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import typer

from medrl.commands import layers
from medrl_core.errors import UserError, on_disk

STOPS = (signal.SIGINT, signal.SIGTERM)
# Seconds to clear up in; then the system ends the process. What is left half-made, `files.mend`
# clears at the next start.
GRACE = 20


def one_line(command: Callable) -> Callable:
    """Print an error that has a message for the user as one line; 2: a user's mistake, 1: other.

    Ctrl-C and SIGTERM end the command like an error, so that it clears up after itself.
    """

    @functools.wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> None:
        from medrl.studies.execution import RunFailed

        # Under nohup and the like a signal is ignored, and stays so.
        before = {one: found for one in STOPS if (found := signal.getsignal(one)) != signal.SIG_IGN}
        for one in before:
            signal.signal(one, _stop)
        for stream in (sys.stdout, sys.stderr):  # a terminal without a sign shows its number
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        try:
            _check_readable(kwargs.values())
            place = kwargs.get("out") or kwargs.get("folder") or Path.cwd()
            with on_disk(place), layers.told():
                command(*args, **kwargs)
        except (UserError, RunFailed) as error:
            print(f"medrl: {error}", file=sys.stderr)
            raise typer.Exit(2 if isinstance(error, UserError) else 1) from None
        finally:
            signal.alarm(0)
            for one, handler in before.items():
                signal.signal(one, handler)

    return guarded


def _check_readable(values: Iterable[Any]) -> None:
    """Refuse a name that the locale could not read: no file could be written that mentions it."""
    for value in values:
        if isinstance(value, list | tuple):
            _check_readable(value)
        elif isinstance(value, str | Path):
            try:
                str(value).encode()
            except UnicodeEncodeError:
                raise UserError(
                    f"{value}: the locale cannot read this name; set LC_ALL=C.UTF-8, then give "
                    "the command again"
                ) from None


def _stop(number: int, _frame: Any) -> None:
    for one in STOPS:  # what comes now clears up, and is not cut off
        signal.signal(one, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(GRACE)
    logging.disable()  # what is cut off has nothing to tell
    raise SystemExit(128 + number)
