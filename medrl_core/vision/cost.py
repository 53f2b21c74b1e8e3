"""What it costs to encode images: seconds and memory for a thousand, by resolution.

Times differ from run to run, so they stand in a figure's CSV and never in results.json.
"""

from __future__ import annotations

import time

import numpy as np
import pandas as pd

from medrl_core.models.towers import Tower

SCALES = (1, 2, 4)
IMAGES = 32


def of(tower: Tower, images: np.ndarray) -> pd.DataFrame:
    """Measures a tower on the first images of a set, as they are and enlarged.

    Args:
        tower: from `open_tower`. Principal components are those of one size, so only that is
            measured.
        images: (N, H, W) or (N, H, W, 3) uint8.

    Returns:
        A row a resolution: side (pixels), seconds (of the processor, a thousand images), mb
        (features kept of a thousand images).
    """
    few, rows = images[:IMAGES], []
    for scale in SCALES[:1] if tower.ref.startswith("pca:") else SCALES:
        large = few.repeat(scale, axis=1).repeat(scale, axis=2)
        tower.encode_batch(large[:2])  # the first call of a size sets things up
        start = time.process_time()
        found = tower.encode_batch(large)
        seconds = (time.process_time() - start) / len(large) * 1000
        rows.append((large.shape[1], seconds, found.shape[1] * 4 * 1000 / 1e6))
    return pd.DataFrame(rows, columns=["side", "seconds", "mb"])
