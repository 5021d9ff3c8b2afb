"""A scene's picture and its landmark mask: any photo file in, plain RGB pixels out, or a clear refusal."""

from __future__ import annotations

import hashlib
import io
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from pipelines.errors import BadInput, BadPicture

__all__ = [
    "ScenePhoto",
    "check_rgb",
    "fit_mask",
    "fit_to_canvas",
    "fit_weights",
    "load_goods",
    "load_mask",
    "load_scene",
    "load_weights",
    "read_picture",
]

_LOG = logging.getLogger(__name__)

MIN_SIDE_PX = 64
MAX_PIXELS = 40_000_000
_FORMATS = ("JPEG", "PNG", "WEBP")
_GREY_16_BIT = ("I;16", "I;16B", "I;16L", "I")
_MOST_GREY = 0.2  # a mask's soft edges


@dataclass(frozen=True, eq=False)
class ScenePhoto:
    """`image` uint8 [h, w, 3] RGB, upright; `sha256` of the file as it came, in hex."""

    image: npt.NDArray[np.uint8]
    sha256: str


def load_scene(path: Path | str) -> ScenePhoto:
    """Read a photo file; see `read_picture` for what is refused. Raises BadPicture."""
    name = Path(path).name
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise BadPicture("picture_not_opened", name=name, reason=error.strerror or str(error)) from error
    return ScenePhoto(np.asarray(read_picture(data, name)), hashlib.sha256(data).hexdigest())


def read_picture(data: bytes, name: str) -> Image.Image:
    """An upright RGB picture from untrusted bytes.

    EXIF rotation is applied, CMYK, palettes, 16-bit grey and alpha (on white) become RGB. Raises BadPicture for what
    is no JPEG, PNG or WebP, is damaged, animated, smaller than 64 pixels or larger than 40 megapixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
            _check_size(image, name)
            image.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(name) from error
    except UnidentifiedImageError as error:
        raise BadPicture("picture_not_readable", name=name) from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise BadPicture("picture_damaged", name=name, reason=str(error)) from error
    return _to_rgb(ImageOps.exif_transpose(image))


def load_goods(path: Path | str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_] | None]:
    """A product's photo uint8 [h, w, 3], and bool [h, w] where a file with transparency shows it, else None.

    See `read_picture` for what is refused. Raises BadPicture.
    """
    image = load_scene(path).image  # checked, upright
    with Image.open(path, formats=_FORMATS) as file:
        if file.mode not in ("RGBA", "LA", "PA") and "transparency" not in file.info:
            return image, None
        alpha = np.asarray(ImageOps.exif_transpose(file).convert("RGBA"))[..., 3] >= 128
    return image, None if alpha.all() else alpha


def _check_size(image: Image.Image, name: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_large(name)
    if min(width, height) < MIN_SIDE_PX:
        raise BadPicture("picture_too_small", name=name, width=width, height=height, least=MIN_SIDE_PX)
    if getattr(image, "n_frames", 1) > 1:
        raise BadPicture("picture_moves", name=name)


def _too_large(name: str) -> BadPicture:
    return BadPicture("picture_too_large", name=name, most=MAX_PIXELS // 1_000_000)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in _GREY_16_BIT:  # Pillow's own conversion clips to 255 instead of scaling
        grey = np.asarray(image, dtype=np.float64) / 257
        image = Image.fromarray(grey.round().clip(0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        image = Image.alpha_composite(white, rgba)
    return image.convert("RGB")


def load_mask(path: Path | str, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """A landmark mask bool [h, w] (white = keep) for a scene of `size` (height, width); resized where it differs.

    Raises BadPicture for one of a single colour, and for a photo: a mask is nearly all black and white.
    """
    name, picture = Path(path).name, load_scene(path).image
    if ((picture > 48) & (picture < 207)).any(axis=2).mean() > _MOST_GREY:
        raise BadPicture("mask_not_black_and_white", name=name)
    grey = Image.fromarray(picture).convert("L").resize((size[1], size[0]), Image.Resampling.BILINEAR)
    mask = np.asarray(grey) >= 128
    if not mask.any() or mask.all():
        what = "white" if mask.all() else "black"
        raise BadPicture("mask_all_one_colour", name=name, colour=what)
    return mask


def load_weights(path: Path | str, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Weights uint8 [h, w] over a scene of `size` (height, width): white counts fully, black not at all.

    A picture of another size is stretched over the scene, and a warning says so. Raises BadPicture for one that is all
    black, and for what is no picture.
    """
    name, grey = Path(path).name, Image.fromarray(load_scene(path).image).convert("L")
    if not np.asarray(grey).any():
        raise BadPicture("weights_all_black", name=name)
    if (grey.height, grey.width) != size:
        _LOG.warning(
            "The weights %s are %d×%d pixels and the scene %d×%d: they are stretched over it.",
            name, grey.width, grey.height, size[1], size[0],
        )  # fmt: skip
        grey = grey.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(grey)


def fit_to_canvas(image: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    """Cover the canvas: resize (Lanczos) and crop the middle. uint8 [h, w, 3] -> uint8 [height, width, 3]."""
    fitted = ImageOps.fit(Image.fromarray(image), (width, height), Image.Resampling.LANCZOS)
    return np.asarray(fitted)


def fit_mask(mask: npt.NDArray[np.bool_], height: int, width: int) -> npt.NDArray[np.bool_]:
    """Crop a mask in the same way, so that it stays on its landmark."""
    grey = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(ImageOps.fit(grey, (width, height), Image.Resampling.BILINEAR)) >= 128


def fit_weights(grey: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.float32]:
    """Crop in the same way weights uint8 [h, w]: float32 [height, width] in [0, 1]."""
    fitted = ImageOps.fit(Image.fromarray(grey), (width, height), Image.Resampling.BILINEAR)
    return np.asarray(fitted, np.float32) / np.float32(255)


def check_rgb(image: npt.NDArray[np.uint8]) -> None:
    """Raise BadInput for what is no RGB picture, uint8 [h, w, 3]."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise BadInput("picture_not_rgb", shape=image.shape)
