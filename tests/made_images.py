"""Files in the MedMNIST layout, for the tests of what reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medrl_core.data.images import SPLITS, file_md5


def write_npz(
    path: Path, images: dict[str, np.ndarray], labels: dict[str, np.ndarray]
) -> str:
    """Write splits as MedMNIST does, labels (N, 1) or (N, L) of one byte; return the MD5."""
    arrays = {f"{split}_images": images[split] for split in SPLITS}
    for split in SPLITS:
        label = np.asarray(labels[split], dtype=np.uint8)
        arrays[f"{split}_labels"] = label if label.ndim == 2 else label[:, None]
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    return file_md5(path)
