"""Ways to redraw a render by hand: what the drawn styles are learnt from, with known truth of what is in the picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter
from scipy import ndimage

__all__ = ["pencil", "poster"]

Picture = npt.NDArray[np.uint8]

_LEVELS, _SATURATION = 5, 1.35
_PAPER, _GRAPHITE = np.array([250.0, 240.0, 222.0]), np.array([92.0, 66.0, 52.0])
_TINT = 0.45  # how much of a surface's colour is laid over the pencil


def poster(picture: Picture) -> Picture:
    """Return a picture uint8 [h, w, 3] in a few flat, strong colours, as of a screen print."""
    calm = np.asarray(Image.fromarray(picture).filter(ImageFilter.MedianFilter(3)), np.float32)
    grey = calm.mean(axis=2, keepdims=True)
    step = 255 / _LEVELS
    flat = (np.floor(grey / step).clip(0, _LEVELS - 1) + 0.5) * step  # the light in steps, the hue as it is
    return np.clip(flat + _SATURATION * (calm - grey), 0, 255).round().astype(np.uint8)


def pencil(picture: Picture) -> Picture:
    """Return a picture uint8 [h, w, 3] as a pencil drawing on warm paper, thinly coloured.

    Lines are where a surface is darker than what is around it (a colour dodge of the picture's own blurred negative).
    """
    grey = picture.astype(np.float32).mean(axis=2)
    around = ndimage.gaussian_filter(grey, 3.0)
    lines = np.clip(grey / np.maximum(around, 1), 0, 1) ** 2.2  # 1: paper
    shade = 0.55 + 0.45 * np.clip(grey / 255, 0, 1) ** 0.7
    drawn = (lines * shade)[..., None]
    sketch = _GRAPHITE + (_PAPER - _GRAPHITE) * drawn
    colour = picture.astype(np.float32) / 255
    tinted = sketch * (1 - _TINT + _TINT * np.clip(colour * 1.15 + 0.1, 0, 1))
    return np.clip(tinted, 0, 255).round().astype(np.uint8)
