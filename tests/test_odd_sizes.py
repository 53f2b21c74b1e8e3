"""Odd numbers and sizes: huge images, many options, one item, one class, all kinds of letters.

`pytest tests/test_odd_sizes.py` runs this module.
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from medrl_core.data import homes, vqa
from medrl_core.errors import UserError


def black_png(path: Path, width: int, height: int) -> None:
    """Write an all-black PNG of one bit a pixel, which packs to almost nothing."""
    packer = zlib.compressobj(1)
    row = bytes(1 + (width + 7) // 8)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    size = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", size), (b"IDAT", data), (b"IEND", b""))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in chunks
        )
    )


def one_item(folder: Path, image: str) -> Path:
    line = {"dataset_name": "d", "dataset_index": 0, "image_paths": [image]}
    (folder / "a.jsonl").write_text(json.dumps(line | {"question": "Which?", "answer": "yes"}))
    return folder / "a.jsonl"


@pytest.mark.parametrize("size", [(20_000, 15_000), (9_500, 9_500)])
@pytest.mark.fault(
    "Odd numbers and sizes", "an image of 300 or of 90 megapixels in a file of some kilobytes",
    "refused before it is unpacked, in one line with file, reason and remedy",
)  # fmt: skip
def test_a_huge_image_is_refused_before_it_is_unpacked(tmp_path, monkeypatch, tried, size):
    black_png(tmp_path / "huge.png", *size)
    assert (tmp_path / "huge.png").stat().st_size < 300_000
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("it was unpacked"))
    table = tmp_path / "t.csv"
    table.write_text(
        "Figure_path,Question,Answer,Choice A,Choice B,Choice C,Choice D\nhuge.png,Q?,A,1,2,3,4\n"
    )
    (tmp_path / "images").symlink_to(".")
    reads = (
        lambda: vqa.read_jsonl(one_item(tmp_path, "huge.png")),
        lambda: list(homes.rows(str(table), "PMC-VQA")),
    )
    for read, place in zip(reads, ("line 1", "row 0"), strict=True):
        with tried(), pytest.raises(UserError) as error:
            read()
        said = str(error.value)
        assert f"{place}: image" in said and "huge.png" in said and "\n" not in said
        assert "has more than 89,478,485 pixels; make it smaller" in said


def test_the_largest_image_that_is_read_is_made_smaller(tmp_path):
    black_png(tmp_path / "large.png", 9_400, 9_500)
    (item,) = vqa.read_jsonl(one_item(tmp_path, "large.png"))
    assert 800_000 < item.images[0].width * item.images[0].height <= vqa.MAX_PIXELS
