"""The official medbridgerl run's printout, which keeps no answers: refused with that reason."""

from __future__ import annotations

import re
from pathlib import Path

from medrl_core.errors import UserError
from medrl_core.score.logs import files
from medrl_core.score.logs.log import Log, Wanted
from medrl_core.score.logs.sniff import Sniffed

NAME = "medbridgerl"
_SAYS = re.compile(r"^N\s*=\s*(\d+)\s+pass@(\d+)\s*=\s*([\d.]+)", re.MULTILINE)


def matches(file: Sniffed) -> bool:
    """Say whether a file is such a printout."""
    return file.kind == "text" and ("=== OVERALL ===" in file.start or bool(
        re.search(r"^\[\d+/\d+\] pass@\d+=", file.start, re.MULTILINE)
    ))


def read(paths: list[Path], wanted: Wanted) -> list[Log]:
    """Refuse: raises UserError that says what the printout has and lacks."""
    told = _SAYS.search(files.text(paths[0]))
    has = f"only pass@{told[2]} = {told[3]} of {told[1]} items" if told else "only its averages"
    raise UserError(
        f"{paths[0]} is a printout of medbridgerl's inference.py, which keeps no answers, {has}: "
        "no item can be scored again; sample the items with `medrl evaluate`"
    )
