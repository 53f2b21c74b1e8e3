"""Texts, YAML and notebooks of a clone and its runs; a damaged one is refused in one line."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from medrl_core import plain
from medrl_core.errors import UserError


def read_text(path: Path) -> str:
    """Return the text of a file; a UserError names a file that is missing or holds no text."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        where = "medrl runs in the top folder of a whole clone"
        raise UserError(f"{path} is missing; {where}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}); get it again from git") from None


def read_yaml(path: Path) -> Any:
    """Return the plain value of a YAML file; a UserError names the file that is none."""
    return plain.parse_yaml(read_text(path), path.as_posix())


def read_notebook(path: Path) -> dict[str, Any]:
    """Return the JSON of a notebook; a UserError names a file that is none, and says why.

    Unlike nbformat.read, which logs what does not fit, mends it and goes on.
    """
    import nbformat
    from nbformat.warnings import MissingIDFieldWarning

    try:
        content = json.loads(path.read_bytes())
        with warnings.catch_warnings():
            warnings.simplefilter("error", MissingIDFieldWarning)
            nbformat.validate(content)
    except (
        OSError, ValueError, RecursionError, nbformat.ValidationError, MissingIDFieldWarning,
    ) as error:  # fmt: skip
        why = " ".join(str(error).split())[:200]
        raise UserError(f"{path} is no whole notebook ({why}); get or make it again") from None
    return content
