"""The scenes of the drawn world: 32 x 32 pixels of anatomy for each modality, without a finding.

    scene = SCENES["chest film"]
    anatomy = scene.paint(np.random.default_rng(0))     # (32, 32, 3), 0 to 1
    column, row = scene.place(side=0, level=3)          # where a finding belongs

`pictures.py` lays findings on them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

SIDE = 32
Y, X = np.mgrid[:SIDE, :SIDE].astype(np.float64)
MIDDLE = (SIDE - 1) / 2
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Scene:
    """One modality's anatomy and the way a finding looks in it.

    Arguments:
        paint: gives the anatomy, (32, 32, 3) from 0 to 1, new at each call.
        bright: colour of a bright finding.
        dark: colour of a dark finding.
        mark: colour of the small marks that are counted.
        left: column of a finding on the left of the picture at each level; the right mirrors it.
        rows: row of a finding at each level, from the top.
    """

    paint: Callable[[np.random.Generator], np.ndarray]
    bright: Colour = (0.97, 0.97, 0.97)
    dark: Colour = (0.02, 0.02, 0.02)
    mark: Colour = (1.0, 1.0, 1.0)
    left: tuple[int, int, int, int] = (8, 8, 8, 8)
    rows: tuple[int, int, int, int] = (5, 12, 20, 27)

    def place(self, side: int, level: int) -> tuple[int, int]:
        """Column and row of a finding's middle; side 0 is the left of the picture."""
        column = self.left[level]
        return (column if side == 0 else SIDE - 1 - column), self.rows[level]


def lay(image: np.ndarray, mask: np.ndarray, value) -> None:
    """Lay a colour, a grey value or a picture over an image, in place, where a mask is 1."""
    mask = mask[..., None]
    image += mask * (np.broadcast_to(np.asarray(value, float), image.shape) - image)


def edge(distance: np.ndarray, soft: float = 1.0) -> np.ndarray:
    """A mask from a distance that is negative inside, with an edge `soft` pixels wide."""
    return np.clip(0.5 - distance / soft, 0, 1)


def ellipse(cx: float, cy: float, rx: float, ry: float, soft: float = 1.0) -> np.ndarray:
    """The mask of an ellipse in pixels."""
    radius = np.hypot((X - cx) / rx, (Y - cy) / ry)
    return edge((radius - 1) * min(rx, ry), soft)


