"""What becomes of each kind of picture file, pixel by pixel."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from medrl_core.data.pictures import Bad, difference_hash, fit, read


def saved(image: Image.Image, kind: str, **more) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **more)
    return buffer.getvalue()


def shown(content: bytes) -> np.ndarray:
    image = fit(read(content), 10**6)
    assert image.mode == "RGB"
    return np.asarray(image)


def test_exif_orientation_is_applied():
    """Orientation 6: the camera was turned; what is stored left belongs to the top."""
    image = Image.new("RGB", (32, 16), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = 6
    found = shown(saved(image, "PNG", exif=exif))
    assert found.shape == (32, 16, 3)
    assert found[:16].min() == 255 and found[16:].max() == 0


@pytest.mark.parametrize(("values", "greys"), [
    ([0, 2048, 4095], [0, 128, 255]),  # 12 bits: 2048 / 4095 x 255 = 127.53
    ([0, 32768, 65535], [0, 128, 255]),
    ([1000, 1050, 1100], [0, 128, 255]),  # a narrow range, as of soft tissue: 127.5 to even
    ([7, 7, 7], [128, 128, 128]),
])  # fmt: skip
def test_16_bits_are_windowed(values, greys):
    image = Image.fromarray(np.array([values], np.uint16))
    assert shown(saved(image, "PNG"))[0, :, 0].tolist() == greys


def test_signed_and_floating_values_are_windowed():
    scan = Image.fromarray(np.array([[-1024, 0, 3072]], np.int32))
    assert shown(saved(scan, "TIFF"))[0, :, 0].tolist() == [0, 64, 255]  # 1024 / 4096 x 255 = 63.75
    real = Image.fromarray(np.array([[0.0, 0.5, 2.0]], np.float32))
    assert shown(saved(real, "TIFF"))[0, :, 0].tolist() == [0, 64, 255]
    with pytest.raises(Bad, match="not finite"):
        shown(saved(Image.fromarray(np.array([[0.0, np.nan]], np.float32)), "TIFF"))


def test_a_dead_pixel_does_not_set_the_window():
    """4,096 pixels from 0 to 4095 and one of 65535, which is less than a thousandth of them."""
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    values[0, 0] = 65535
    found = shown(saved(Image.fromarray(values), "PNG"))[:, :, 0]
    assert found[0, 0] == 255 and 120 < found[32, 0] < 135


def test_palette_alpha_cmyk_and_animation():
    red = Image.new("RGB", (8, 8), (250, 10, 10))
    assert shown(saved(red.quantize(4), "PNG"))[0, 0].tolist() == [250, 10, 10]
    clear = Image.new("RGBA", (8, 8), (250, 10, 10, 0))
    assert shown(saved(clear, "PNG"))[0, 0].tolist() == [255, 255, 255]
    half = Image.new("LA", (8, 8), (0, 51))  # 20% black on white: 204
    assert shown(saved(half, "PNG"))[0, 0].tolist() == [204, 204, 204]
    print_ = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert shown(saved(print_, "TIFF"))[0, 0].tolist() == [255, 0, 0]
    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (200, 100)]
    for kind in ("GIF", "PNG", "TIFF"):
        moving = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        assert shown(moving)[0, 0].tolist() == [200, 0, 0], kind


def test_pictures_alike_share_their_difference_hash():
    shades = Image.linear_gradient("L").transpose(Image.Transpose.ROTATE_90)
    again = read(saved(shades.convert("RGB"), "JPEG", quality=60))
    assert (difference_hash(shades) ^ difference_hash(again)).bit_count() <= 4
    turned = shades.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert (difference_hash(shades) ^ difference_hash(turned)).bit_count() == 64
