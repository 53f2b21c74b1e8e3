"""Draw the four colour modalities of the phantom: fundus, skin, histology, blood cells.

Each function takes a class number and a canvas and returns an (H, W, 3) drawing, about 0 to 1. See
them:
"""

from __future__ import annotations

import numpy as np

from medrl_core.data.drawn.canvas import Canvas, paint, scatter

FUNDUS = ("no retinopathy", "mild", "moderate", "severe")
DERM = ("nevus", "melanoma", "keratosis", "dermatofibroma")
HISTOLOGY = ("adipose", "lymphoid tissue", "stroma", "glands", "mucus")
BLOOD = (
    "neutrophil",
    "eosinophil",
    "basophil",
    "lymphocyte",
    "monocyte",
    "platelet",
    "erythroblast",
)
LESIONS = {"no retinopathy": (0, 0), "mild": (2, 3), "moderate": (5, 7), "severe": (11, 14)}


def _sheet(c: Canvas, colour: tuple[float, float, float], mottle: float, cells: int) -> np.ndarray:
    """Lays a background of one colour with smooth light and dark."""
    return np.asarray(colour) + mottle * c.texture(cells)[..., None]


def fundus(label: int, c: Canvas) -> np.ndarray:
    """Draws disc, vessels and macula, and as many dark spots as the grade says."""
    rng, side = c.rng, c.rng.choice((-1, 1))
    image = _sheet(c, (0.78, 0.42, 0.2), 0.03, 5)
    disc = np.array([0.55 * side, rng.uniform(-0.1, 0.1)])
    paint(image, c.ellipse(-0.3 * side, 0, 0.24, 0.24, soft=0.3), (0.68, 0.33, 0.15))
    for up in (-1, 1):
        rise = rng.uniform(0.45, 0.65) * up
        # A vessel leaves the disc and arches over the macula.
        arch = disc[1] + rise * np.sqrt(((disc[0] - c.x) * side).clip(0))
        paint(
            image,
            c.fill(np.abs(c.y - arch) - 0.03) * c.fill((c.x - disc[0]) * side),
            (0.6, 0.22, 0.12),
        )
    paint(image, c.ellipse(*disc, 0.18, 0.2), (0.98, 0.8, 0.5))
    low, high = LESIONS[FUNDUS[label]]
    count = rng.integers(low, high + 1)
    if count:
        spots = scatter(rng, count, reach=0.8, apart=0.32)
        paint(image, c.discs(spots, rng.uniform(0.08, 0.11, count)), (0.22, 0.02, 0.02))
    paint(image, 1 - c.ellipse(0, 0, 0.98, 0.98), (0.05, 0.03, 0.02))
    return image


def derm(label: int, c: Canvas) -> np.ndarray:
    """Draws one lesion on skin, told by its border, symmetry and inner structure."""
    lesion, rng = DERM[label], c.rng
    image = _sheet(c, (0.88, 0.66, 0.56), 0.025, 6)
    cx, cy = rng.uniform(-0.15, 0.15, 2)
    r, angle, dark = rng.uniform(0.42, 0.6), rng.uniform(0, 3.14), rng.uniform(0.85, 1.1)
    brown = np.array([0.5, 0.3, 0.22]) * dark
    if lesion == "nevus":
        paint(image, c.ellipse(cx, cy, r, r * rng.uniform(0.8, 1), angle, soft=0.08), brown)
    elif lesion == "melanoma":
        lobes = {2: 0.12, 3: 0.2, 5: 0.12}
        paint(image, c.blob(cx, cy, r * 1.05, r * 0.85, angle, lobes), brown)
        away = r * 0.45 * np.array([np.cos(angle), np.sin(angle)])
        body = c.blob(cx + away[0], cy + away[1], r * 0.5, r * 0.4, angle, {2: 0.2, 3: 0.2})
        paint(image, body, (0.12, 0.1, 0.16))
        paint(image, c.ellipse(cx - away[0], cy - away[1], r * 0.28, r * 0.22), (0.5, 0.5, 0.62))
    elif lesion == "keratosis":
        shape = c.blob(cx, cy, r * 1.05, r * 0.9, angle, {4: 0.05, 6: 0.04})
        paint(image, shape, brown * 1.12)
        pearls = scatter(rng, 8, reach=r * 0.75, apart=0.3) + (cx, cy)
        paint(image, shape * c.discs(pearls, 0.09), (0.95, 0.85, 0.66))
    else:  # dermatofibroma
        paint(image, c.ellipse(cx, cy, r, r * 0.92, angle, soft=0.25), brown)
        paint(image, c.ellipse(cx, cy, r * 0.52, r * 0.48, angle, soft=0.08), (0.98, 0.88, 0.84))
    for _ in range(rng.integers(0, 3)):
        x0, y0, x1, y1 = rng.uniform(-1, 1, 4)
        paint(image, c.segment(x0, y0, x1, y1, 0.03), (0.25, 0.18, 0.15))
    return image