def line(x0: float, y0: float, x1: float, y1: float, width: float) -> np.ndarray:
    """The mask of a straight stroke."""
    dx, dy = x1 - x0, y1 - y0
    along = np.clip(((X - x0) * dx + (Y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
    return edge(np.hypot(X - x0 - along * dx, Y - y0 - along * dy) - width / 2)


def cloud(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Smooth noise of about unit size with `cells` knots along each axis."""
    place = np.linspace(0, cells - 1, SIDE)
    near = np.minimum(place.astype(int), cells - 2)
    weights = np.zeros((SIDE, cells))
    weights[np.arange(SIDE), near] = near + 1 - place
    weights[np.arange(SIDE), near + 1] = place - near
    return weights @ rng.standard_normal((cells, cells)) @ weights.T


def grey(values: np.ndarray | float) -> np.ndarray:
    """A grey picture as three equal channels."""
    return np.repeat(np.broadcast_to(np.asarray(values, float), (SIDE, SIDE))[..., None], 3, -1)


def sheet(colour: Colour, mottle: np.ndarray | float = 0.0) -> np.ndarray:
    """A picture of one colour with light and dark on it."""
    return np.asarray(colour) + np.zeros((SIDE, SIDE, 3)) + np.expand_dims(mottle, -1)


def chest_film(rng: np.random.Generator) -> np.ndarray:
    """Lungs, ribs, clavicles, spine, heart and diaphragm."""
    image = grey(0.66 + 0.02 * cloud(rng, 6))
    ribs = 0.06 * np.sin(Y * 1.45 + 0.012 * (X - MIDDLE) ** 2 + rng.uniform(-0.4, 0.4))
    for s in (-1, 1):
        lung = ellipse(MIDDLE + 7.8 * s, 15.5, 6.6, 15.5, soft=1.5)
        lay(image, lung, grey(0.30 + ribs))
        lay(image, 0.5 * line(MIDDLE + 2.5 * s, 4.5, MIDDLE + 13 * s, 1.5, 1.6), 0.75)
    lay(image, 0.9 * edge(np.abs(X - MIDDLE) - 2.0), 0.8)
    lay(image, 0.85 * ellipse(MIDDLE + 2.6, 21, 4.6, 5.4, soft=1.6), 0.86)
    lay(image, 0.7 * edge(29.8 - Y - 0.02 * (X - MIDDLE) ** 2, soft=2), 0.82)
    return image


def head_ct(rng: np.random.Generator) -> np.ndarray:
    """A thick skull, the brain, the fluid spaces in the middle, and the headrest under it."""
    image = grey(0.02)
    lay(image, 0.5 * ellipse(MIDDLE, 33.5, 13, 4.5), 0.3)
    lay(image, ellipse(MIDDLE, MIDDLE, 14.8, 15.9), 0.97)
    brain = ellipse(MIDDLE, MIDDLE, 12.6, 13.8)
    lay(image, brain, grey(0.45 + 0.02 * cloud(rng, 9)))
    lay(image, ellipse(MIDDLE, MIDDLE, 10, 11.4, soft=3), grey(0.4 + 0.02 * cloud(rng, 7)))
    for s in (-1, 1):
        lay(image, 0.8 * line(MIDDLE + 1.4 * s, 14, MIDDLE + 2.6 * s, 11, 1.7), 0.14)
    lay(image, 0.8 * line(MIDDLE, 17, MIDDLE, 18.5, 1.2), 0.16)
    lay(image, 0.5 * edge(np.abs(X - MIDDLE) - 0.3) * brain * (np.abs(Y - MIDDLE) > 7), 0.75)
    return image


def lung_ct(rng: np.random.Generator) -> np.ndarray:
    """A slice of the chest: two lungs with vessels, heart and aorta, spine, shoulder blades."""
    image = grey(0.02)
    lay(image, ellipse(MIDDLE, MIDDLE, 15.8, 15.2), 0.5)
    lay(image, 0.5 * ellipse(MIDDLE, MIDDLE, 15.8, 15.2) * edge(Y - 2.5), 0.62)
    for s in (-1, 1):
        lung = ellipse(MIDDLE + 7.6 * s, MIDDLE - 0.3, 6.3, 13.6)
        lay(image, lung, grey(0.26 + 0.015 * cloud(rng, 10)))
        for y in rng.uniform(6, 25, 7):
            lay(image, 0.4 * lung * ellipse(MIDDLE + s * rng.uniform(3, 12), y, 0.7, 0.7), 0.6)
    lay(image, ellipse(MIDDLE + 1.5, 12, 4.2, 4.6, soft=1.5), 0.68)
    lay(image, ellipse(MIDDLE + 2.2, 20.5, 1.6, 1.6), 0.74)
    lay(image, ellipse(MIDDLE, 26, 2.6, 2.4), 0.95)
    lay(image, ellipse(MIDDLE, 25.4, 0.8, 0.8), 0.4)
    return image


def brain_mri(rng: np.random.Generator) -> np.ndarray:
    """Scalp, fluid, grey and white matter, the two ventricles and the cleft between the halves."""
    image = grey(0.02)
    lay(image, ellipse(MIDDLE, MIDDLE, 14.6, 15.8), 0.8)
    lay(image, ellipse(MIDDLE, MIDDLE, 13.4, 14.6), 0.1)
    brain = ellipse(MIDDLE, MIDDLE, 12.7, 13.9)
    folds = 0.05 * np.sin(6 * np.arctan2(Y - MIDDLE, X - MIDDLE) * 2 + rng.uniform(0, 6))
    lay(image, brain, grey(0.42 + folds))
    lay(image, ellipse(MIDDLE, MIDDLE, 10, 11.4, soft=3), grey(0.54 + 0.02 * cloud(rng, 7)))
    for s in (-1, 1):
        for dy, tilt in ((-3.2, 1.0), (3.0, 1.6)):
            lay(image, line(MIDDLE + 1.5 * s, MIDDLE + dy * 0.3,
                            MIDDLE + (1.5 + tilt) * s, MIDDLE + dy, 1.8), 0.08)  # fmt: skip
    lay(image, 0.8 * edge(np.abs(X - MIDDLE) - 0.3) * edge(6 - np.abs(Y - MIDDLE)) * brain, 0.15)
    return image


def breast_ultrasound(rng: np.random.Generator) -> np.ndarray:
    """Skin, fat, gland and muscle in layers, in speckle that fades with depth; a depth scale."""
    layers = 0.07 * np.sin(Y * 0.75 + 0.5 * np.sin(X * 0.2 + rng.uniform(0, 6)))
    speckle = 0.06 * rng.standard_normal((SIDE, SIDE)) + 0.04 * cloud(rng, 16)
    image = grey(0.6 - 0.011 * Y + layers + speckle)
    lay(image, edge(Y - 0.8), 0.92)
    lay(image, edge(np.abs(X - 0.2) - 0.3) * (Y.astype(int) % 8 == 4), 0.95)
    return image


def liver_ultrasound(rng: np.random.Generator) -> np.ndarray:
    """The sector of a curved probe: even liver, dark vessels, the bright diaphragm below."""
    image = grey(0.03)
    radius = np.hypot(X - MIDDLE, Y + 16)
    speckle = 0.04 * rng.standard_normal((SIDE, SIDE)) + 0.04 * cloud(rng, 13)
    sector = edge(17.5 - radius) * edge(radius - 48.5)
    sector = sector * edge((np.abs(np.arctan2(X - MIDDLE, Y + 16)) - 0.66) * radius)
    lay(image, sector, grey(0.56 - 0.007 * Y + speckle))
    for _ in range(2):
        x, y, turn = MIDDLE + rng.uniform(-3, 3), rng.uniform(9, 22), rng.uniform(-2.5, 2.5)
        lay(image, 0.6 * sector * line(x - 3, y - turn, x + 3, y + turn, 1.4), 0.12)
    lay(image, 0.7 * sector * edge(np.abs(radius - 46.5) - 0.8), 0.9)
    return image


def mammogram(rng: np.random.Generator) -> np.ndarray:
    """A breast from the chest wall at the left, with gland strands towards the nipple."""
    image = grey(0.02)
    breast = edge(((X / 30.5) ** 2 + ((Y - MIDDLE) / 17.0) ** 2 - 1) * 15, soft=2)
    lay(image, breast, grey(0.38 + 0.05 * cloud(rng, 7)))
    for slope in (-0.9, -0.45, 0.0, 0.45, 0.9):
        away = Y - MIDDLE - slope * (29 - X) * (0.55 + 0.05 * np.sin(X))
        lay(image, 0.3 * breast * edge(np.abs(away) - 0.8, soft=1.5), 0.62)
    lay(image, ellipse(30, MIDDLE, 1.3, 1.6), 0.7)
    lay(image, 0.6 * edge((X + 0.32 * Y) - 6.5, soft=2), 0.66)
    return image


def oct_scan(rng: np.random.Generator) -> np.ndarray:
    """The layers of the retina with the foveal pit, its bright base, and the choroid under it."""
    pit = 3.2 * np.exp(-(((X - MIDDLE) / 4.5) ** 2))
    depth = Y - 1.5 - pit + rng.uniform(-0.4, 0.4) + 0.4 * np.sin(X * 0.16 + rng.uniform(0, 6))
    value = np.interp(
        depth,
        [-2, -0.5, 0.5, 3, 4.5, 8, 9.5, 13, 14.5, 18, 19.2, 20.6, 21.6, 31],
        [0.1, 0.1, 0.85, 0.8, 0.5, 0.46, 0.62, 0.6, 0.38, 0.4, 0.9, 0.95, 0.6, 0.3],
    )
    return grey(value + 0.04 * rng.standard_normal((SIDE, SIDE)))


def fundus_photo(rng: np.random.Generator) -> np.ndarray:
    """Optic disc, macula and arching vessels inside the round field of the camera."""
    image = sheet((0.8, 0.42, 0.2), 0.02 * cloud(rng, 6))
    lay(image, 0.6 * ellipse(12, MIDDLE + 0.5, 3.2, 3.2, soft=3), (0.55, 0.24, 0.1))
    for rise in (-3.2, -2.1, 2.1, 3.2):
        arch = MIDDLE + rise * np.sqrt((25.5 - X).clip(0)) * rng.uniform(0.9, 1.1)
        lay(image, 0.75 * edge(np.abs(Y - arch) - 0.6) * (X < 26), (0.55, 0.14, 0.08))
    lay(image, ellipse(26, MIDDLE, 2.4, 2.8), (1.0, 0.86, 0.55))
    lay(image, 1 - ellipse(MIDDLE, MIDDLE, 16.6, 16.6), (0.02, 0.01, 0.01))
    return image


def skin_photo(rng: np.random.Generator) -> np.ndarray:
    """Skin with its fine pattern and a few hairs."""
    pattern = 0.015 * np.sin(X * 1.7 + Y * 0.8) * np.sin(Y * 1.6 - X * 0.7)
    image = sheet((0.86, 0.62, 0.5), pattern + 0.02 * cloud(rng, 6))
    for _ in range(rng.integers(1, 4)):
        x, y, dx = rng.uniform(2, 29), rng.uniform(4, 27), rng.uniform(-5, 5)
        lay(image, 0.45 * line(x, y - 5, x + dx, y + 5, 0.5), (0.36, 0.22, 0.15))
    return image


def tissue_slide(rng: np.random.Generator) -> np.ndarray:
    """Pink stroma in waves with small violet nuclei."""
    fibres = 0.03 * np.sin(Y * 0.9 + 1.2 * np.sin(X * 0.25 + rng.uniform(0, 6)))
    image = sheet((0.88, 0.62, 0.78), fibres + 0.02 * cloud(rng, 8))
    for x, y in rng.uniform(0, SIDE, (26, 2)):
        lay(image, 0.55 * ellipse(x, y, 1.0, 0.8), (0.5, 0.3, 0.62))
    return image


def blood_smear(rng: np.random.Generator) -> np.ndarray:
    """Red cells with pale middles on a pale ground."""
    image = sheet((0.95, 0.88, 0.8), 0.01 * cloud(rng, 5))
    grid = np.stack(np.meshgrid(np.arange(3, 36, 7), np.arange(2, 36, 7)), -1).reshape(-1, 2)
    for x, y in grid + rng.uniform(-1.6, 1.6, grid.shape):
        lay(image, 0.75 * ellipse(x, y, 2.9, 2.8), (0.85, 0.52, 0.5))
        lay(image, 0.6 * ellipse(x, y, 1.2, 1.2, soft=2), (0.93, 0.72, 0.68))
    return image


def endoscopy(rng: np.random.Generator) -> np.ndarray:
    """A wet red tube with ring folds, its dark lumen, and the camera's cut corners."""
    cx, cy = MIDDLE + rng.uniform(-1, 1), MIDDLE + rng.uniform(-1, 1)
    radius = np.hypot(X - cx, Y - cy)
    folds = 0.05 * np.sin(radius * 1.25 + 0.8 * np.sin(3 * np.arctan2(Y - cy, X - cx)))
    image = sheet((0.8, 0.42, 0.36), folds + 0.02 * cloud(rng, 7))
    lay(image, 0.9 * ellipse(cx, cy, 3.6, 3.2, soft=4), (0.2, 0.05, 0.04))
    lay(image, 0.8 * ellipse(cx + 4.5, cy - 4.5, 0.9, 0.7), (1.0, 0.93, 0.9))
    lay(image, edge(24.5 - np.abs(X - MIDDLE) - np.abs(Y - MIDDLE)), 0.02)
    return image


def knee_film(rng: np.random.Generator) -> np.ndarray:
    """Both knees from the front: thigh bone, joint gap, shin bone and the thin bone outside it."""
    image = grey(0.05)
    gap = MIDDLE + rng.uniform(-0.6, 0.6)
    for s in (-1, 1):
        cx = MIDDLE + 7.6 * s
        lay(image, edge(np.abs(X - cx) - 7.4, soft=2), 0.24)
        flare = 2.0 * np.exp(-(((Y - gap) / 5.0) ** 2))
        half = 3.6 + flare
        lay(image, edge(np.abs(X - cx) - half), 0.76)
        marrow = edge(np.abs(X - cx) - half + 1.2, soft=1.5)
        lay(image, marrow, grey(0.52 + 0.02 * cloud(rng, 12)))
        lay(image, edge(np.abs(Y - gap - 0.12 * np.abs(X - cx)) - 0.8), 0.2)
        lay(image, 0.7 * edge(np.abs(X - cx - 5.6 * s) - 0.7) * (gap + 3 < Y), 0.6)
    return image


def hand_film(rng: np.random.Generator) -> np.ndarray:
    """The bones of five rays with their joints, and the wrist under them."""
    image = grey(0.07)
    lay(image, edge(np.abs(X - MIDDLE) - 15.2, soft=2), 0.2)
    for i, cx in enumerate((3.0, 9.2, 15.5, 21.8, 28.0)):
        top = (6, 1, 0, 2, 9)[i] + rng.uniform(-0.5, 0.5)
        half = 2.3 + 0.5 * np.cos((Y - top) * 2 * np.pi / 8.2)
        ray = edge(np.abs(X - cx) - half) * edge(top - Y) * edge(Y - 26)
        lay(image, ray, grey(0.62 + 0.02 * cloud(rng, 12)))
        lay(image, ray * edge(np.abs(X - cx) - half + 1.1, soft=1.5), 0.46)
        joints = np.abs((Y - top + 4.1) % 8.2 - 4.1)
        lay(image, 0.7 * ray * edge(joints - 0.4), 0.2)
    for x, y in ((5, 29), (11, 29.5), (17, 29), (22.5, 29.5), (27.5, 29)):
        lay(image, ellipse(x, y, 2.9, 2.4), 0.6)
    return image


def pet_scan(rng: np.random.Generator) -> np.ndarray:
    """The trunk from the front, uptake dark on white: brain, heart, bladder."""
    image = grey(0.97)
    body = edge(np.abs(X - MIDDLE) - 14.2 + 0.6 * np.cos(Y * 0.3), soft=2)
    lay(image, body, grey(0.66 + 0.05 * cloud(rng, 8)))
    lay(image, 0.8 * ellipse(MIDDLE, 1, 3.2, 2.6, soft=2), 0.2)
    lay(image, 0.5 * ellipse(MIDDLE + 1.5, 13, 2.2, 2.0, soft=2), 0.35)
    lay(image, 0.8 * ellipse(MIDDLE, 29.5, 2.2, 1.8, soft=2), 0.15)
    return image


def cytology_smear(rng: np.random.Generator) -> np.ndarray:
    """Flat angular cells, blue-green and rose, each with a small nucleus."""
    image = sheet((0.9, 0.93, 0.94), 0.01 * cloud(rng, 5))
    for i, (x, y) in enumerate(rng.uniform(0, SIDE, (9, 2))):
        colour = (0.62, 0.8, 0.82) if i % 3 else (0.88, 0.72, 0.78)
        theta = np.arctan2(Y - y, X - x)
        rim = rng.uniform(4, 5.5) * (1 + 0.1 * np.cos(5 * theta + rng.uniform(0, 6)))
        lay(image, 0.55 * edge(np.hypot(X - x, Y - y) - rim), colour)
        lay(image, 0.6 * ellipse(x, y, 0.8, 0.8), (0.32, 0.3, 0.5))
    return image


def angiogram(rng: np.random.Generator) -> np.ndarray:
    """A dark tree of vessels on a light ground."""
    image = grey(0.7 + 0.03 * cloud(rng, 6))
    trunk = [(MIDDLE, 0), (MIDDLE + 1, 9), (MIDDLE - 0.5, 18), (MIDDLE + 0.5, 31)]
    for (x0, y0), (x1, y1) in zip(trunk[:-1], trunk[1:], strict=True):
        lay(image, 0.8 * line(x0, y0, x1, y1, 1.8), 0.2)
    for y in (4, 11, 18, 25):
        for s in (-1, 1):
            x1, y1 = MIDDLE + s * rng.uniform(11, 15), y + rng.uniform(2, 6)
            lay(image, 0.6 * line(MIDDLE, y, x1, y1, 0.9), 0.28)
    return image


def cardiac_echo(rng: np.random.Generator) -> np.ndarray:
    """A wide sector with the septum and two chambers."""
    image = grey(0.03)
    apex = -18.0
    radius, angle = np.hypot(X - MIDDLE, Y - apex), np.arctan2(X - MIDDLE, Y - apex)
    sector = edge((np.abs(angle) - 0.6) * radius) * edge(18.6 - radius) * edge(radius - 49.5)
    speckle = 0.06 * rng.standard_normal((SIDE, SIDE)) + 0.04 * cloud(rng, 14)
    lay(image, sector, grey(0.46 + speckle))
    for s in (-1, 1):
        chamber = ellipse(MIDDLE + 7.3 * s, 16.5, 5.8, 12.5, soft=2.5)
        lay(image, 0.8 * sector * chamber, grey(0.3 + speckle))
    lay(image, 0.7 * sector * edge(np.abs(X - MIDDLE) - 1.2, soft=2), 0.75)
    return image


def dental_film(rng: np.random.Generator) -> np.ndarray:
    """A bitewing: two rows of teeth with pulp, and the bone that holds their roots."""
    image = grey(0.42 + 0.04 * cloud(rng, 12))
    for cx in (3.5, 11.5, 19.5, 27.5):
        for s in (-1, 1):
            middle = MIDDLE + 7.2 * s
            lay(image, ellipse(cx, middle, 3.6, 7.0), 0.62)
            lay(image, ellipse(cx, MIDDLE + 2.6 * s, 3.4, 2.2), 0.82)
            lay(image, 0.6 * ellipse(cx, middle + 1.5 * s, 0.9, 4.0), 0.34)
    lay(image, edge(np.abs(Y - MIDDLE) - 0.7), 0.05)
    return image


def thyroid_scan(rng: np.random.Generator) -> np.ndarray:
    """Counts of a gamma camera over the two lobes."""
    image = grey(0.04)
    for s in (-1, 1):
        lobe = ellipse(MIDDLE + 7.5 * s, MIDDLE, 6.4, 15.5, soft=3)
        lay(image, lobe, grey(0.5 + 0.03 * cloud(rng, 12)))
    lay(image, 0.8 * edge(np.abs(X - MIDDLE) - 3) * edge(np.abs(Y - 21) - 1.5, soft=2), 0.4)
    grain = rng.standard_normal((SIDE, SIDE)) * np.sqrt(image[..., 0])
    return image + 0.08 * grain[..., None]


BROWN, VIOLET = (0.26, 0.13, 0.09), (0.28, 0.1, 0.45)
# Round fields have no room in their corners.
ROUND: dict[str, Any] = {"left": (10, 8, 8, 10), "rows": (7, 12, 19, 24)}
SCENES = {
    "skin photo": Scene(skin_photo, bright=(1.0, 0.93, 0.9), dark=BROWN, mark=(0.75, 0.1, 0.12)),
    "knee film": Scene(knee_film),
    "chest film": Scene(chest_film),
    "head CT": Scene(head_ct, **ROUND),
    "fundus photo": Scene(
        fundus_photo, bright=(1.0, 0.92, 0.6), dark=(0.22, 0.01, 0.02), mark=(1.0, 0.95, 0.7),
        **ROUND,
    ),
    "brain MRI": Scene(brain_mri, **ROUND),
    "angiogram": Scene(angiogram, mark=(0.05, 0.05, 0.05)),
    "thyroid scan": Scene(thyroid_scan),
    "cardiac echo": Scene(cardiac_echo),
    "dental film": Scene(dental_film),
    "liver ultrasound": Scene(liver_ultrasound, **ROUND),
    "mammogram": Scene(mammogram),
    "PET scan": Scene(pet_scan, mark=(0.0, 0.0, 0.0)),
    "OCT scan": Scene(oct_scan),
    "hand film": Scene(hand_film),
    "tissue slide": Scene(
        tissue_slide, bright=(1.0, 0.97, 1.0), dark=VIOLET, mark=(0.1, 0.05, 0.3)
    ),
    "blood smear": Scene(
        blood_smear, bright=(1.0, 1.0, 0.97), dark=VIOLET, mark=(0.15, 0.08, 0.4)
    ),
    "breast ultrasound": Scene(breast_ultrasound),
    "lung CT": Scene(lung_ct, **ROUND),
    "endoscopy": Scene(
        endoscopy, bright=(1.0, 0.9, 0.72), dark=(0.3, 0.02, 0.06), mark=(1.0, 1.0, 0.9), **ROUND
    ),
    "cytology smear": Scene(
        cytology_smear, bright=(1.0, 1.0, 0.95), dark=(0.16, 0.16, 0.42), mark=(0.55, 0.05, 0.15)
    ),
}  # fmt: skip
