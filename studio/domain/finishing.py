"""Finishing of posts: a drawn picture brought to the size that it is shown in. The drawn one stays as it is."""

from __future__ import annotations

from pydantic import Field

from studio.domain.values import FileKey, Value

__all__ = ["LARGE_PX", "FinishedPicture", "FinishedWith", "finishes", "shown_size"]

LARGE_PX = 1024
"""The longer side from which on a drawing is large enough by itself."""


class FinishedWith(Value):
    """The upscaler that a picture was finished with: its file's name and SHA-256, and how many times it enlarges;
    and the size that the picture was then brought to."""

    upscaler: str
    sha256: str
    scale: int = Field(ge=1)
    height: int = Field(gt=0)
    width: int = Field(gt=0)


class FinishedPicture(FinishedWith):
    """A finished picture in the store."""

    picture: FileKey


def finishes(asked: bool | None, able: bool, height: int, width: int) -> bool:
    """Return whether drawings of this size are finished: as somebody asked for it, else (None) where there is an
    upscaler to do it and they are small."""
    return able and max(height, width) < LARGE_PX if asked is None else asked


def shown_size(height: int, width: int, short_px: int) -> tuple[int, int]:
    """Return the size (height, width) whose shorter side is `short_px`, in the drawing's shape."""
    scale = short_px / min(height, width)
    return round(height * scale), round(width * scale)
