"""Draw plain shapes with known facts: what the micro base model has seen of the world."""

from __future__ import annotations

import numpy as np

from medrl_core.data.drawn.canvas import Canvas, develop, generator, paint
from medrl_core.errors import UserError

SHAPES = ("circle", "square", "triangle", "cross", "ring", "bar")
COLOURS = {
    "red": (0.85, 0.15, 0.12),
    "green": (0.15, 0.6, 0.2),
    "blue": (0.15, 0.25, 0.85),
    "yellow": (0.95, 0.85, 0.15),
    "purple": (0.5, 0.2, 0.6),
    "pink": (0.95, 0.55, 0.7),
    "brown": (0.45, 0.28, 0.15),
    "black": (0.06, 0.06, 0.06),
    "white": (0.97, 0.97, 0.97),
}
TEXTURES = ("plain", "stripes", "dots", "checker", "noise")
POSITIONS = {
    "centre": (0.0, 0.0),
    "left": (-0.48, 0.0),
    "right": (0.48, 0.0),
    "top": (0.0, -0.48),
    "bottom": (0.0, 0.48),
}
COUNTS = (1, 2, 3, 4, 5)
# Places for several shapes: they stay apart and inside the picture.
_PLACES = {
    2: ((-0.45, 0.0), (0.45, 0.0)),
    3: ((-0.45, 0.4), (0.45, 0.4), (0.0, -0.45)),
    4: ((-0.45, -0.45), (0.45, -0.45), (-0.45, 0.45), (0.45, 0.45)),
    5: ((-0.6, -0.6), (0.6, -0.6), (-0.6, 0.6), (0.6, 0.6), (0.0, 0.0)),
}


def _outline(shape: str, c: Canvas, cx: float, cy: float, r: float) -> np.ndarray:
    """Gives the signed distance of one shape of radius r, turned with the canvas."""
    x, y = c.x - cx, c.y - cy
    if shape == "circle":
        return np.hypot(x, y) - r
    if shape == "square":
        return np.maximum(np.abs(x), np.abs(y)) - 0.85 * r
    if shape == "triangle":
        return np.maximum(y, 0.87 * np.abs(x) - 0.5 * y) - 0.55 * r
    if shape == "cross":
        upright = np.maximum(np.abs(x) - 0.32 * r, np.abs(y) - r)
        return np.minimum(upright, np.maximum(np.abs(y) - 0.32 * r, np.abs(x) - r))
    if shape == "ring":
        return np.abs(np.hypot(x, y) - 0.75 * r) - 0.25 * r
    return np.maximum(np.abs(x) - r, np.abs(y) - 0.32 * r)  # bar


def _backdrop(texture: str, c: Canvas, base: np.ndarray) -> np.ndarray:
    """Gives a background (size, size, 3) of one texture."""
    wave = c.rng.uniform(9, 12)
    pattern = {
        "plain": lambda: np.zeros_like(c.x),
        "stripes": lambda: np.sin(c.x * wave),
        "dots": lambda: 2 * c.fill(0.3 - np.sin(c.x * wave) * np.sin(c.y * wave), 0.3) - 1,
        "checker": lambda: np.clip(3 * np.sin(c.x * wave * 0.7) * np.sin(c.y * wave * 0.7), -1, 1),
        "noise": lambda: np.clip(1.3 * c.texture(c.size), -1, 1),
    }[texture]()
    return base + 0.14 * pattern[..., None]


def draw(n: int, seed: int, size: int = 28) -> list[tuple[np.ndarray, dict[str, str | int]]]:
    """Draws n pictures of one to five equal shapes on a textured ground.

    Arguments:
        n: number of pictures.
        seed: whole number >= 0; picture i depends on seed, size and i alone.
        size: pixels a side, at least 8.

    Returns:
        n pairs: a (size, size, 3) uint8 picture and its facts, keys "shape", "colour", "texture",
        "count" and "position". With more than one shape "position" is "spread".

    Raises:
        UserError: size or seed out of range.
    """
    if size < 8 or seed < 0:
        raise UserError(
            f"size={size}, seed={seed}: need a size of 8 or more and a seed of 0 or more"
        )
    pictures = []
    for i in range(n):
        rng = generator("shapes", seed, i)
        shape, texture = str(rng.choice(SHAPES)), str(rng.choice(TEXTURES))
        colour = str(rng.choice(list(COLOURS)))
        # Half of the pictures hold one shape, so that its place can be told.
        count = 1 if rng.uniform() < 0.5 else int(rng.integers(2, 6))
        position = str(rng.choice(list(POSITIONS)))
        c = Canvas(size, rng, turn=0.25, shift=0.05, zoom=0.05)
        ink = np.asarray(COLOURS[colour])
        while True:  # a ground near the ink would hide the shape
            ground = rng.uniform(0.15, 0.85) + rng.uniform(-0.12, 0.12, 3)
            if np.abs(ground - ink).mean() > 0.28:
                break
        image = _backdrop(texture, c, ground)
        places = (POSITIONS[position],) if count == 1 else _PLACES[count]
        r = rng.uniform(0.36, 0.46) if count == 1 else rng.uniform(0.28, 0.34)
        for cx, cy in places:
            paint(image, c.fill(_outline(shape, c, cx, cy, r)), ink)
        facts = {
            "shape": shape,
            "colour": colour,
            "texture": texture,
            "count": count,
            "position": position if count == 1 else "spread",
        }
        pictures.append((develop(image, rng, tuple(image.mean((0, 1))), noise=0.02), facts))
    return pictures
