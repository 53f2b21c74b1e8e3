"""Look at an image set before using it: class balance and images that stand in two splits."""

from __future__ import annotations

import hashlib
from itertools import combinations

import numpy as np
import pandas as pd

from medrl_core.data.images import SPLITS, ImageSet


def class_counts(image_set: ImageSet) -> pd.DataFrame:
    """How many images of each class each split holds.

    Returns:
        A row a (class, split): class, split, value (images; of a multilabel set, images that
        have the label).
    """
    rows = []
    for i, name in enumerate(image_set.classes):
        for split in SPLITS:
            labels = image_set.labels[split]
            has = labels[:, i] if labels.ndim == 2 else labels == i
            rows.append((name, split, int(np.sum(has))))
    return pd.DataFrame(rows, columns=["class", "split", "value"])


def duplicates(image_set: ImageSet) -> dict[str, int]:
    """How many images stand twice, pixel for pixel.

    Returns:
        "within train" (images beyond the first copy) and so on for each split, and "train and
        test" (different images that both splits hold) and so on for each pair of splits.
    """
    digests = {
        split: [hashlib.sha256(image.tobytes()).digest() for image in image_set.images[split]]
        for split in SPLITS
    }
    within = {f"within {split}": len(d) - len(set(d)) for split, d in digests.items()}
    across = {
        f"{a} and {b}": len(set(digests[a]) & set(digests[b])) for a, b in combinations(SPLITS, 2)
    }
    return within | across
