"""Files of strangers that are small and cost much: JPEGs of many scans, zips of many files, deep greys."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.errors import BadPicture
from pipelines.files import ZIP_ERRORS, open_zip
from pipelines.jpeg_scans import count_scans
from pipelines.pictures import MOST_SCANS, open_picture


def progressive(width: int = 96, height: int = 80, quality: int = 90) -> bytes:
    out = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)
    Image.fromarray(noise).save(out, "JPEG", progressive=True, quality=quality)
    return out.getvalue()


def with_scans(scans: int) -> bytes:
    """A progressive JPEG whose last scan is there again and again, as any decoder takes it."""
    data = progressive()
    last = data.rindex(b"\xff\xda")
    scan = data[last:-2]
    have = count_scans(data, 10**6)
    return data[:-2] + scan * (scans - have) + data[-2:]


def test_scans_are_counted_as_they_are() -> None:
    data = progressive()
    assert 5 < count_scans(data, 1000) < 20
    assert count_scans(with_scans(40), 1000) == 40
    assert count_scans(with_scans(4000), 100) == 101
    assert count_scans(b"\x89PNG", 100) == 0
    assert count_scans(data[: len(data) // 2], 100) > 0
    # what follows the picture, as a film does in a moving photo, is none of it
    assert count_scans(data + b"\xff\xda" * 5000, 100) == count_scans(data, 100)
    # an end inside of a segment is none
    comment = b"\xff\xfe\x00\x06\xff\xd9\xff\xd9"
    hidden = with_scans(500)
    at = hidden.index(b"\xff\xda")
    assert count_scans(hidden[:at] + comment + hidden[at:], 100) == 101
    assert count_scans(b"\xff\xd8\xff\xe0\x00\x02" + b"\xff\xe0\x00\x02" * 20_000, 100) == 101


def test_a_picture_of_many_scans_is_refused_before_it_is_read() -> None:
    assert open_picture(with_scans(MOST_SCANS), "a.jpg").rgb.shape == (80, 96, 3)
    with pytest.raises(BadPicture, match="picture_of_many_scans"):
        open_picture(with_scans(MOST_SCANS + 1), "a.jpg")


def test_a_picture_may_have_fewer_pixels_where_fewer_are_wanted() -> None:
    assert open_picture(progressive(), "a.jpg", 96 * 80).rgb.shape == (80, 96, 3)
    with pytest.raises(BadPicture, match="picture_too_large"):
        open_picture(progressive(), "a.jpg", 96 * 80 - 1)


def test_deep_greys_are_scaled_in_little_memory() -> None:
    deep = np.arange(65_536, dtype=np.uint16).reshape(256, 256)
    out = io.BytesIO()
    Image.fromarray(deep).save(out, "PNG")
    found = open_picture(out.getvalue(), "a.png").rgb[..., 0]
    assert np.array_equal(found, np.round(deep / 257).astype(np.uint8))
    large = io.BytesIO()
    Image.fromarray(np.zeros((2000, 2000), np.uint16)).save(large, "PNG")
    data = large.getvalue()
    tracemalloc.start()
    open_picture(data, "a.png")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 8 * 2000 * 2000  # bytes a pixel: it was 16 and more


def _many(path: Path, count: int) -> Path:
    with zipfile.ZipFile(path, "w") as out:
        for number in range(count):
            out.writestr(f"{number:06d}-{'x' * 60}", b"")
    return path


def test_a_zip_of_many_files_is_refused_before_its_list_is_read(tmp_path: Path) -> None:
    with open_zip(_many(tmp_path / "few.zip", 500)) as opened:
        assert len(opened.namelist()) == 500
    many = _many(tmp_path / "many.zip", 40_000)
    tracemalloc.start()
    with pytest.raises(zipfile.BadZipFile, match="too many files"):
        open_zip(many)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    # behind a comment, or one that lies about its count, it is the same
    with zipfile.ZipFile(many, "a") as out:
        out.comment = b"a" * 60_000
    data = bytearray(many.read_bytes())
    struct.pack_into("<HH", data, data.rindex(b"PK\5\6") + 8, 1, 1)
    many.write_bytes(data)
    with pytest.raises(zipfile.BadZipFile, match="too many files"):
        open_zip(many)


def test_what_is_no_zip_raises_what_zips_raise(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    for data in (b"", b"PK\5\6", b"PK\6\7" + bytes(16) + b"PK\5\6" + bytes(18), bytes(200_000)):
        path.write_bytes(data)
        with pytest.raises(ZIP_ERRORS):
            open_zip(path)
