"""A place and goods as they are shown to the model or kept exactly."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from pipelines.references.cutout import Place
from studio.domain.values import FileKey, IndexEntry, Result, Sha256, Value

__all__ = ["Goods", "MorePlace", "ReferenceDials", "Scene"]


class Scene(Result):
    """A place: its photo, and the mask of its landmark (white where it is), None without one.

    `sha256` is of the photo's file as it was brought.
    """

    kind: ClassVar[str] = "scene"

    name: str
    sha256: Sha256
    photo: FileKey
    landmark: FileKey | None = None

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
