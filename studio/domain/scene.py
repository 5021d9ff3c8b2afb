"""A place and goods as they are shown to the model or kept exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from pipelines.errors import BadInput
from pipelines.references.cutout import Place
from pipelines.shapes import Box, Shape, nearest_shape, shape_ratio
from studio.domain.values import FileKey, IndexEntry, Result, Sha256, Value, later_field

__all__ = ["Crop", "Goods", "MorePlace", "ReferenceDials", "Scene", "check_crops", "usual_crop"]

_ROUNDING = 0.02  # of a crop's ratio: boxes are told in shares, and photos have whole pixels


class Crop(Value):
    """What of a scene's photo is shown in pictures of a shape: left, top, right, bottom in shares of the photo."""

    shape: Shape
    box: Box

    @model_validator(mode="after")
    def _check(self) -> Crop:
        left, top, right, bottom = self.box
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise BadInput("crop_outside", shape=self.shape, box=list(self.box))
        return self


def check_crops(crops: Sequence[Crop], height: int, width: int) -> None:
    """Raise BadInput where a crop of a photo of this size has not the shape that it is for, or a shape has two."""
    if len({crop.shape for crop in crops}) < len(crops):
        raise BadInput("crop_twice", shapes=[crop.shape for crop in crops])
    for crop in crops:
        left, top, right, bottom = crop.box
        ratio = (right - left) * width / ((bottom - top) * height)
        if abs(ratio / shape_ratio(crop.shape) - 1) > _ROUNDING:
            raise BadInput("crop_of_other_shape", shape=crop.shape, ratio=f"{ratio:.2f}")


def usual_crop(shape: Shape, height: int, width: int) -> Box:
    """Return the box that a photo of this size is cropped to where nobody chose one: the largest, in the middle."""
    own, ratio = width / height, shape_ratio(shape)
    wide, tall = min(1.0, ratio / own), min(1.0, own / ratio)
    return (1 - wide) / 2, (1 - tall) / 2, (1 + wide) / 2, (1 + tall) / 2


class Scene(Result):
    """A place: its photo, and the mask of its landmark (white where it is), None without one.

    `sha256` is of the photo's file as it was brought. `crops` are what of it is shown, a shape once at most; the middle
    of the photo where there is none for a shape.
    """

    kind: ClassVar[str] = "scene"

    name: str
    sha256: Sha256
    photo: FileKey
    landmark: FileKey | None = None
    crops: tuple[Crop, ...] = later_field(())

    def crop_for(self, height: int, width: int) -> Box | None:
        """Return the chosen crop for a canvas of this size, None where nobody chose one."""
        shape = nearest_shape(height, width)
        return next((crop.box for crop in self.crops if crop.shape == shape), None)

    def index_entry(self) -> IndexEntry:
        return IndexEntry({"name": self.name, "picture": self.photo}, (self.name,))


class Goods(Value):
    """A product, cut out of its photo: `name` is what prompts call it; without a `place` the framing says where."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    sha256: Sha256
    picture: FileKey
    mask: FileKey
    place: Place | None = None


class MorePlace(Value):
    """Another place's photo, shown beside the scene's; `sha256` is of its file as it was brought."""

    sha256: Sha256
    photo: FileKey


class ReferenceDials(Value):
    """How a scene is shown besides its scale: see `pipelines.references.redux` for `pool` and `merge`.

    `weights` is a grey picture over the scene's photo: how much each part of it counts.
    """

    weights: FileKey | None = None
    pool: int = Field(1, ge=1)
    merge: float = Field(1.0, gt=0, le=1)
    references: tuple[MorePlace, ...] = ()
