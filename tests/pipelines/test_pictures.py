"""Every kind of photo file becomes plain RGB pixels, or a sentence that says what to do."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.errors import BadPicture
from pipelines.pictures import load_scene, read_picture
from studio.texts.errors import say_error
from studio.texts.texts import LANGUAGES, Texts


def _bytes(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _halves(mode: str = "RGB") -> Image.Image:
    """Left red, right blue, 100 × 80."""
    image = Image.new("RGB", (100, 80), (255, 0, 0))
    image.paste((0, 0, 255), (50, 0, 100, 80))
    return image.convert(mode)


def test_exif_rotation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter turn clockwise
    upright = np.asarray(read_picture(_bytes(_halves(), "JPEG", exif=exif, quality=95), "a.jpg"))
    assert upright.shape == (100, 80, 3)
    assert upright[10, 40, 0] > 200
    assert upright[90, 40, 2] > 200


@pytest.mark.parametrize(("mode", "kind"), [("CMYK", "JPEG"), ("P", "PNG"), ("RGB", "WEBP"), ("L", "PNG")])
def test_other_colour_models_become_rgb(mode: str, kind: str) -> None:
    pixels = np.asarray(read_picture(_bytes(_halves(mode), kind), "a"))
    assert pixels.shape == (80, 100, 3)
    if mode != "L":
        assert pixels[40, 10, 0] > 200 > 100 > pixels[40, 10, 2]


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 100).astype(np.uint16)
    image = Image.fromarray(np.tile(ramp, (80, 1)))
    pixels = np.asarray(read_picture(_bytes(image, "PNG"), "deep.png"))
    assert abs(int(pixels[0, 50, 0]) - 128) <= 2
    assert pixels[0, 25, 0] < 80


def test_alpha_lies_on_white() -> None:
    image = Image.new("RGBA", (80, 80), (0, 0, 0, 0))
    assert (np.asarray(read_picture(_bytes(image, "PNG"), "a.png")) == 255).all()


def _claims(width: int, height: int) -> bytes:
    """A PNG that only claims its size: reading its header must be enough to refuse it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"not a picture at all", "picture_not_readable"),
        (_bytes(_halves(), "JPEG")[:500], "damaged"),
        (_bytes(Image.new("RGB", (1, 1)), "PNG"), "picture_too_small"),
        (_claims(30_000, 30_000), "picture_too_large"),
        (_claims(9_000, 9_000), "picture_too_large"),
        (_bytes(_halves(), "GIF"), "picture_not_readable"),
        (b"", "picture_not_readable"),
    ],
)
def test_what_cannot_be_a_scene_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(BadPicture, match=words) as caught:
        read_picture(data, "mine.jpg")
    assert "mine.jpg" in str(caught.value)
    assert all(say_error(caught.value, Texts(language))[1] for language in LANGUAGES)


def test_moving_pictures_are_refused() -> None:
    data = _bytes(_halves(), "PNG", save_all=True, append_images=[Image.new("RGB", (100, 80))])
    with pytest.raises(BadPicture, match="picture_moves"):
        read_picture(data, "a.png")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadPicture, match="picture_not_opened"):
        load_scene(tmp_path / "nowhere.jpg")


def test_scene_hash_is_the_files(tmp_path: Path) -> None:
    import hashlib

    path = tmp_path / "a.png"
    path.write_bytes(_bytes(_halves(), "PNG"))
    assert load_scene(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
