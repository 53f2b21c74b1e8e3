"""The `medrl` command in this process, for tests of it."""

from __future__ import annotations

from typer.testing import CliRunner, Result

from medrl.commands import main


def medrl(*words: object) -> Result:
    """Run a command and give what came of it."""
    return CliRunner().invoke(main.app, [str(word) for word in words])


def said(*words: object) -> str:
    """Run a command that works and give what it says."""
    done = medrl(*words)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout
