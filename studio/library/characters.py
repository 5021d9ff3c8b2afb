"""Photos of a character as they are kept: checked, the person in them found, both stored. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipelines.adapters.character_photos import LEAST_PX
from pipelines.errors import BadInput
from pipelines.pictures import load_goods
from pipelines.references.cutout import find_subject, on_plain, reaches_edge
from pipelines.references.salient import load_salient
from studio.domain.character import CLOTHES, HEAD, MOST_PHOTOS, Character, CharacterPhoto, Part, Worn
from studio.library.grants import grant
from studio.library.library import Library
from studio.library.scenes import get_mask, put_mask

if TYPE_CHECKING:
    from personas.measures.regions import PictureReader, Regions

__all__ = ["SeenPhoto", "add_character", "find_person", "look_at_photos", "read_worn"]


_LEAST_PERSON = 0.01  # of a photo: less is a speck that is taken for somebody
_WORN = ("outfit", "outfit_colour")


def add_character(
    library: Library,
    photos: Sequence[Path],
    owner: str,
    clothes: Path | None = None,
    *,
    reader: PictureReader | None = None,
    **how: Any,
) -> Character:
    """Check and store photos of one person, cut out; `how` are the other fields of a Character. A `reader` is one that
    knows such pictures.

    Of the photo of `clothes` nothing but what is worn or held is ever seen, and of the others nothing of that. Raises
    BadPicture, and BadInput where there are too many, where one is too small, or nobody is found in it.
    """
    every = [*photos, *([] if clothes is None else [clothes])]
    if not photos or len(every) > MOST_PHOTOS:
        raise BadInput("character_photo_count", count=len(every) if photos else 0, most=MOST_PHOTOS)
    kept = []
    for path in every:
        image, alpha = load_goods(path)
        if min(image.shape[:2]) < LEAST_PX:
            raise BadInput("character_photo_small", height=image.shape[0], width=image.shape[1], least=LEAST_PX)
        mask = find_person(library, image, alpha, reader)
        parts: tuple[Part, ...] = () if clothes is None else CLOTHES if path is clothes else HEAD
        picture, kept_mask = library.store.put_picture(image), put_mask(library, mask)
        kept.append(CharacterPhoto(picture=picture, mask=kept_mask, parts=parts))
    character = Character.make(photos=tuple(kept), **how)
    grant(library.records, owner, character.file_keys())
    return character


def read_worn(library: Library, reader: PictureReader, character: Character) -> Worn | None:
    """Return what photos show somebody in, in the words of shots, as the reader, which must know such pictures, reads
    the one that shows most of the clothes, of several the one that it is surest of; None where none is for them.
    """
    from personas.body_regions import body_regions  # scipy takes its time

    shown = [photo.picture for photo in character.photos if not photo.parts or "torso" in photo.parts]
    read = reader.read([library.store.get_picture(key) for key in shown]) if shown else ()
    able = [regions for regions in read if all(name in regions.attributes for name in _WORN)]
    if not able:
        return None

    def most(regions: Regions) -> tuple[int, float]:
        parts = body_regions(regions)[1]
        return sum(part in parts for part in CLOTHES[:3]), min(regions.probabilities[name] for name in _WORN)

    best = max(able, key=most)
    return Worn(**{name: best.attributes[name] for name in _WORN})


@dataclass(frozen=True, eq=False)
class SeenPhoto:
    """A photo uint8 [h, w, 3], who is in it, bool [h, w], and which parts of them are seen and wanted."""

    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_]
    parts: frozenset[str]


def look_at_photos(library: Library, reader: PictureReader | None, character: Character) -> list[SeenPhoto]:
    """Return what is found in each photo; no parts without a reader that knows such pictures."""
    from personas.body_regions import body_regions  # scipy takes its time

    found = []
    for photo in character.photos:
        image = library.store.get_picture(photo.picture)
        mask = find_person(library, image) if photo.mask is None else get_mask(library, photo.mask)
        parts = frozenset[str]()
        if reader is not None:
            (read,) = reader.read([image])
            _, every = body_regions(read)
            parts = frozenset(
                p for p, part in every.items() if (part & mask).any() and (not photo.parts or p in photo.parts)
            )
        found.append(SeenPhoto(image, mask, parts))
    return found


def find_person(
    library: Library,
    image: npt.NDArray[np.uint8],
    alpha: npt.NDArray[np.bool_] | None = None,
    reader: PictureReader | None = None,
) -> npt.NDArray[np.bool_]:
    """Return where the person of a photo uint8 [h, w, 3] is, bool [h, w]: where `alpha` says so, else where the cutter
    of the settings finds somebody, else where a `reader` that knows such pictures does, else whatever is before a plain
    background, else whatever is not the background.

    Raises BadInput where nobody is found, and where only the last is left and the person reaches the photo's edges:
    hair and shoulders would be taken for background.
    """
    find = None if library.cutter is None or alpha is not None else load_salient(library.cutter).find
    by_colour = alpha is None and find is None
    if by_colour and reader is not None:
        (read,) = reader.read([image])
        if read.person.mean() >= _LEAST_PERSON and read.head.any():
            return read.person
    if by_colour and (plain := on_plain(image)) is not None:
        return plain
    try:
        found = find_subject(image, alpha, find)
    except BadInput as error:
        if error.code != "goods_not_cut_out":
            raise
        raise BadInput("character_not_cut_out") from error
    if by_colour and reaches_edge(found):
        raise BadInput("character_reaches_edge")
    return found
