"""Faces of things: read when a job has made them, or later where an older studio did; and what looks like one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sqlalchemy.exc import SQLAlchemyError

from personas.measures.face import mean_embedding
from pipelines.errors import BadInput, StudioError
from pipelines.pictures import load_scene
from studio.application import Studio
from studio.domain.design import Design
from studio.domain.persona import Persona
from studio.domain.posts import PostSet
from studio.domain.values import Result
from studio.library.faces import FoundFace, keep_faces, kept_face, things_unread
from studio.library.index import Thing, find_thing
from studio.library.results import find_result

__all__ = ["find_like_photo", "find_like_thing", "read_faces", "read_unread"]

_PICTURES = 8  # of a persona or a design
_KINDS: dict[str, type[Result]] = {kind.kind: kind for kind in (Persona, Design)} | {"post": PostSet}
_LOG = logging.getLogger(__name__)


def read_faces(studio: Studio, owner: str, result: Result) -> None:
    """Keep the faces of what a job has made; one that cannot be read now is read later."""
    if (entry := result.index_entry()) is None:
        return
    told = {f"{result.kind}:{result.id}": entry.faces} | {part.id: part.faces for part in entry.parts}
    try:
        faces = {thing: _mean_face(studio, pictures) for thing, pictures in told.items() if pictures}
        keep_faces(studio.records, owner, studio.face_pack_sha256, faces)
    except (StudioError, OSError, SQLAlchemyError) as error:  # the job itself is whole
        _LOG.warning("Faces of %s %s are not read: %s", result.kind, result.id, error)


def read_unread(studio: Studio, most: int, owner: str | None = None) -> int:
    """Read faces of at most so many of the newest things that the recogniser has not looked at; return of how many.

    Raises ModelMissing where there is no recogniser.
    """
    pack = studio.face_pack_sha256
    found = things_unread(studio.records, pack, most, owner)
    for who, thing in found:
        known = find_thing(studio.records, who, thing)
        if known is not None:
            keep_faces(studio.records, who, pack, {thing: _face_of(studio, who, known)})
    return len(found)


def find_like_photo(studio: Studio, owner: str, photo: Path, count: int) -> list[FoundFace]:
    """Return an owner's things whose faces are nearest to the one in a photo, of which nothing is kept.

    Raises BadInput for what is no picture, and where no face is found in it.
    """
    face = studio.faces.read(load_scene(photo).image)
    if face is None:
        raise BadInput("picture_without_face", name=photo.name)
    return studio.face_index.nearest(owner, studio.face_pack_sha256, face.embedding, count)


def find_like_thing(studio: Studio, owner: str, thing: str, count: int) -> list[FoundFace]:
    """Return an owner's other things whose faces are nearest to that of a post, a persona or a design.

    Raises BadInput where there is no such thing, or nobody is seen in it.
    """
    known = find_thing(studio.records, owner, thing)
    if known is None or known.kind not in _KINDS:
        raise BadInput("not_found", result="thing", key=thing[:64])
    pack = studio.face_pack_sha256
    face = kept_face(studio.records, owner, pack, thing)
    if face is None:
        face = _face_of(studio, owner, known)
        keep_faces(studio.records, owner, pack, {thing: face})
    if face is None:
        raise BadInput("picture_without_face", name=str(known.facts.get("name", "")))
    found = studio.face_index.nearest(owner, pack, face, count + 1)
    return [one for one in found if one.thing.id != thing][:count]


def _face_of(studio: Studio, owner: str, thing: Thing) -> npt.NDArray[np.float32] | None:
    """Return the face of a thing; None where it shows none, or cannot be read any more. Raises StudioError where the
    store is away."""
    try:
        if thing.kind == "post":
            return _mean_face(studio, (str(thing.facts["picture"]),))
        key = thing.id.partition(":")[2]
        entry = find_result(studio.records, studio.store, owner, _KINDS[thing.kind], key).index_entry()
        return None if entry is None else _mean_face(studio, entry.faces)
    except (StudioError, OSError) as error:
        if isinstance(error, StudioError) and error.code.startswith("store_"):
            raise
        _LOG.warning("The face of %s is not read: %s", thing.id, error)  # its card says so
        return None


def _mean_face(studio: Studio, pictures: Sequence[str]) -> npt.NDArray[np.float32] | None:
    """Return the mean [d] of the faces in the first pictures, None where there are none."""
    read = [studio.face_in(key) for key in pictures[:_PICTURES]]
    found = [face.embedding for face in read if face is not None]
    return mean_embedding(np.stack(found)) if found else None
