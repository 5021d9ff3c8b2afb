"""The one door for pictures: a photo file of whatever kind in, upright sRGB pixels out, or a clear refusal.

A picture means more than its numbers: its orientation, colour profile and transparency are read from its labels
(`pipelines.picture_labels`) and applied here, once. The labels are taken off before anything is decoded, so that none
of them can stop a picture; whatever a decoder raises becomes a BadPicture here and nowhere else.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore

import numpy as np
import numpy.typing as npt
import pi_heif
from PIL import Image, ImageOps, UnidentifiedImageError

from pipelines.colour_profiles import to_srgb
from pipelines.errors import BadInput, BadPicture
from pipelines.jpeg_scans import count_scans
from pipelines.picture_labels import Labels, split_labels
from pipelines.shapes import Box, crop_pixels

__all__ = [
    "PICTURE_SUFFIXES",
    "Picture",
    "ScenePhoto",
    "check_rgb",
    "fit_mask",
    "fit_to_canvas",
    "fit_weights",
    "is_picture",
    "load_goods",
    "load_picture",
    "load_scene",
    "open_picture",
    "read_picture",
    "turn_picture",
]

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".heif")
"""Ends of the names of files that `open_picture` reads, as people have them."""

MIN_SIDE_PX = 64
MAX_PIXELS = 40_000_000
MOST_SCANS = 100  # a progressive JPEG of any usual writer has 10 to 20
_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF")
_BY_DECODER = ("AVIF", "HEIF")  # whose labels `split_labels` leaves where they are
_OF_MANY = ("MPO", "HEIF")  # of whose pictures one is the photo, and the decoder begins with it
_GREY_16_BIT = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"heif")
pi_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip


_TURNS_AT_DECODING = BoundedSemaphore(4)


@dataclass(frozen=True, eq=False)
class Picture:
    """`rgb` uint8 [h, w, 3] in sRGB and `alpha` uint8 [h, w] (None: opaque), both upright.

    `orientation` is how the stored pixels were turned, 1 to 8 as in EXIF.
    """

    rgb: npt.NDArray[np.uint8]
    alpha: npt.NDArray[np.uint8] | None
    orientation: int

    def on_white(self) -> Image.Image:
        """The picture as it shows on white."""
        image = Image.fromarray(self.rgb)
        if self.alpha is None:
            return image
        image.putalpha(Image.fromarray(self.alpha))
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


@dataclass(frozen=True, eq=False)
class ScenePhoto:
    """`image` uint8 [h, w, 3] RGB, upright, on white; `sha256` of the file as it came, in hex.

    `orientation` is how its stored pixels were turned, as in `Picture`.
    """

    image: npt.NDArray[np.uint8]
    sha256: str
    orientation: int = 1


def load_scene(path: Path | str) -> ScenePhoto:
    """Read a photo file; see `open_picture` for what is refused. Raises BadPicture."""
    data = _read_bytes(path)
    picture = open_picture(data, Path(path).name)
    return ScenePhoto(np.asarray(picture.on_white()), hashlib.sha256(data).hexdigest(), picture.orientation)


def load_picture(path: Path | str) -> Picture:
    """Read a picture file with its transparency; see `open_picture` for what is refused. Raises BadPicture."""
    return open_picture(_read_bytes(path), Path(path).name)


def load_goods(path: Path | str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_] | None]:
    """A product's photo uint8 [h, w, 3], and bool [h, w] where a file with transparency shows it, else None.

    See `open_picture` for what is refused. Raises BadPicture.
    """
    picture = load_picture(path)
    shown = None if picture.alpha is None else picture.alpha >= 128
    return np.asarray(picture.on_white()), None if shown is None or shown.all() else shown


def read_picture(data: bytes, name: str) -> Image.Image:
    """An upright RGB picture on white from untrusted bytes; see `open_picture`."""
    return open_picture(data, name).on_white()


def open_picture(data: bytes, name: str, most_pixels: int = MAX_PIXELS) -> Picture:
    """Return the upright sRGB picture of untrusted bytes. Some at a time are read: each may take 500 MB.

    Of several pictures in a camera's JPEG (Multi-Picture Format) the first counts, of a phone's HEIC the primary one.
    CMYK, palettes, greys and 16 bits a channel become 8-bit RGB, by the colour profile where there is one that makes
    sense. Raises BadPicture for what is no JPEG, PNG, WebP, AVIF or HEIC, has damaged pixels, is animated, smaller than
    64 pixels, larger than `most_pixels`, or a JPEG that is drawn over and over (1000 scans took 32 s).
    """
    pixels, labels = split_labels(data)
    if count_scans(pixels, MOST_SCANS) > MOST_SCANS:
        raise BadPicture("picture_of_many_scans", name=name, most=MOST_SCANS)
    try:
        with _TURNS_AT_DECODING, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            file = Image.open(io.BytesIO(pixels), formats=_FORMATS)
            _check_size(file, name, most_pixels)
            file.load()
            labels = _complete(labels, file)
            colours, alpha = _split_alpha(file)
            orientation = labels.orientation
            image = turn_picture(to_srgb(colours, labels.profile), orientation)
            alpha = None if alpha is None else turn_picture(alpha, orientation)
    except BadPicture:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(name, most_pixels) from error
    except Exception as error:  # bytes of strangers make decoders raise anything
        if _is_heic(data):
            raise BadPicture("picture_heic", name=name) from error
        if isinstance(error, UnidentifiedImageError):
            raise BadPicture("picture_not_readable", name=name) from error
        raise BadPicture("picture_damaged", name=name, reason=str(error)) from error
    return Picture(np.asarray(image), None if alpha is None else np.asarray(alpha), orientation)


def turn_picture(image: Image.Image, orientation: int) -> Image.Image:
    """Return the picture upright that is stored in this EXIF orientation."""
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def is_picture(head: bytes) -> bool:
    """Whether a file that begins so (32 bytes) says that it is of a kind that `open_picture` reads."""
    webp, avif = head[:4] == b"RIFF" and head[8:12] == b"WEBP", head[4:8] == b"ftyp" and b"avi" in head[8:32]
    return head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")) or webp or avif or _is_heic(head)


def _is_heic(head: bytes) -> bool:
    """Whether it begins as a HEIC or HEIF photo does, as iPhones write them; ISO/IEC 23008-12."""
    return head[4:8] == b"ftyp" and head[8:12] in _HEIC


def _read_bytes(path: Path | str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        name = Path(path).name
        raise BadPicture("picture_not_opened", name=name, reason=error.strerror or str(error)) from error


def _check_size(image: Image.Image, name: str, most: int) -> None:
    width, height = image.size
    if width * height > most:
        raise _too_large(name, most)
    if min(width, height) < MIN_SIDE_PX:
        raise BadPicture("picture_too_small", name=name, width=width, height=height, least=MIN_SIDE_PX)
    if image.format not in _OF_MANY and getattr(image, "n_frames", 1) > 1:
        raise BadPicture("picture_moves", name=name)


def _too_large(name: str, most: int) -> BadPicture:
    return BadPicture("picture_too_large", name=name, most=most // 1_000_000)


def _complete(labels: Labels, image: Image.Image) -> Labels:
    """The labels of a format that `split_labels` leaves to the decoder."""
    if image.format not in _BY_DECODER:
        return labels
    exif, profile = image.info.get("exif") or b"", image.info.get("icc_profile") or b""
    return Labels(exif=exif, xmp=image.info.get("xmp") or b"", profile=profile)


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return the picture as L, RGB or CMYK, and its alpha as L where it has any."""
    if image.mode in _GREY_16_BIT:
        return Image.fromarray(_scale_16_bit(np.asarray(image))), None
    if image.mode in ("LA", "La") or (image.mode == "L" and "transparency" in image.info):
        grey = image.convert("LA")
        return grey.getchannel("L"), grey.getchannel("A")
    if image.mode in ("RGBA", "PA", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return rgba.convert("RGB"), rgba.getchannel("A")
    if image.mode in ("L", "RGB", "CMYK"):
        return image, None
    return image.convert("L" if image.mode == "1" else "RGB"), None


def _scale_16_bit(deep: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    """Return 16-bit greys [h, w] in 8 bits, row by row: Pillow's own conversion clips to 255 instead of scaling."""
    grey = np.empty(deep.shape, np.uint8)
    for row, out in zip(deep, grey, strict=True):
        out[:] = (row.astype(np.int64).clip(0, 65_535) + 128) // 257
    return grey


def fit_to_canvas(
    image: npt.NDArray[np.uint8], height: int, width: int, box: Box | None = None
) -> npt.NDArray[np.uint8]:
    """Cover the canvas with the box of a picture (None: all of it): resize (Lanczos) and crop the middle.

    uint8 [h, w, 3] -> uint8 [height, width, 3].
    """
    return np.asarray(_fit(Image.fromarray(image), height, width, box, Image.Resampling.LANCZOS))


def fit_mask(
    mask: npt.NDArray[np.bool_], height: int, width: int, box: Box | None = None
) -> npt.NDArray[np.bool_]:  # fmt: skip
    """Crop a mask in the same way, so that it stays on its landmark."""
    grey = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(_fit(grey, height, width, box, Image.Resampling.BILINEAR)) >= 128


def fit_weights(
    grey: npt.NDArray[np.uint8], height: int, width: int, box: Box | None = None
) -> npt.NDArray[np.float32]:  # fmt: skip
    """Crop in the same way weights uint8 [h, w]: float32 [height, width] in [0, 1]."""
    fitted = _fit(Image.fromarray(grey), height, width, box, Image.Resampling.BILINEAR)
    return np.asarray(fitted, np.float32) / np.float32(255)


def _fit(
    image: Image.Image, height: int, width: int, box: Box | None, resampling: Image.Resampling
) -> Image.Image:  # fmt: skip
    part = image if box is None else image.crop(crop_pixels(box, image.height, image.width))
    return ImageOps.fit(part, (width, height), resampling)


def check_rgb(image: npt.NDArray[np.uint8]) -> None:
    """Raise BadInput for what is no RGB picture, uint8 [h, w, 3]."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise BadInput("picture_not_rgb", shape=image.shape)
