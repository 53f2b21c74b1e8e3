"""Draw soft-edged shapes at any size: the paper and pencils of the phantom and of the shapes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


def generator(*key: int | str) -> np.random.Generator:
    """Makes the random generator that belongs to one key.

    Arguments:
        key: whole numbers >= 0 and words; equal keys give equal generators on every machine.

    Returns:
        A PCG64 generator seeded through `numpy.random.SeedSequence`.
    """
    words: list[int] = []
    for part in key:
        # A word is spelled out with its length in front, so no two keys look alike.
        words += [len(part), *part.encode()] if isinstance(part, str) else [part]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))


@lru_cache(maxsize=64)
def _stretch(size: int, cells: int) -> np.ndarray:
    """Gives the (size, cells) weights of linear interpolation from a coarse to a fine axis."""
    place = (np.arange(size) + 0.5) / size * (cells - 1)
    near = np.minimum(place.astype(int), cells - 2)
    weights = np.zeros((size, cells))
    weights[np.arange(size), near] = 1 - (place - near)
    weights[np.arange(size), near + 1] = place - near
    return weights


class Canvas:
    """A square field of view, turned, moved and zoomed at random.

    Shapes are given in the coordinates of the anatomy: x to the right, y down, the middle at 0,
    the border near -1 and 1. Masks are (size, size) arrays from 0 (outside) to 1 (inside).

    Arguments:
        size: pixels a side.
        rng: where the view and the textures are drawn from.
        turn: largest turn in radians, either way.
        shift: largest move along each axis.
        zoom: largest change of scale, as a natural logarithm.
    """

    def __init__(
        self, size: int, rng: np.random.Generator, turn: float, shift: float, zoom: float
    ) -> None:
        angle, dx, dy, scale = rng.uniform(-1, 1, 4) * (turn, shift, shift, zoom)
        axis = ((np.arange(size) + 0.5) / size * 2 - 1) * np.exp(scale)
        cos, sin = np.cos(angle), np.sin(angle)
        self.size, self.rng, self.pixel = size, rng, 2 / size * np.exp(scale)
        self.x = cos * axis[None, :] + sin * axis[:, None] - dx
        self.y = cos * axis[:, None] - sin * axis[None, :] - dy

    def fill(self, distance: np.ndarray, soft: float = 0.0) -> np.ndarray:
        """Turns a signed distance, negative inside, to a mask with an edge a pixel wide or more."""
        return np.clip(0.5 - distance / (self.pixel + soft), 0, 1)

    def polar(self, cx: float, cy: float, angle: float, rx: float, ry: float) -> tuple:
        """Gives radius (1 on the ellipse) and angle of each pixel round an ellipse."""
        dx, dy = self.x - cx, self.y - cy
        cos, sin = np.cos(angle), np.sin(angle)
        u, v = (cos * dx + sin * dy) / rx, (cos * dy - sin * dx) / ry
        return np.sqrt(u * u + v * v), u, v

    def ellipse(
        self, cx: float, cy: float, rx: float, ry: float, angle: float = 0.0, soft: float = 0.0
    ) -> np.ndarray:
        """Fills an ellipse."""
        radius, _, _ = self.polar(cx, cy, angle, rx, ry)
        return self.fill((radius - 1) * min(rx, ry), soft)

    def blob(
        self,
        cx: float,
        cy: float,
        rx: float,
        ry: float,
        angle: float,
        lobes: dict[int, float],
        soft: float = 0.0,
    ) -> np.ndarray:
        """Fills an ellipse whose radius waves: `lobes` maps waves a turn to their height."""
        radius, u, v = self.polar(cx, cy, angle, rx, ry)
        theta = np.arctan2(v, u)
        rim = 1.0
        for waves, height in lobes.items():
            rim = rim + height * np.cos(waves * theta + self.rng.uniform(0, 2 * np.pi))
        return self.fill((radius - rim) * min(rx, ry), soft)

    def discs(self, points: np.ndarray, radius: np.ndarray | float, soft: float = 0) -> np.ndarray:
        """Fills many discs at once: `points` (n, 2), `radius` one number or (n,)."""
        return self.fill((self.distances(points) - radius).min(axis=-1), soft)

    def distances(self, points: np.ndarray) -> np.ndarray:
        """Measures the distance of each pixel to each point: (size, size, n)."""
        return np.hypot(self.x[..., None] - points[:, 0], self.y[..., None] - points[:, 1])

    def segment(self, x0: float, y0: float, x1: float, y1: float, width: float) -> np.ndarray:
        """Fills a straight stroke with round ends."""
        dx, dy = x1 - x0, y1 - y0
        along = ((self.x - x0) * dx + (self.y - y0) * dy) / (dx * dx + dy * dy)
        along = np.clip(along, 0, 1)
        away = np.hypot(self.x - x0 - along * dx, self.y - y0 - along * dy)
        return self.fill(away - width / 2)

    def texture(self, cells: int) -> np.ndarray:
        """Draws smooth noise, sd under 1, with `cells` independent knots along each axis."""
        weights = _stretch(self.size, cells)
        return weights @ self.rng.standard_normal((cells, cells)) @ weights.T


def paint(image: np.ndarray, mask: np.ndarray, value: float | np.ndarray) -> None:
    """Lays a grey value, colour or picture over an image, in place, where the mask is 1.

    Arguments:
        image: (H, W) or (H, W, 3) float.
        mask: (H, W) from 0 to 1.
        value: a number, a colour (3,), or an array of the image's shape.
    """
    if image.ndim == 3:
        mask = mask[..., None]
    image += mask * (np.asarray(value) - image)


def scatter(rng: np.random.Generator, n: int, reach: float, apart: float) -> np.ndarray:
    """Throws n points into a disc, keeping them apart where there is room.

    Arguments:
        rng: the generator.
        n: number of points.
        reach: radius of the disc.
        apart: wished least distance between two points; of 12 throws the farthest is kept.

    Returns:
        (n, 2) points.
    """
    points = np.empty((0, 2))
    for _ in range(n):
        radius, angle = reach * np.sqrt(rng.uniform(size=12)), rng.uniform(0, 2 * np.pi, 12)
        throws = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
        if len(points):
            gaps = np.hypot(*(throws[:, None] - points[None]).transpose(2, 0, 1)).min(1)
            best = throws[np.argmax(np.minimum(gaps, apart))]
        else:
            best = throws[0]
        points = np.vstack([points, best])
    return points


def develop(
    image: np.ndarray, rng: np.random.Generator, tone: tuple[float, ...], noise: float
) -> np.ndarray:
    """Turns a drawing into a picture: contrast, blur, noise, and a mean drawn at random.

    The mean of each channel is set last, to a value that knows nothing of the class, so that the
    mean colour holds no evidence.

    Arguments:
        image: (H, W) or (H, W, 3) float, about 0 to 1.
        rng: the generator.
        tone: usual mean of each channel, 0 to 1.
        noise: sd of the noise, in parts of the full range.

    Returns:
        uint8 of the same shape.
    """
    channels = image.reshape(*image.shape[:2], -1)
    contrast, light = rng.uniform(0.7, 1.0), rng.uniform(-0.06, 0.06)
    goal = np.asarray(tone) + light + rng.uniform(-0.04, 0.04, channels.shape[2])
    blur = rng.uniform(0, 0.25)
    grain = rng.standard_normal(channels.shape)
    channels = (1 - blur) * channels + blur / 4 * sum(
        np.roll(channels, step, axis) for axis in (0, 1) for step in (-1, 1)
    )
    channels = contrast * channels + noise * grain
    for _ in range(4):  # clipping moves the mean a little; a few rounds settle it
        channels = np.clip(channels + (goal - channels.mean((0, 1))), 0, 1)
    return np.round(channels * 255).astype(np.uint8).reshape(image.shape)
