"""What the processes of tests/train/test_resume.py run: `medrl evaluate` in many small parts.

A fork server imports this module once; each process that it starts can be killed.
"""

from __future__ import annotations

import os
import sys

import torch

import tiny
from medrl.commands import main as cli
from medrl.commands import scores
from medrl.studies import execution
from medrl_core.data import vqa
from medrl_core.models import hub
from medrl_core.sample import sampling
from medrl_core.score import evaluate

READY = (vqa, evaluate, hub, scores, execution, tiny)  # imported before the first process starts


def medrl(words: list[str], error: str) -> None:
    """Run the command with one thread, two items a part, and its stderr in the file `error`."""
    torch.set_num_threads(1)
    sampling.ITEMS_ENCODED = 2
    with open(error, "w") as sys.stderr, open(os.devnull, "w") as sys.stdout:
        cli.app(words)
