"""One strip of pictures, from the look to the posts: what the main job did, to be seen at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipelines.pictures import fit_to_canvas

__all__ = ["draw_strip"]

Picture = NDArray[np.uint8]
_HEIGHT, _WIDTH, _GAP, _BETWEEN = 256, 192, 6, 44
_INK = "#0f766e"


def draw_strip(groups: Sequence[Sequence[Picture]], signs: Sequence[str]) -> Image.Image:
    """Return the groups of pictures uint8 [h, w, 3] in one row, a sign ("+", "→" or "=") between each two groups.

    Raises ValueError where the signs are not one fewer than the groups.
    """
    if len(signs) != len(groups) - 1:
        raise ValueError(f"{len(groups)} groups want {len(groups) - 1} signs, not {len(signs)}")
    count = sum(len(group) for group in groups)
    width = count * _WIDTH + (count - len(groups)) * _GAP + len(signs) * _BETWEEN
    strip = Image.new("RGB", (width, _HEIGHT), "white")
    pen = ImageDraw.Draw(strip)
    x = 0
    for group, sign in zip(groups, chain(signs, ("",)), strict=True):
        for picture in group:
            strip.paste(Image.fromarray(fit_to_canvas(picture, _HEIGHT, _WIDTH)), (x, 0))
            x += _WIDTH + _GAP
        x -= _GAP
        _draw_sign(pen, sign, x + _BETWEEN // 2, _HEIGHT // 2)
        x += _BETWEEN
    return strip


def _draw_sign(pen: ImageDraw.ImageDraw, sign: str, x: int, y: int) -> None:
    """Draw it with lines: which glyphs a machine's fonts have is not known."""
    strokes = {
        "+": ((-9, 0, 9, 0), (0, -9, 0, 9)),
        "=": ((-9, -5, 9, -5), (-9, 5, 9, 5)),
        "→": ((-11, 0, 11, 0), (4, -7, 11, 0), (4, 7, 11, 0)),
    }
    for x0, y0, x1, y1 in strokes.get(sign, ()):
        pen.line((x + x0, y + y0, x + x1, y + y1), fill=_INK, width=3)