def histology(label: int, c: Canvas) -> np.ndarray:
    """Draws a patch of stained tissue, told by its texture and by the shapes of its cells."""
    tissue, rng = HISTOLOGY[label], c.rng
    image = _sheet(c, (0.88, 0.7, 0.84), 0.03, 6)
    purple = np.array([0.42, 0.25, 0.58]) * rng.uniform(0.85, 1.1)
    pink = np.array([0.86, 0.5, 0.66])
    if tissue == "adipose":
        near = np.sort(c.distances(scatter(rng, 14, reach=1.4, apart=0.7)), axis=-1)
        image[:] = (0.97, 0.95, 0.97)
        paint(image, c.fill(near[..., 1] - near[..., 0] - 0.1, soft=0.05), pink * 0.85)
    elif tissue == "lymphoid tissue":
        cells = scatter(rng, 60, reach=1.45, apart=0.28)
        paint(image, c.discs(cells, rng.uniform(0.09, 0.12, 60)), purple)
    elif tissue == "stroma":
        wave = 0.25 * np.sin(c.x * rng.uniform(1.5, 3) + rng.uniform(0, 6)) + 0.06 * c.texture(5)
        fibres = 0.5 + 0.5 * np.sin((c.y + wave) * rng.uniform(12, 17))
        paint(image, fibres, pink * 0.82)
        nuclei = scatter(rng, 5, reach=1.1, apart=0.6)
        for x, y in nuclei:
            paint(image, c.ellipse(x, y, 0.15, 0.06, rng.uniform(-0.3, 0.3)), purple)
    elif tissue == "glands":
        paint(image, np.ones_like(c.x), pink + 0.04 * c.texture(9)[..., None])
        for x, y in scatter(rng, rng.integers(2, 4), reach=0.75, apart=0.95):
            r, angle = rng.uniform(0.36, 0.46), rng.uniform(0, 3.14)
            paint(image, c.ellipse(x, y, r, r * 0.85, angle), purple)
            paint(image, c.ellipse(x, y, r * 0.55, r * 0.45, angle), (0.97, 0.94, 0.96))
    else:  # mucus
        image[:] = np.array([0.86, 0.84, 0.94])
        pools = c.y + 0.4 * np.sin(c.x * 1.8 + rng.uniform(0, 6)) + 0.2 * c.texture(4)
        paint(image, 0.5 + 0.5 * np.sin(pools * rng.uniform(2.5, 4)), (0.58, 0.56, 0.82))
        strays = scatter(rng, rng.integers(2, 4), reach=1.0, apart=0.7)
        paint(image, c.discs(strays, 0.1), purple)
    return image


def blood(label: int, c: Canvas) -> np.ndarray:
    """Draws one white cell (or platelet, or young red cell) among red cells."""
    cell, rng = BLOOD[label], c.rng
    image = _sheet(c, (0.96, 0.9, 0.88), 0.015, 5)
    spin = rng.uniform(0, 2 * np.pi)
    for turn in spin + np.arange(4) * np.pi / 2 + rng.uniform(-0.3, 0.3, 4):
        x, y = rng.uniform(1.0, 1.2) * np.array([np.cos(turn), np.sin(turn)])
        paint(image, c.ellipse(x, y, 0.36, 0.34), (0.88, 0.62, 0.62))
        paint(image, c.ellipse(x, y, 0.15, 0.15, soft=0.15), (0.94, 0.78, 0.76))
    purple = np.array([0.38, 0.2, 0.52]) * rng.uniform(0.85, 1.1)
    r = {"platelet": 0.25, "lymphocyte": 0.48, "erythroblast": 0.5, "monocyte": 0.72}.get(
        cell, 0.64
    )
    r *= rng.uniform(0.92, 1.08)
    pale = {
        "eosinophil": (0.93, 0.68, 0.55),
        "monocyte": (0.72, 0.72, 0.84),
        "lymphocyte": (0.7, 0.74, 0.9),
        "erythroblast": (0.8, 0.66, 0.72),
    }
    body = c.blob(0, 0, r, r * rng.uniform(0.9, 1.0), spin, {2: 0.03, 3: 0.03})
    paint(image, body, pale.get(cell, (0.9, 0.78, 0.86)))

    def lobes(n: int, reach: float, size: float) -> None:
        turns = spin + np.arange(n) * 1.45
        spots = reach * np.stack([np.cos(turns), np.sin(turns)], 1)
        for a, b in zip(spots[:-1], spots[1:], strict=True):
            paint(image, c.segment(*a, *b, 0.09), purple)
        paint(image, c.discs(spots, size), purple)

    if cell == "neutrophil":
        lobes(rng.integers(3, 5), 0.52 * r, 0.2)
    elif cell == "eosinophil":
        grains = scatter(rng, 22, reach=r * 0.9, apart=0.22)
        paint(image, body * c.discs(grains, 0.07), (0.8, 0.32, 0.22))
        for s in (-1, 1):
            x, y = 0.42 * r * s * np.array([np.cos(spin), np.sin(spin)])
            paint(image, c.ellipse(x, y, 0.2, 0.27, spin), purple)
    elif cell == "basophil":
        paint(image, c.blob(0, 0, r * 0.6, r * 0.5, spin, {2: 0.15, 3: 0.1}), purple * 1.3)
        grains = scatter(rng, 20, reach=r * 0.9, apart=0.25)
        paint(image, body * c.discs(grains, 0.085), (0.16, 0.06, 0.3))
    elif cell == "lymphocyte":
        x, y = 0.08 * r * np.array([np.cos(spin), np.sin(spin)])
        paint(image, c.ellipse(x, y, r * 0.84, r * 0.8, spin), purple)
    elif cell == "monocyte":
        x, y = r * np.array([np.cos(spin), np.sin(spin)])
        notch = c.ellipse(0.5 * x, 0.5 * y, r * 0.42, r * 0.3, spin)
        nucleus = c.ellipse(-0.1 * x, -0.1 * y, r * 0.55, r * 0.72, spin)
        paint(image, nucleus * (1 - notch), purple * 1.1)
    elif cell == "platelet":
        paint(image, body, np.array([0.66, 0.5, 0.74]) + 0.05 * c.texture(12)[..., None])
    else:  # erythroblast
        paint(image, c.ellipse(0, 0, r * 0.5, r * 0.48, spin), purple * 0.65)
    return image
