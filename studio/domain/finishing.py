"""Finishing of posts: a drawn picture brought to the size that it is shown in. The drawn one stays as it is."""

from __future__ import annotations

from pydantic import Field

from pipelines.shapes import Box
from studio.domain.values import FileKey, Seed, Value, later_field

__all__ = ["LARGE_PX", "FinishedPicture", "FinishedWith", "TouchedFace", "finishes", "shown_size", "touches_up"]

LARGE_PX = 1024
"""The longer side from which on a drawing is large enough by itself."""


class TouchedFace(Value):
    """A face that was drawn once more, larger: its box and its landmarks (eyes, nose, mouth's corners; x, y) in shares
    of the picture, and what it was drawn with."""

    box: Box
    landmarks: tuple[tuple[float, float], ...] = Field(min_length=5, max_length=5)
    prompt: str
    seed: Seed
    strength: float = Field(gt=0, le=1)


class FinishedWith(Value):
    """The upscaler that a picture was finished with: its file's name and SHA-256, and how many times it enlarges;
    the size that the picture was then brought to; and the face that was drawn once more, None where it is as drawn."""

    upscaler: str
    sha256: str
    scale: int = Field(ge=1)
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    face: TouchedFace | None = later_field(None)


class FinishedPicture(FinishedWith):
    """A finished picture in the store; `face_picture` is the canvas that its face was drawn on once more."""

    picture: FileKey
    face_picture: FileKey | None = later_field(None)


def finishes(asked: bool | None, able: bool, height: int, width: int) -> bool:
    """Return whether drawings of this size are finished: as somebody asked for it, else (None) where there is an
    upscaler to do it and they are small."""
    return able and max(height, width) < LARGE_PX if asked is None else asked


def touches_up(asked: bool | None, height: int, width: int) -> bool:
    """Return whether faces of finished drawings of this size are drawn once more: as somebody asked for it, else (None)
    where drawings are small."""
    return max(height, width) < LARGE_PX if asked is None else asked


def shown_size(height: int, width: int, short_px: int) -> tuple[int, int]:
    """Return the size (height, width) whose shorter side is `short_px`, in the drawing's shape."""
    scale = short_px / min(height, width)
    return round(height * scale), round(width * scale)
