"""Read one picture of an item: whole, of a known format, and no larger than memory allows."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

# Pillow knows more; for EPS it starts Ghostscript on the file.
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
# As many pixels as the official run shows its model.
MAX_PIXELS = 802_816


class Bad(ValueError):
    """Says what is wrong with a picture or with one row; the readers add where."""


def read(source: Path | bytes) -> Image.Image:
    """Read a picture from a file or from the bytes of one, decoded.

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
                image.load()
                return image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Bad(f"has more than {Image.MAX_IMAGE_PIXELS:,} pixels; make it smaller") from error
    except Exception as error:  # damage may raise almost anything
        raise Bad(f"cannot be read ({type(error).__name__})") from error


def _opened(source: Path | bytes) -> Image.Image:
    return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS)


def fit(image: Image.Image, max_pixels: int) -> Image.Image:
    """As RGB, made smaller where it has more than `max_pixels`.

    Raises: Bad for a mode whose scale is not known.
    """
    image = _rgb(image)
    shrink = (max_pixels / (image.width * image.height)) ** 0.5
    if shrink < 1:
        size = (max(1, int(image.width * shrink)), max(1, int(image.height * shrink)))
        image = image.resize(size, Image.Resampling.BICUBIC)
    return image


def _rgb(image: Image.Image) -> Image.Image:
    """As RGB: 16-bit grey by its upper 8 bits, what is transparent on white."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) // 256).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):  # Pillow would cut off at 255; the scale is not known
        raise Bad(f"is of mode {image.mode}: save it with 8 or 16 bits a channel")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")
