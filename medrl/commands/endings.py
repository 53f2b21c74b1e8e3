"""How a command of `medrl` ends: an error is one line, and a signal lets it clear up."""

from __future__ import annotations

import functools
import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from medrl_core.errors import UserError, on_disk

STOPS = (signal.SIGINT, signal.SIGTERM)


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
        try:
            with on_disk(kwargs.get("out") or kwargs.get("folder") or Path.cwd()):
                command(*args, **kwargs)
        except (UserError, RunFailed) as error:
            print(f"medrl: {error}", file=sys.stderr)
            raise typer.Exit(2 if isinstance(error, UserError) else 1) from None
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    return guarded


def _stop(number: int, _frame: Any) -> None:
    for one in STOPS:  # what comes now clears up, and is not cut off
        signal.signal(one, signal.SIG_IGN)
    logging.disable()  # what is cut off has nothing to tell
    raise SystemExit(128 + number)
