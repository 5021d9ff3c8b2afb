"""Limits that a picture is judged by. Measures are kept, so other limits judge again at once."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Limits", "usual_limits"]

_FACE_PX, _OF_SIDE = 64, 1024  # a face of so many pixels in a picture that a model draws at so many a side
_LEAST_FACE_PX = 14


class Limits(BaseModel):
    """`dhash` and `phash` bits that hashes of a copy differ in at most, `same` how far two thumbnails are that show the
    same (`duplicates.alike`). `area` the least share of the pixels that a model draws, `aspect` the most that one side
    is of the other. `crisp`, `noise`, `spread`, `bars`, `darkest`, `brightest`, `blocks` as of
    `technical.measure_technical`: "darkest" is the most that the 5th percentile may be (over it a picture is washed
    out), "brightest" the least that the 99th may be (under it, dark). `burnt` is the most of a face that may be white,
    `face_px` the shorter side of a face, `second` the share of the first face's height from which another face counts,
    `same_person` the cosine to the main person's faces, `turned` the degrees from which a face says nothing of who it
    is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dhash: int = Field(8, ge=0, le=32)
    phash: int = Field(10, ge=0, le=32)
    same: float = Field(0.07, ge=0, le=1)
    area: float = Field(0.25, ge=0, le=4)
    aspect: float = Field(3.0, ge=1)
    crisp: float = Field(0.31, ge=0, le=1)
    noise: float = Field(9, ge=0)
    spread: float = Field(12, ge=0)
    bars: float = Field(0.04, ge=0, le=1)
    darkest: float = Field(0.95, ge=0, le=1)
    brightest: float = Field(0.32, ge=0, le=1)
    blocks: float = Field(2.0, ge=1)
    burnt: float = Field(0.3, ge=0, le=1)
    face_px: float = Field(_FACE_PX, ge=0)
    second: float = Field(0.25, ge=0, le=1)
    same_person: float = Field(0.3, ge=-1, le=1)
    turned: float = Field(40, ge=0, le=90)


def usual_limits(height: int, width: int, same_person: float) -> Limits:
    """Return the limits for a model that draws height × width pixels, and a recogniser of whose cosines different
    people hardly ever reach `same_person`.
    """
    scale = (height * width) ** 0.5 / _OF_SIDE
    face = max(_LEAST_FACE_PX, round(_FACE_PX * scale))
    return Limits(face_px=face, same_person=same_person)
