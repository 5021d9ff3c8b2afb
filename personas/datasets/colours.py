"""Colours of clothes and pictures by their names, from pixels. Pure."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from personas.measures.colours import COLOUR_LAB
from personas.measures.scene import to_lab

__all__ = ["COLOURS", "Swatch", "name_colours", "outfit_colour", "palette"]

COLOURS = tuple(COLOUR_LAB)
_CENTRES = np.array(list(COLOUR_LAB.values()), np.float64)
_SIDE = 64
_LEAST_PALETTE = 0.18  # of the pixels

Picture = npt.NDArray[np.uint8]


class Swatch(BaseModel):
    """A colour's name, and which share in [0, 1] of what was looked at has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    share: float


def name_colours(pixels: npt.NDArray[np.uint8]) -> tuple[Swatch, ...]:
    """Return the names of the colours of uint8 [..., 3] RGB, most frequent first."""
    lab = to_lab(pixels.reshape(-1, 1, 3)).reshape(-1, 1, 3)
    nearest = np.linalg.norm((lab - _CENTRES) * (0.7, 1.0, 1.0), axis=2).argmin(axis=1)
    shares = np.bincount(nearest, minlength=len(COLOURS)) / max(1, len(nearest))
    order = np.argsort(-shares, kind="stable")
    return tuple(Swatch(name=COLOURS[i], share=round(float(shares[i]), 3)) for i in order if shares[i] > 0)


def palette(picture: Picture) -> tuple[Swatch, ...]:
    """Return at most three colours that a large part of a picture has."""
    small = cv2.resize(picture, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return tuple(one for one in name_colours(small) if one.share >= _LEAST_PALETTE)[:3]


def outfit_colour(picture: Picture, face: tuple[float, float, float, float]) -> Swatch | None:
    """Return the colour of what is worn under a face, whose box is in shares of the picture: the chest, from half a
    face to one and a half under the chin. None where the picture ends before.
    """
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = face
    tall, middle, half = y1 - y0, (x0 + x1) / 2, (x1 - x0) / 2
    top, bottom = y1 + 0.6 * tall, min(1.0, y1 + 1.5 * tall)
    if bottom - top < 0.25 * tall:
        return None
    rows = slice(int(top * height), max(int(top * height) + 1, int(bottom * height)))
    columns = slice(max(0, int((middle - half) * width)), max(1, int((middle + half) * width)))
    chest = picture[rows, columns]
    if chest.shape[0] < 4 or chest.shape[1] < 4:
        return None
    chest = cv2.resize(chest, (24, 24), interpolation=cv2.INTER_AREA)
    return name_colours(chest)[0]
