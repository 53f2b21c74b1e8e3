"""Which real data are on this machine: MedMNIST files and VQA benchmarks.

    present(root="../shared/medmnist")      # one row a set: kind, name, there

Nothing is fetched. `pytest tests/data/test_present.py` runs the tests.
"""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from medrl_core.data import benchmarks, medmnist, vqa


def present(root: str | None = None, vqa_root: str | None = None) -> pd.DataFrame:
    """Say of each real set that the project knows whether its file is there.

    Arguments:
        root: folder of MedMNIST files; None takes $MEDMNIST_ROOT.
        vqa_root: folder of the benchmarks; None takes $VQA_ROOT.

    Returns:
        One row a set: kind ("MedMNIST" or "VQA"), name, there.
    """
    rows = [
        ("MedMNIST", f"{name.removesuffix('mnist').capitalize()}MNIST", path.is_file())
        for name in medmnist.datasets()
        for path in [medmnist.path_of(name, root)]
    ]
    folder = vqa_root or os.environ.get(benchmarks.ROOT_VARIABLE)
    for name in vqa.BENCHMARKS:
        there = folder is not None and any(path.is_file() for path in _places(name, Path(folder)))
        rows.append(("VQA", name, there))
    return pd.DataFrame(rows, columns=["kind", "name", "there"])


def _places(benchmark: str, folder: Path) -> list[Path]:
    """Where `benchmarks.load` looks for test items."""
    own = [folder / "vqa_rad" / "test.json"] if benchmark == "VQA-RAD" else []
    return [folder / f"{benchmarks.slug(benchmark)}.jsonl", *own]
