"""No label of a picture stops it: pixels that are whole are used, turned and coloured as the labels that hold say."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin
from scipy import ndimage

from pipelines.errors import BadPicture
from pipelines.picture_labels import read_exif, split_labels
from pipelines.pictures import load_goods, load_scene, open_picture, read_picture
from tests.data import need


def _bytes(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def read(data: bytes, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(read_picture(data, name))


def _halves(mode: str = "RGB") -> Image.Image:
    """Left red, right blue, 100 × 80."""
    image = Image.new("RGB", (100, 80), (255, 0, 0))
    image.paste((0, 0, 255), (50, 0, 100, 80))
    return image.convert(mode)


def _chunk(kind: bytes, data: bytes, *, whole: bool = True) -> bytes:
    crc = zlib.crc32(kind + data) if whole else 1
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def _with_chunk(png: bytes, chunk: bytes) -> bytes:
    return png[:33] + chunk + png[33:]


def _segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def _with_segment(jpeg: bytes, segment: bytes) -> bytes:
    return jpeg[:2] + segment + jpeg[2:]


_EXIF_6 = b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHH", 2, 0x0112, 3, 1, 6, 0)


@pytest.mark.parametrize(
    "chunk",
    [
        _chunk(b"tEXt", b"parameters\0" + b"a" * 3_000_000),
        _chunk(b"zTXt", b"workflow\0\0" + zlib.compress(b"a" * 90_000_000)),
        _chunk(b"zTXt", b"workflow\0\0not packed at all"),
        _chunk(b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(b"\xff" * 70_000_000)),
        _chunk(b"tEXt", b"broken\0check sum", whole=False),
        _chunk(b"eXIf", b"no directory"),
        _chunk(b"iCCP", b"x\0\0" + zlib.compress(b"no profile")),
        _chunk(b"iCCP", b"x\0\7damaged"),
        _chunk(b"gAMA", b"\0"),
        _chunk(b"pHYs", b""),
        _chunk(b"teSt", b"\0" * 50),
    ],
    ids=lambda chunk: chunk[4:24].decode("latin-1"),
)
def test_a_pngs_labels_cannot_stop_it(chunk: bytes) -> None:
    plain = _bytes(_halves(), "PNG")
    assert np.array_equal(read(_with_chunk(plain, chunk), "a.png"), read(plain, "a.png"))


@pytest.mark.parametrize(
    "segment",
    [
        _segment(0xE1, b"Exif\0\0"),
        _segment(0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xff"),
        _segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xff" * 40),
        _segment(0xE2, b"MPF\0MM\0*\0\0\0\x08\0\1" + b"\xff" * 30),
        _segment(0xE2, b"ICC_PROFILE\0\1\1" + b"not a profile" * 20),
        _segment(0xE2, b"ICC_PROFILE\0"),
        _segment(0xED, b"Photoshop 3.0\0" + b"8BIM\xff\xff" * 50),
        _segment(0xFE, b"a comment \xff\xfe"),
    ],
    ids=range(8),
)
def test_a_jpegs_labels_cannot_stop_it(segment: bytes) -> None:
    plain = _bytes(_halves(), "JPEG", quality=95)
    assert np.array_equal(read(_with_segment(plain, segment), "a.jpg"), read(plain, "a.jpg"))


@pytest.mark.parametrize("rest", [b"", b"\x01\x1a\0\5\0\0\0\1\xff\xff\xff\xff", b"\xff" * 12])
def test_a_broken_directory_still_says_how_the_picture_stands(rest: bytes) -> None:
    plain = _bytes(_halves(), "JPEG", quality=95)
    turned = read(_with_segment(plain, _segment(0xE1, b"Exif\0\0" + _EXIF_6 + rest)), "a.jpg")
    assert turned.shape == (100, 80, 3)
    png = _with_chunk(_bytes(_halves(), "PNG"), _chunk(b"eXIf", _EXIF_6 + rest))
    assert read(png, "a.png").shape == (100, 80, 3)


def test_the_orientation_is_found_wherever_a_program_writes_it() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    raw = PngImagePlugin.PngInfo()
    raw.add_text("Raw profile type exif", f"\nexif\n{len(_EXIF_6):8}\n{_EXIF_6.hex()}\n", zip=True)
    files = {
        "a.jpg": _bytes(_halves(), "JPEG", xmp=xmp),
        "b.webp": _bytes(_halves(), "WEBP", lossless=True, exif=exif),
        "c.png": _bytes(_halves(), "PNG", pnginfo=raw),
        "d.avif": _bytes(_halves(), "AVIF", exif=exif, quality=95),
    }
    for name, data in files.items():
        upright = read(data, name)
        assert upright.shape == (100, 80, 3), name
        assert upright[5, 40, 0] > 200 > 100 > upright[5, 40, 2], name


def test_an_avif_is_read_and_a_moving_one_refused() -> None:
    assert read(_bytes(_halves(), "AVIF", quality=95), "a.avif")[40, 10, 0] > 230
    for kind in ("AVIF", "WEBP"):
        moving = _bytes(_halves(), kind, save_all=True, append_images=[Image.new("RGB", (100, 80))])
        with pytest.raises(BadPicture, match="picture_moves"):
            read(moving, "a")


HEIC = Path(__file__).parent / "data"


def test_a_heic_photo_is_read_upright() -> None:
    """An iPhone says twice how its pixels stand, in the container and in EXIF: the decoder has done it already."""
    picture = open_picture((HEIC / "turned.heic").read_bytes(), "IMG_1.HEIC")
    assert picture.rgb.shape == (100, 80, 3)
    assert picture.rgb[5, 40, 0] > 200 > 100 > picture.rgb[5, 40, 2]
    assert (picture.alpha, picture.orientation) == (None, 1)


def test_the_photo_of_several_in_a_heic_is_its_primary_one() -> None:
    first = open_picture((HEIC / "two.heic").read_bytes(), "IMG_1.HEIC").rgb
    assert first[40, 10, 0] > 200 > first[40, 10, 1]
    alpha = open_picture((HEIC / "cut_out.heic").read_bytes(), "IMG_1.HEIC").alpha
    assert alpha is not None
    assert alpha[5, 5] < 20 < 230 < alpha[60, 60]


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"msf1"])
def test_a_heic_photo_that_cannot_be_opened_is_named_as_one(brand: bytes) -> None:
    whole = (HEIC / "turned.heic").read_bytes()
    headers_only = b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + b"\0" * 64
    for data in (headers_only, whole[:400], whole[:-60]):
        with pytest.raises(BadPicture, match=r"picture_heic.*IMG_1\.HEIC"):
            read(data, "IMG_1.HEIC")


def test_damaged_pixels_are_a_sentence_whatever_the_decoder_raises() -> None:
    """Every byte of a small file is changed in turn, and every length is tried."""
    for data in (*(_bytes(_halves(), kind) for kind in ("PNG", "JPEG", "WEBP")), (HEIC / "turned.heic").read_bytes()):
        rng = np.random.default_rng(1)
        files = [data[:end] for end in rng.integers(0, len(data), 60)]
        for at in rng.integers(0, len(data), 120):
            files.append(data[:at] + bytes((int(rng.integers(256)),)) + data[at + 1 :])
        for changed in files:
            try:
                read(changed, "a")
            except BadPicture:
                continue


def _profile_of(primaries: str) -> bytes:
    """An ICC profile of a matrix and a curve: `primaries` "wide" has purer colours than sRGB."""
    srgb = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    if primaries == "wide":  # swap the rows of the red and the green primary's X: another triangle of colours
        red, green = srgb.index(b"rXYZ"), srgb.index(b"gXYZ")
        at = [struct.unpack(">I", srgb[tag + 4 : tag + 8])[0] + 8 for tag in (red, green)]
        for place, value in zip(at, (0.6097, 0.2053), strict=True):
            srgb[place : place + 4] = struct.pack(">i", round(value * 65536))
    return bytes(srgb)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_a_profile_is_applied_once_in_every_format(kind: str) -> None:
    image = Image.new("RGB", (96, 96), (60, 160, 90))
    options = {"quality": 100} if kind != "PNG" else {}
    bare = read(_bytes(image, kind, **options), "a")[48, 48].astype(int)
    wide = read(_bytes(image, kind, icc_profile=_profile_of("wide"), **options), "a")
    assert np.abs(wide[48, 48].astype(int) - bare).max() > 5


def test_a_profile_of_srgb_changes_no_bit() -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (96, 96, 3), np.uint8))
    assert np.array_equal(read(_bytes(noise, "PNG", icc_profile=_profile_of("srgb")), "a"), np.asarray(noise))


def test_a_profile_of_other_channels_is_left_alone() -> None:
    grey = Image.fromarray(np.arange(96 * 96, dtype=np.uint16).astype(np.uint8).reshape(96, 96))
    seen = read(_bytes(grey, "PNG", icc_profile=_profile_of("wide")), "a")
    assert np.array_equal(seen[..., 0], np.asarray(grey))
    cmyk = _bytes(_halves("CMYK"), "JPEG", icc_profile=_profile_of("wide"))
    assert read(cmyk, "a")[40, 10, 0] > 200


def test_transparency_survives_a_profile_and_a_turn(tmp_path: Path) -> None:
    image = Image.new("RGBA", (100, 80), (60, 160, 90, 0))
    image.paste((60, 160, 90, 255), (0, 0, 30, 80))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.png", icc_profile=_profile_of("wide"), exif=exif)
    rgb, shown = load_goods(tmp_path / "a.png")
    assert shown is not None
    assert rgb.shape == (100, 80, 3)
    assert shown[:30].all()
    assert not shown[30:].any()
    assert (rgb[50] == 255).all()
    assert abs(int(rgb[10, 10, 0]) - 60) > 5


def test_texts_of_a_png_are_read_in_either_encoding() -> None:
    png = _bytes(_halves(), "PNG")
    for chunk, said in (
        (_chunk(b"tEXt", b"a\0" + "海边".encode()), "海边"),
        (_chunk(b"tEXt", b"a\0caf\xe9"), "café"),
        (_chunk(b"zTXt", b"a\0\0" + zlib.compress("海边".encode())), "海边"),
        (_chunk(b"iTXt", b"a\0\1\0zh\0b\0" + zlib.compress("海边".encode())), "海边"),
        (_chunk(b"iTXt", b"a\0\0\0\0\0" + "海边".encode()), "海边"),
    ):
        assert split_labels(_with_chunk(png, chunk))[1].texts == {"a": said}
    far = png[:-12] + _chunk(b"tEXt", b"a\0behind the pixels") + png[-12:]
    assert split_labels(far)[1].texts == {"a": "behind the pixels"}


def test_a_directory_that_leads_nowhere_ends() -> None:
    loop = b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x8769, 4, 1, 8) + b"\0" * 4
    assert read_exif(loop) == {0x8769: struct.pack("<I", 8)}
    assert read_exif(b"MM\0*\0\0\0\x04\xff\xff" * 9) == {}


def test_a_real_photo_with_rationals_of_zero() -> None:
    assert load_scene(need("cases/picture-exif-zero-rational") / "portrait.jpg").image.shape == (240, 320, 3)


def test_a_real_jpeg_with_a_second_picture() -> None:
    assert load_scene(need("cases/picture-mpo") / "camera.jpg").image.shape == (320, 240, 3)


@pytest.mark.parametrize("name", ["adobe_rgb", "display_p3"])
def test_real_photos_of_wide_colours(name: str) -> None:
    folder = need("cases/picture-wide-gamut")
    srgb = load_scene(folder / "srgb.png").image.astype(int)
    wide = load_scene(folder / f"{name}.jpg").image.astype(int)
    # nothing changes within a JPEG's blocks of 16 pixels
    changes = ndimage.maximum_filter(srgb, (33, 33, 1)) - ndimage.minimum_filter(srgb, (33, 33, 1))
    flat = (changes == 0).all(axis=2)
    assert flat.mean() > 0.2
    assert np.abs(wide - srgb)[flat].max() <= 4
