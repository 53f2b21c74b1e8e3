"""Rollouts of medrl itself: a run folder, a folder of parts, or one Parquet file.

Run its test: `pytest tests/score/logs/test_own.py`.
"""

from __future__ import annotations

from pathlib import Path

from medrl_core.score.logs.sniff import Sniffed

NAME = "medrl"


def matches(file: Sniffed) -> bool:
    """Say whether a file holds rollouts."""
    return file.kind == "parquet" and file.has("item_id", "model_hash", "prompt_hash", "decoding")


def is_folder(folder: Path) -> bool:
    """Say whether a folder holds rollouts of `medrl evaluate` or of a run."""
    return (folder / "rollouts.parquet").is_file() or any(folder.glob("rollouts/*.parquet"))
