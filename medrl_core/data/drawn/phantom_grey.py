"""Draw the four grey modalities of the phantom: chest X-ray, breast ultrasound, CT, retinal OCT.

Each function takes a class number and a canvas and returns an (H, W) drawing, about 0 to 1. See
them:
"""

from __future__ import annotations

import numpy as np

from medrl_core.data.drawn.canvas import Canvas, paint

CHEST = ("normal chest", "effusion", "consolidation", "cardiomegaly", "pneumothorax")
BREAST = ("benign mass", "malignant mass")
CT = ("liver", "spleen", "kidney", "bladder", "pancreas")
OCT = ("normal retina", "drusen", "edema", "neovascular")


def chest(label: int, c: Canvas) -> np.ndarray:
    """Draws lungs, heart, spine and ribs, and the finding in a lung taken at random."""
    finding, rng = CHEST[label], c.rng
    image = 0.62 + 0.04 * c.texture(5)
    heart = rng.uniform(0.44, 0.54) if finding == "cardiomegaly" else rng.uniform(0.22, 0.29)
    ribs = 0.05 * np.sin(c.y * rng.uniform(16, 20) + c.x**2 * 6 + rng.uniform(0, 6))
    side = rng.choice((-1, 1))
    width, height = rng.uniform(0.29, 0.35), rng.uniform(0.62, 0.74)
    for s in (-1, 1):
        lung = c.ellipse(0.47 * s, -0.08, width, height, 0.12 * s)
        lung *= c.fill(c.y - 0.52 - 0.25 * (c.x - 0.47 * s) ** 2)
        paint(image, lung, 0.2 + ribs)
        if s != side:
            continue
        if finding == "effusion":
            level = rng.uniform(0.0, 0.25) - 0.9 * (np.abs(c.x) - 0.3).clip(0) ** 2
            paint(image, lung * c.fill(level - c.y), 0.72)
        elif finding == "consolidation":
            cy, r = rng.uniform(-0.4, 0.0), rng.uniform(0.19, 0.26)
            patch = c.blob(0.47 * s, cy, r, r * 1.15, 0, {2: 0.15, 3: 0.15, 5: 0.1}, soft=0.12)
            paint(image, lung * patch, 0.6 + 0.06 * c.texture(9))
        elif finding == "pneumothorax":
            shrunk = c.ellipse(0.34 * s, 0.12, width * 0.62, height * 0.6, 0.12 * s)
            paint(image, lung, 0.0)
            paint(image, lung * shrunk, 0.42 + ribs)
    paint(image, c.fill(np.abs(c.x) - 0.09), 0.8)
    paint(image, c.ellipse(0.16 + 0.25 * (heart - 0.25), 0.3, heart, 0.27, 0.35), 0.84)
    return image


def breast(label: int, c: Canvas) -> np.ndarray:
    """Draws speckled layers and one dark mass: smooth and wide, or spiculated and tall."""
    rng, malignant = c.rng, BREAST[label] == "malignant mass"
    layers = 0.08 * np.sin(c.y * rng.uniform(5, 8) + 0.8 * c.x + rng.uniform(0, 6))
    image = 0.5 + layers + 0.09 * c.texture(12)
    cx, cy, r = rng.uniform(-0.3, 0.3), rng.uniform(-0.35, 0.0), rng.uniform(0.26, 0.36)
    if malignant:
        rx, ry = r, r * rng.uniform(1.05, 1.45)
        mass = c.blob(cx, cy, rx, ry, rng.uniform(-0.2, 0.2), {7: 0.16, 5: 0.14, 11: 0.1})
    else:
        rx, ry = r * rng.uniform(1.05, 1.45), r
        mass = c.blob(cx, cy, rx, ry, rng.uniform(-0.2, 0.2), {2: 0.04, 3: 0.04})
    below = c.fill(np.abs(c.x - cx) - rx * 0.75, soft=0.2) * c.fill(cy + ry * 0.6 - c.y, soft=0.2)
    image += (-0.1 if malignant else 0.1) * rng.uniform(0.2, 1.6) * below
    paint(image, mass, 0.17 + 0.05 * c.texture(10))
    return image


