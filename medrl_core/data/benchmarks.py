"""Find the medical VQA benchmarks in a folder and read those that are there.

`pytest tests/test_benchmarks.py` runs this module's tests.

Layout of the folder: `vqa_rad/` with train.json, test.json and images/ (as VQA-RAD is published),
or for any benchmark `<name>.jsonl` in the official kit's format, the name in lower case with
underscores, e.g. `pmc_vqa.jsonl`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medrl_core.data import vqa
from medrl_core.data.items import Item
from medrl_core.errors import UserError

ROOT_VARIABLE = "VQA_ROOT"


def load(
    benchmarks: Sequence[str], root: str | None = None, *, n: int | None = None, seed: int = 0
) -> dict[str, list[Item]]:
    """Read the test items of each benchmark whose files are there.

    Arguments:
        benchmarks: names, keys of `vqa.BENCHMARKS`.
        root: folder of the benchmarks; None takes the variable VQA_ROOT, without it there are none.
        n: at most so many items of each, drawn with the seed; None takes all.
        seed: of the draw.

    Returns:
        Benchmark to items; a benchmark without files has no entry.

    Raises:
        UserError: unknown benchmark, or the folder is not there.
    """
    for name in benchmarks:
        if name not in vqa.BENCHMARKS:
            raise UserError(f"no benchmark {name!r}: use one of {', '.join(vqa.BENCHMARKS)}")
    root = root or os.environ.get(ROOT_VARIABLE)
    if root is None:
        return {}
    if not Path(root).is_dir():
        raise UserError(f"no folder {root} with benchmarks: check vqa_root or ${ROOT_VARIABLE}")
    found = {}
    for name in benchmarks:
        slug = name.lower().replace("-", "_")
        if (Path(root) / f"{slug}.jsonl").is_file():
            items = vqa.read_jsonl(Path(root) / f"{slug}.jsonl")
        elif name == "VQA-RAD" and (Path(root) / slug).is_dir():
            items = vqa.read_vqa_rad(Path(root) / slug)
        else:
            continue
        if n is not None and n < len(items):
            order = np.random.default_rng(seed).permutation(len(items))[:n]
            items = [items[i] for i in sorted(order)]
        found[name] = items
    return found
