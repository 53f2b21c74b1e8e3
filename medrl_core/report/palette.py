"""One colour and one marker for an arm in the whole book.

    ARM_COLOUR["rl"], ARM_MARKER["rl"]
"""

from __future__ import annotations

from medrl_core.report.bookfigure import colours
from medrl_core.report.figures import GREY, MARKERS
from medrl_core.train.arms import ARMS

_TRAINED = [name for name in ARMS if name != "base"]
ARM_COLOUR = {"base": GREY, **colours(_TRAINED)}
ARM_MARKER = {"base": "_", **dict(zip(_TRAINED, MARKERS, strict=False))}
NAME_COLOUR = {ARMS[name]: colour for name, colour in ARM_COLOUR.items()}
UNTRAINED = "best untrained rival"
CONTROLS = ("coin", "format", "wrong", "rate0")