def ct(label: int, c: Canvas) -> np.ndarray:
    """Draws a slice of the trunk with its spine and one organ, told by place and shape."""
    organ, rng = CT[label], c.rng
    image = np.full((c.size, c.size), 0.05)
    body = c.ellipse(0, 0, rng.uniform(0.88, 0.98), rng.uniform(0.72, 0.84))
    paint(image, body, 0.36 + 0.05 * c.texture(7))
    paint(image, c.ellipse(0, 0.5, 0.14, 0.14), 0.95)
    jx, jy, k = *rng.uniform(-0.07, 0.07, 2), rng.uniform(0.85, 1.12)
    if organ == "liver":
        mask = c.blob(-0.38 + jx, -0.12 + jy, 0.46 * k, 0.38 * k, 0.4, {2: 0.1, 3: 0.14})
    elif organ == "spleen":
        mask = c.ellipse(0.6 + jx, 0.12 + jy, 0.2 * k, 0.38 * k, 0.35)
        mask *= 1 - c.ellipse(0.38 + jx, 0.06 + jy, 0.2 * k, 0.26 * k, 0.35)
    elif organ == "kidney":
        s = rng.choice((-1, 1))
        mask = c.ellipse(0.38 * s + jx, 0.32 + jy, 0.19 * k, 0.26 * k, 0.4 * s)
        mask *= 1 - c.ellipse(0.22 * s + jx, 0.34 + jy, 0.09, 0.11)
    elif organ == "bladder":
        mask = c.ellipse(jx, -0.05 + jy, 0.3 * k, 0.27 * k)
    else:  # pancreas
        bend = 0.14 * np.cos(c.x * 4) - 0.12 - 0.2 * c.x + jy
        mask = c.fill(np.abs(c.y - bend) - 0.1 * k) * c.fill(np.abs(c.x - jx - 0.08) - 0.42 * k)
    paint(image, mask * body, 0.68 + 0.03 * c.texture(7))
    gas = (rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.3))
    paint(image, c.ellipse(*gas, 0.11, 0.09), 0.08)
    return image


def oct_scan(label: int, c: Canvas) -> np.ndarray:
    """Draws the layered retina over its bright base, with the finding in or under it."""
    finding, rng = OCT[label], c.rng
    place = rng.uniform(-0.4, 0.4)
    bend = rng.uniform(-0.12, 0.12) * c.x**2
    base = 0.32 + bend
    pit = 0.16 * np.exp(-((c.x - rng.uniform(-0.15, 0.15)) ** 2) / 0.05)
    thick = rng.uniform(0.5, 0.62)
    if finding == "drusen":
        for x in np.linspace(-0.6, 0.6, 4) + rng.uniform(-0.1, 0.1, 4):
            base = base - rng.uniform(0.13, 0.2) * np.exp(-((c.x - x) ** 2) / 0.012)
    elif finding == "neovascular":
        dome = rng.uniform(0.32, 0.46) * np.exp(-((c.x - place) ** 2) / rng.uniform(0.05, 0.09))
        base = base - dome
    elif finding == "edema":
        pit = -rng.uniform(0.1, 0.24) * np.exp(-((c.x - place) ** 2) / 0.15)
    top = 0.32 + bend - thick + pit
    if finding == "neovascular":
        top = top - 0.35 * dome
    image = 0.08 + 0.03 * c.texture(8)
    depth = (c.y - top) / (0.32 + bend - top)
    layers = 0.48 + 0.12 * np.cos(depth * 4 * np.pi) + 0.05 * c.texture(10)
    paint(image, c.fill(top - c.y) * c.fill(c.y - base), layers)
    under = 0.38 * np.exp(-(c.y - base).clip(0) * 1.8) + 0.06 * c.texture(8)
    paint(image, c.fill(base - c.y), under)
    if finding == "neovascular":
        lesion = c.fill(base - c.y) * c.fill(c.y - 0.32 - bend)
        paint(image, lesion, 0.62 + 0.12 * c.texture(9))
    if finding == "edema":
        offsets = np.stack([[-0.3, 0.0, 0.3], rng.uniform(-0.05, 0.05, 3)], 1)
        spots = offsets + (place * 0.6, 0.32 - thick * 0.55)
        paint(image, c.discs(spots, rng.uniform(0.1, 0.15, 3)), 0.08)
    paint(image, c.fill(np.abs(c.y - base) - 0.05), 0.95)
    return image
