"""Photos that say who is shown in posts, read as the backbone's character adapter reads them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from personas.body_regions import body_regions
from personas.measures.face import FaceReading
from personas.shots import Shot
from pipelines.adapters.character import character_of
from pipelines.adapters.character_photos import CharacterPhoto
from pipelines.errors import BadInput
from pipelines.references.character import CharacterReference
from studio.application import Studio
from studio.domain.capabilities import sees_people
from studio.domain.character import CLOTHES, Character, Part, parts_said
from studio.domain.character import CharacterPhoto as KeptPhoto
from studio.library.characters import find_person
from studio.library.consents import check_photos
from studio.library.scenes import get_mask

if TYPE_CHECKING:
    from studio.domain.posts import PostRequest

__all__ = ["faces_of", "photos_of", "reference_of", "trigger_of", "worn_in"]

_NO_HEAD = 0.01  # share of a photo's subject that is called face or hair where nobody is


def photos_of(studio: Studio, request: PostRequest) -> CharacterReference | None:
    """Return what the request's photos show the model, None where there are none or they count nothing.

    The adapter is loaded now, so that what is drawn at once is planned beside it. Raises ModelMissing where the
    backbone has none, BadInput where it does not fit or reads no parts and some are wanted, where nobody is found in a
    photo, and where the consent is over.
    """
    character = request.photos
    if character is None:
        return None
    if request.photos_consent is not None:  # a bundle does not tell of it
        check_photos(studio.records, request.owner, character, request.photos_consent)
    return None if character.strength == 0 else reference_of(studio, character)


def reference_of(studio: Studio, character: Character) -> CharacterReference:
    """Return what photos show the model. Raises as `photos_of` does."""
    has_parts = len(character_of(studio.backbone).file.layout.regions) > 1 and sees_people(studio.settings)
    photos = []
    for photo in character.photos:
        image, mask = _opened(studio, photo)
        if photo.parts and not has_parts:
            raise BadInput("character_without_parts", parts=list(photo.parts))
        photos.append(_with_parts(studio, image, mask, photo.parts) if has_parts else CharacterPhoto(image, mask))
    return CharacterReference(tuple(photos), character.scales, character.strength, character.start, character.end)


def trigger_of(studio: Studio, request: PostRequest) -> str:
    """Return the word that says who it is: only the LoRA knows it, or the adapter that says it by photos."""
    photos = request.photos
    if photos is not None and photos.strength > 0:
        return character_of(studio.backbone).file.metadata.get("trigger", "")
    return request.persona.trigger if request.by_lora else ""


def worn_in(character: CharacterReference, asked: Character, shot: Shot) -> CharacterReference:
    """Return the photos as a shot sees them: nothing of what its own words decide (`parts_said`)."""
    said: dict[str, float] = dict.fromkeys(parts_said(shot, asked), 0.0)
    if not said or not any(set(photo.parts or ()) & set(said) for photo in character.photos):
        return character
    return replace(character, scales={**character.scales, **said})


def faces_of(studio: Studio, character: Character) -> list[FaceReading | None]:
    """Return the face of each photo that is for the head: of those within the person's outline the best."""
    found = []
    for photo in character.photos:
        if photo.parts and "face" not in photo.parts:
            continue
        image, mask = _opened(studio, photo)
        found.append(next((face for face in studio.faces.faces(image) if _lies_in(face, mask)), None))
    return found


def _opened(studio: Studio, photo: KeptPhoto) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    image = studio.store.get_picture(photo.picture)
    mask = find_person(studio.library, image) if photo.mask is None else get_mask(studio.library, photo.mask)
    return image, mask


def _with_parts(
    studio: Studio, image: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_], wanted: tuple[Part, ...]
) -> CharacterPhoto:
    """Return a photo uint8 [h, w, 3] with the parts of the person in it that the reader finds within `mask`.

    A photo of clothes in which nothing of anybody is found shows one garment: all of it is the torso's. Raises BadInput
    where somebody wears them who is seen only when the photo is turned: their head could not be kept out.
    """
    (read,) = studio.regions.read([image])
    face = next((one for one in studio.faces.faces(image) if _lies_in(one, mask)), None)
    _, parts = body_regions(read)
    own = {name: inside for name, part in parts.items() if (inside := part & mask).any()}
    head = int((read.head & mask).sum())
    if set(wanted) == set(CLOTHES) and face is not None and head <= _NO_HEAD * mask.sum():
        raise BadInput("clothes_turned")
    if set(wanted) == set(CLOTHES) and face is None:
        for turned in (np.ascontiguousarray(np.rot90(image, turns)) for turns in (1, 2, 3)):
            (other,) = studio.regions.read([turned])
            if other.head.sum() > head and studio.faces.read(turned) is not None:
                raise BadInput("clothes_turned")
        if head <= _NO_HEAD * mask.sum():
            own = {name: part for name, part in own.items() if name == "goods"} | {"torso": mask}
    return CharacterPhoto(
        image, mask, own, None if face is None else face.landmarks, frozenset(wanted) if wanted else None
    )


def _lies_in(face: FaceReading, mask: npt.NDArray[np.bool_]) -> bool:
    """Whether a face's centre lies in the mask: of two people in a photo the better seen may be the other one."""
    x0, y0, x1, y1 = face.box
    row, column = int((y0 + y1) / 2), int((x0 + x1) / 2)
    return 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1] and bool(mask[row, column])
