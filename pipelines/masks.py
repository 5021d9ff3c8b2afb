"""The one door for masks: whatever a person painted in whatever editor becomes a mask of the photo that it is for.

A mask says its part by transparency (painted on an empty layer, or cut out of the photo: what is opaque counts) or by
light (white counts). It must have the photo's shape: only its scale may differ. Where it lies as the photo's stored
pixels do (an editor that ignores EXIF), it is turned as the photo is. All else is refused with both sizes named,
never stretched and never inverted.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipelines.errors import BadPicture
from pipelines.pictures import Picture, load_picture, turn_picture

__all__ = ["MARGIN_PX", "check_mask_size", "load_mask", "load_weights"]

MARGIN_PX = 5
"""Drawn pixels around a landmark that are the photo's own, too: its very outline is an edge that no drawing meets."""

_MOST_GREY = 0.2  # a mask's soft edges
_MOST_COLOURED = 0.01
_LEAST_TRANSPARENT = 0.001  # a frayed border says nothing
_COLOURED = 64  # how far a colour's channels are apart
_ROUNDING_PX = 1.5

Grey = npt.NDArray[np.uint8]


def load_mask(path: Path | str, size: tuple[int, int] | None, orientation: int = 1) -> npt.NDArray[np.bool_]:
    """A landmark mask bool [h, w] (True = keep) for a photo of `size` (height, width), which was turned upright from
    stored pixels of `orientation`; at its own size where `size` is None.

    Raises BadPicture for one of a single colour, for a photo, for one that says two things at once (by transparency,
    and by black and white in what is opaque), and for one of another shape than the photo's.
    """
    name, picture = Path(path).name, load_picture(path)
    shown = _shown(picture)
    levels = _judge_opaque(name, picture.rgb, shown) if shown is not None else _judge_light(name, picture.rgb)
    levels = levels if size is None else _fit(levels, size, orientation, name)
    mask = levels >= 128
    if not mask.any() or mask.all():
        raise BadPicture("mask_all_one_colour", name=name, colour="white" if mask.all() else "black")
    return mask


def load_weights(path: Path | str, size: tuple[int, int], orientation: int = 1) -> Grey:
    """Weights uint8 [h, w] over a photo of `size` (height, width): white counts fully, black not at all.

    What is transparent does not count either. Raises BadPicture for one that counts nothing, for one of another shape
    than the photo's, and for what is no picture.
    """
    name, picture = Path(path).name, load_picture(path)
    shown = _shown(picture)
    grey = np.asarray(Image.fromarray(picture.rgb).convert("L"))
    if shown is not None:
        opaque = grey[shown >= 128]
        # one colour on an empty layer is paint, whichever colour it is
        flat = opaque.size == 0 or int(opaque.max()) - int(opaque.min()) < 32
        grey = shown if flat else (grey.astype(np.float32) * shown / 255).round().astype(np.uint8)
    if not grey.any():
        raise BadPicture("weights_all_black", name=name)
    return _fit(grey, size, orientation, name)


def check_mask_size(name: str, mask: tuple[int, int], photo: tuple[int, int]) -> None:
    """Raise BadPicture where a mask (height, width) has not the shape of its photo, up to the rounding of a scale."""
    (tall, wide), (height, width) = mask, photo
    off = min(abs(tall - wide * height / width), abs(wide - tall * width / height))
    if off > _ROUNDING_PX:
        raise BadPicture(
            "mask_of_other_shape", name=name, width=wide, height=tall, photo_width=width, photo_height=height
        )


def _shown(picture: Picture) -> Grey | None:
    """How opaque each pixel is, from 0 to 255 for the most opaque; None where nothing is transparent."""
    alpha = picture.alpha
    if alpha is None or float((alpha < 128).mean()) < _LEAST_TRANSPARENT:
        return None
    most = int(alpha.max())
    return alpha if most in (0, 255) else (alpha.astype(np.float32) * 255 / most).round().astype(np.uint8)


def _judge_opaque(name: str, rgb: npt.NDArray[np.uint8], shown: Grey) -> Grey:
    """What is opaque counts. Raises BadPicture where nothing is, or where it is itself a drawing in black and white."""
    opaque = rgb[shown >= 128]
    if not opaque.size:
        raise BadPicture("mask_transparent", name=name)
    white, black = (opaque >= 207).all(axis=1).mean(), (opaque <= 48).all(axis=1).mean()
    if min(white, black) > 0.02 and white + black > 0.98:
        raise BadPicture("mask_says_two_things", name=name)
    return shown


def _judge_light(name: str, rgb: npt.NDArray[np.uint8]) -> Grey:
    """White counts; so does one bright colour on black. Raises BadPicture for photos and for colours on white."""
    if ((rgb > 48) & (rgb < 207)).any(axis=2).mean() > _MOST_GREY:
        raise BadPicture("mask_not_black_and_white", name=name)
    highest, lowest = rgb.max(axis=2), rgb.min(axis=2)
    if (highest.astype(np.int16) - lowest > _COLOURED).mean() > _MOST_COLOURED:
        if (lowest >= 207).mean() > _MOST_COLOURED:
            raise BadPicture("mask_not_black_and_white", name=name)
        return highest
    return np.asarray(Image.fromarray(rgb).convert("L"))


def _fit(levels: Grey, size: tuple[int, int], orientation: int, name: str) -> Grey:
    """Return the levels at the photo's size."""
    if orientation >= 5 and levels.shape == size[::-1] and size[0] != size[1]:
        levels = np.asarray(turn_picture(Image.fromarray(levels), orientation))
    check_mask_size(name, (levels.shape[0], levels.shape[1]), size)
    if levels.shape == size:
        return levels
    return np.asarray(Image.fromarray(levels).resize((size[1], size[0]), Image.Resampling.BILINEAR))
