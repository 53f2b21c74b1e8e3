"""How alike two sets of features are: linear centred kernel alignment (CKA).

Kornblith et al. 2019, arXiv 1905.00414.
"""

from __future__ import annotations

import numpy as np


def linear_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Linear CKA of two sets of features of the same images.

    With fewer images than features it lies too high for unrelated features, so that two values are
    to be compared at one number of images.

    Args:
        x: (N, D) features.
        y: (N, E) features of the same images in the same order.

    Returns:
        From 0 to 1; 1 for features that differ by rotation, shift and scale only. nan where one
        of the two is the same for all images.
    """
    x, y = (np.asarray(side, dtype=float) - np.mean(side, axis=0, dtype=float) for side in (x, y))
    if len(x) < max(x.shape[1], y.shape[1]):  # the smaller of two equal ways to the same sums
        k, other = x @ x.T, y @ y.T
        shared, own = np.sum(k * other), np.linalg.norm(k) * np.linalg.norm(other)
    else:
        shared = np.sum((x.T @ y) ** 2)
        own = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(shared / own) if own > 0 else float("nan")
