"""Colours by an embedded ICC profile become sRGB, the one colour space that everything behind the door computes in."""

from __future__ import annotations

import io
from itertools import product

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

__all__ = ["to_srgb"]

_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_SAME = 2  # of 255: what a profile of sRGB itself may differ by
_LEAST_CONTRAST = 64


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Return a picture (L, RGB or CMYK) as RGB in sRGB.

    `profile` is an ICC profile or b"". One that is damaged, is for other channels, or takes black and white for the
    same is no reason to lose the picture: its numbers count as they are. So they do, to the bit, where the profile is
    sRGB in all but its name.
    """
    try:
        transform = _transform(image.mode, profile) if profile else None
        converted = None if transform is None else ImageCms.applyTransform(image, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, KeyError):
        converted = None
    return image.convert("RGB") if converted is None else converted


def _transform(mode: str, profile: bytes) -> ImageCms.ImageCmsTransform | None:
    """Return the way from the profile to sRGB; None where there is nothing to convert or nothing sensible to do."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if _MODES[source.profile.xcolor_space.strip()] != mode:
        return None
    transform = ImageCms.buildTransform(
        source, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )  # fmt: skip
    probe = _probe(mode)
    plain = np.asarray(probe.convert("RGB"), np.int16)
    shown = ImageCms.applyTransform(probe, transform)
    assert shown is not None
    seen = np.asarray(shown, np.int16)
    # the first colour is the darkest (of CMYK: the lightest), the last the other end
    if abs(float(seen[0, -1].mean() - seen[0, 0].mean())) < _LEAST_CONTRAST:
        return None
    same = mode != "CMYK" and int(np.abs(seen - plain).max()) <= _SAME
    return None if same else transform


def _probe(mode: str) -> Image.Image:
    """Return a picture one pixel high of colours all over the space."""
    if mode == "L":
        ramp: npt.NDArray[np.uint8] = np.arange(0, 256, 5, dtype=np.uint8)[None]
        return Image.fromarray(ramp)
    channels = 3 if mode == "RGB" else 4
    steps = (0, 64, 128, 192, 255) if mode == "RGB" else (0, 128, 255)
    colours = np.array(list(product(steps, repeat=channels)), np.uint8)[None]
    return Image.frombytes(mode, (colours.shape[1], 1), colours.tobytes())
