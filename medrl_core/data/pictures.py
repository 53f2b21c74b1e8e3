"""Read one picture of an item: whole, of a known format, upright, and no larger than memory allows.

    image = fit(read(Path("scan.png")), MAX_PIXELS)

What becomes of each kind of file: EXIF orientation is applied; of an animated or many-page file the
first picture counts; what is transparent lies on white; palettes and CMYK become RGB; values beyond
8 bits are windowed from the darkest to the brightest, as a viewer of scans does (`_windowed`).
"""

from __future__ import annotations

import base64
import hashlib
import io
import warnings
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image, ImageOps

# Pillow knows more; for EPS it starts Ghostscript on the file.
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
ENDINGS = (".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff",
           ".webp")  # fmt: skip
# As many pixels as the official run shows its model.
MAX_PIXELS = 802_816
# Share of pixels, at either end, that do not set the window: a burnt-in mark, a dead pixel.
OUTLIERS = 0.001
# Folders beside a table in which published sets keep the pictures that it names.
IMAGE_FOLDERS = (".", "images", "imgs", "VQA_RAD Image Folder")


class Bad(ValueError):
    """Says what is wrong with a picture or with one row; the readers add where."""


def read(source: Path | bytes) -> Image.Image:
    """Read a picture from a file or from the bytes of one, decoded and upright.

    Raises: Bad where it is damaged, cut off, of an unknown format, or has more pixels than Pillow
    takes for safe (90 million, 0.3 GB decoded).
    """
    try:
        with warnings.catch_warnings():
            # Between the limit and twice the limit Pillow only warns.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with _opened(source) as image:
                image.verify()  # the checksums of a PNG, which decoding passes over
            with _opened(source) as image:
                deep_colour = image.mode in ("RGB", "RGBA") and "16B" in str(cast(Any, image).tile)
                image.load()
                if deep_colour and np.asarray(image).max() < 64:
                    raise Bad("has 16 bits a colour of which the upper ones are empty: save it "
                              "with 8 bits a colour")  # fmt: skip
                return ImageOps.exif_transpose(image)
    except Bad:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Bad(f"has more than {Image.MAX_IMAGE_PIXELS:,} pixels; make it smaller") from error
    except Exception as error:  # damage may raise almost anything
        raise Bad(f"cannot be read ({type(error).__name__})") from error


def _opened(source: Path | bytes) -> Image.Image:
    return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS)


def fit(image: Image.Image, max_pixels: int) -> Image.Image:
    """As RGB, made smaller where it has more than `max_pixels`.

    Raises: Bad for values that are not finite.
    """
    image = _rgb(image)
    shrink = (max_pixels / (image.width * image.height)) ** 0.5
    if shrink < 1:
        size = (max(1, int(image.width * shrink)), max(1, int(image.height * shrink)))
        image = image.resize(size, Image.Resampling.BICUBIC)
    return image


def _rgb(image: Image.Image) -> Image.Image:
    """As RGB: more than 8 bits windowed, what is transparent on white."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_windowed(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _windowed(values: np.ndarray) -> np.ndarray:
    """Grey values of any range as 0 to 255: linear between the outliers, mid-grey if all are equal.

    The upper 8 of 16 bits, as converters take them, leave a 12-bit scan nearly black; Pillow cuts
    signed and floating values off at 0 and 255.
    """
    if not np.isfinite(values).all():
        raise Bad("has values that are not finite: save it with 8 or 16 bits")
    ends = (OUTLIERS, 1 - OUTLIERS)
    low, high = np.quantile(values, ends, method="nearest").astype(float)
    if low == high:
        low, high = float(values.min()), float(values.max())
    if low == high:
        return np.full(values.shape, 128, np.uint8)
    share = (values.astype(float) - low) / (high - low)
    return np.rint(share.clip(0, 1) * 255).astype(np.uint8)


def png(image: Image.Image) -> bytes:
    """Write a picture as PNG."""
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def data_url(content: bytes) -> str:
    """Return the bytes of a PNG or JPEG file as a data URL."""
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def picture_id(image: Image.Image) -> str:
    """16 hexadecimal digits that pictures equal pixel for pixel share."""
    return hashlib.md5(repr(image.size).encode() + image.tobytes()).hexdigest()[:16]


def difference_hash(image: Image.Image) -> int:
    """64 bits that pictures alike to the eye share but for a few (N. Krawetz's dHash).

    Each bit tells whether one of 8 x 8 grey cells is brighter than its left neighbour.
    """
    small = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.LANCZOS)).astype(int)
    bits = (small[:, 1:] > small[:, :-1]).ravel()
    return int("".join("1" if bit else "0" for bit in bits), 2)


def inside(folder: Path, name: object) -> Path:
    """Follow a path that a file names, and its links, and return the file it leads to.

    Arguments: `folder` that the path starts at and must not leave; `name` whatever is given; it is
    looked for in IMAGE_FOLDERS.
    Raises: Bad where it is no path, leads out, or leads to no file.
    """
    shown = repr(name) if len(repr(name)) < 100 else f"{repr(name)[:100]} ..."
    if not isinstance(name, str) or not name or "\0" in name:
        raise Bad(f"image path {shown} is not a path")
    for beside in IMAGE_FOLDERS:
        try:
            folder = folder.resolve()
            path = (folder / beside / name).resolve()  # follows links: one that leads out is seen
            present = path.is_file()
        except (OSError, RuntimeError, ValueError) as error:  # a loop of links, too long a name
            raise Bad(f"image path {shown} is not a path") from error
        if not path.is_relative_to(folder):
            raise Bad(f"image path {shown} leads out of the folder")
        if present:
            return path
    raise Bad(f"image {shown} is not there")
