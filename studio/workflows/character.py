"""Photos that say who is shown in posts, read as the backbone's character adapter reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.adapters.character import character_of
from pipelines.adapters.character_photos import CharacterPhoto
from pipelines.references.character import CharacterReference
from studio.application import Studio
from studio.library.characters import find_person
from studio.library.consents import check_photos
from studio.library.scenes import get_mask

if TYPE_CHECKING:
    from studio.domain.posts import PostRequest

__all__ = ["photos_of"]


def photos_of(studio: Studio, request: PostRequest) -> CharacterReference | None:
    """Return what the request's photos show the model, None where there are none or they count nothing.

    The adapter is loaded now, so that what is drawn at once is planned beside it. Raises ModelMissing where the
    backbone has none, BadInput where it does not fit, where nobody is found in a photo, and where the consent is over.
    """
    character = request.character
    if character is None:
        return None
    if request.character_consent is not None:  # a bundle does not tell of it
        check_photos(studio.records, request.owner, character, request.character_consent)
    if character.strength == 0:
        return None
    character_of(studio.backbone)
    photos = []
    for photo in character.photos:
        image = studio.store.get_picture(photo.picture)
        mask = find_person(studio.library, image) if photo.mask is None else get_mask(studio.library, photo.mask)
        photos.append(CharacterPhoto(image, mask))
    return CharacterReference(tuple(photos), character.scales, character.strength, character.start, character.end)
