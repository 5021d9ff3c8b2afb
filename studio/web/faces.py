"""The route that finds a face among the owner's own things."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict

from pipelines.errors import BadInput
from studio.application import Studio
from studio.library.faces import count_unread
from studio.library.uploads import find_upload
from studio.web.library import ThingSaid, say_thing
from studio.workflows.likeness import find_like_photo, find_like_thing

__all__ = ["add_faces"]


class FaceFound(BaseModel):
    """A thing that shows a face like the one that was looked for; `likeness` is the cosine of both, at most 1."""

    model_config = ConfigDict(frozen=True)

    thing: ThingSaid
    likeness: float


class FacesFound(BaseModel):
    """The nearest first. Of a thousand pairs of strangers one is as alike as `strangers`, null where that is not known;
    `unread` is how many things nobody has looked at yet.
    """

    model_config = ConfigDict(frozen=True)

    found: list[FaceFound]
    strangers: float | None
    unread: int


def add_faces(api: APIRouter, studio: Studio, owner_of: Callable[[Request], str]) -> None:
    """`owner_of` says whose request it is."""

    @api.get("/faces")
    def faces(
        request: Request,
        upload: Annotated[str, Query(max_length=64)] = "",
        thing: Annotated[str, Query(max_length=100)] = "",
        limit: Annotated[int, Query(ge=1, le=200)] = 24,
    ) -> FacesFound:
        """Return posts, personas and designs that show the face of an uploaded photo, or of one of them."""
        owner = owner_of(request)
        if bool(upload) is bool(thing):
            raise BadInput("face_photo_or_thing")
        if upload:
            found = find_like_photo(studio, owner, find_upload(studio.settings, owner, upload), limit)
        else:
            found = find_like_thing(studio, owner, thing, limit)
        least = studio.least_identity
        return FacesFound(
            found=[FaceFound(thing=say_thing(one.thing), likeness=one.cosine) for one in found],
            strangers=least if least > -1 else None,
            unread=count_unread(studio.records, owner, studio.face_pack_sha256),
        )
