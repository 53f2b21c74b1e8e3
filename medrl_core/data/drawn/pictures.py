"""Pictures of the drawn world: a modality's scene, a finding in its place, marks to be counted.

    picture = draw("chest film", (0, 0, 3, 1, 0, 2), seed=7)    # a PIL image, 32 x 32, RGB

The six facts are kind, side, level, size, density and count (`world.ATTRIBUTES`), in picture terms.
The finding lies on one side; the marks, one fewer than the count's word says, lie on the other.
Equal arguments give equal pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from medrl_core.data.drawn.scenes import MIDDLE, SCENES, SIDE, X, Y, lay
from medrl_core.data.drawn.world import checked
from medrl_core.errors import UserError

# Anatomy keeps to the middle of the scale, so that findings are the brightest and darkest there is.
DARKEST, RANGE = 0.22, 0.56
# Colour changes from warm above to cool below, as old films have it. Here it is needed: the vision
# tower knows only how far patches lie from each other, so a patch must show by its own pixels where
# it is. Without such slopes the level was not learnt.
SLOPE_DOWN = np.array([-0.12, 0.0, 0.32])
SLOPE_ACROSS = np.array([0.12, 0.04, -0.04])
GRAIN = 0.015
OPAQUE = 0.95
RADII = (2, 3, 5)  # of small, medium and large, in pixels


def draw(name: str, facts: Sequence[int], seed: int) -> Image.Image:
    """Draw one picture.

    Arguments:
        name: modality, a key of `scenes.SCENES`.
        facts: six whole numbers, what the picture shows.
        seed: of the anatomy, the exact place and the grain.

    Returns:
        An RGB image of 32 x 32 pixels.

    Raises:
        UserError: unknown modality, facts out of range, or a negative seed.
    """
    if name not in SCENES:
        raise UserError(f"no modality {name!r} can be drawn: use one of {', '.join(SCENES)}")
    if seed < 0:
        raise UserError(f"seed {seed} of a picture is negative: use 0 or more")
    kind, side, level, size, density, count = checked(facts).tolist()
    rng = np.random.default_rng([seed, kind, side, level, size, density, count, *name.encode()])
    scene = SCENES[name]
    image = DARKEST + RANGE * scene.paint(rng)
    image += SLOPE_DOWN * _UNIT[:, None, None] + SLOPE_ACROSS * _UNIT[:, None]
    column, row = scene.place(side, level)
    column, row = column + int(rng.integers(-1, 2)), row + int(rng.integers(-1, 2))
    ink = scene.bright if density == 0 else scene.dark
    lay(image, OPAQUE * finding(kind, RADII[size], column, row), ink)
    lay(image, _marks(count, left=side == 1, rng=rng), scene.mark)
    image += GRAIN * rng.standard_normal(image.shape)
    return Image.fromarray((image.clip(0, 1) * 255).round().astype(np.uint8))


_UNIT = np.arange(SIDE) / (SIDE - 1) - 0.5


def finding(kind: int, radius: int, column: int, row: int) -> np.ndarray:
    """The pixels of a finding, (32, 32) of 0 and 1.

    Arguments:
        kind: nodule, block, wedge, star, ring or band, by number.
        radius: from the middle to the outermost pixel.
        column, row: of the middle.
    """
    dx, dy = X - column, Y - row
    ax, ay, away = np.abs(dx), np.abs(dy), np.hypot(dx, dy)
    box = (ax <= radius) & (ay <= radius)
    disc = away <= radius + 0.3
    stroke = (radius - 1) // 2  # strokes are 1, 3 and 5 pixels wide
    shapes = (
        disc,
        box,
        box & (ax <= (dy + radius) / 2),
        box & ((ax <= stroke) | (ay <= stroke)),
        disc & (away >= radius - 1 - stroke / 2),
        (ax <= radius) & (ay <= stroke),
    )
    return shapes[kind].astype(float)


def _marks(count: int, left: bool, rng: np.random.Generator) -> np.ndarray:
    """A row of marks of 2 x 2 pixels in the middle of one side."""
    mask = np.zeros((SIDE, SIDE))
    row = int(MIDDLE) - 1 + int(rng.integers(0, 2))
    first = (8 if left else 23) - 5
    for i in range(count):
        mask[row : row + 2, first + 4 * i : first + 4 * i + 2] = 1
    return mask
