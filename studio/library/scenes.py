"""Scenes as they are kept: a photo of a place and the mask of its landmark, checked and stored. No torch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipelines.errors import BadInput
from pipelines.masks import load_mask, load_weights
from pipelines.pictures import load_goods, load_scene
from pipelines.references.cutout import Place, cut_out
from studio.domain.scene import Goods, MorePlace, ReferenceDials, Scene
from studio.domain.values import FileKey
from studio.library.grants import grant
from studio.library.index import index_result
from studio.library.library import Library
from studio.library.records import SceneRecord, content_id
from studio.library.results import scene_of
from studio.settings import ASSETS

__all__ = [
    "add_bundled", "add_dials", "add_goods", "add_picture", "add_place", "add_scene",
    "add_weights", "bundled_scenes", "default_scene", "get_mask", "put_mask", "scenes_of",
]  # fmt: skip

_BUNDLED = ASSETS / "scenes"
_FIRST = "cafe"


def add_scene(library: Library, photo: Path, mask: Path | None, name: str, owner: str = "me") -> Scene:
    """Check and store a scene's photo and its landmark mask. Raises BadPicture."""
    scene = load_scene(photo)
    landmark = None
    if mask is not None:
        landmark = put_mask(library, load_mask(mask, (scene.image.shape[0], scene.image.shape[1]), scene.orientation))
    picture = library.store.put_picture(scene.image)
    told = {"name": name, "sha256": scene.sha256, "photo": picture, "landmark": landmark}
    added = Scene(id=content_id(told), name=name, sha256=scene.sha256, photo=picture, landmark=landmark)
    library.records.keep(SceneRecord(owner=owner, id=added.id, **told))
    grant(library.records, owner, added.file_keys())
    index_result(library.records, owner, added)
    return added


def add_goods(library: Library, photo: Path, name: str, owner: str = "me", place: Place | None = None) -> Goods:
    """Check, cut out and store a product's photo; its owner may see it. Raises BadPicture, BadInput.

    Without a `place` they stand where the framing of each shot leaves room; `name` is what prompts call them.
    """
    image, alpha = load_goods(photo)
    cut = cut_out(image, alpha)
    sha256 = hashlib.sha256(photo.read_bytes()).hexdigest()
    picture, mask = library.store.put_picture(cut.image), put_mask(library, cut.mask)
    goods = Goods.make(name=name, sha256=sha256, picture=picture, mask=mask, place=place)
    grant(library.records, owner, goods.file_keys())
    return goods


def add_picture(library: Library, image: npt.NDArray[np.uint8], owner: str) -> FileKey:
    """Store a picture that the owner brought."""
    key = library.store.put_picture(image)
    grant(library.records, owner, [key])
    return key


def add_weights(library: Library, scene: Scene, path: Path, owner: str) -> FileKey:
    """Store a grey picture over the scene's photo: how much each part of it counts. Raises BadPicture."""
    grey = load_weights(path, library.store.get_picture(scene.photo).shape[:2])
    return add_picture(library, np.repeat(grey[..., None], 3, axis=2), owner)


def add_place(library: Library, photo: Path, owner: str) -> MorePlace:
    """Check and store the photo of one more place to show. Raises BadPicture."""
    loaded = load_scene(photo)
    return MorePlace(sha256=loaded.sha256, photo=add_picture(library, loaded.image, owner))


def add_dials(
    library: Library,
    scene: Scene,
    weights: Path | None = None,
    also: Sequence[Path] = (),
    pool: int = 1,
    merge: float = 1.0,
    owner: str = "me",
) -> ReferenceDials:
    """Check and store how a scene is shown besides its scale: see `add_weights` and `add_place`.

    Raises BadPicture, BadInput.
    """
    key = None if weights is None else add_weights(library, scene, weights, owner)
    places = tuple(add_place(library, photo, owner) for photo in also)
    return ReferenceDials.make(weights=key, pool=pool, merge=merge, references=places)


def bundled_scenes() -> list[str]:
    """Names of the places that come with the studio."""
    return sorted(p.stem for p in _BUNDLED.glob("*.png") if not p.stem.endswith("_landmark"))


def add_bundled(library: Library, name: str, owner: str) -> None:
    """Give the owner a place that comes with the studio. Raises BadInput."""
    if name not in bundled_scenes():
        raise BadInput("place_unknown", place=name)
    add_scene(library, _BUNDLED / f"{name}.png", _BUNDLED / f"{name}_landmark.png", name, owner)


def default_scene(library: Library, owner: str) -> None:
    """Give the café to an owner without a scene, so that nobody has to paint before the first post."""
    if not scenes_of(library, owner):
        add_bundled(library, _FIRST, owner)


def scenes_of(library: Library, owner: str) -> list[Scene]:
    """The owner's scenes, newest first."""
    return [scene_of(row) for row in library.records.find(SceneRecord, owner)[::-1]]


def put_mask(library: Library, mask: npt.NDArray[np.bool_]) -> FileKey:
    return library.store.put_picture(np.repeat(mask[..., None] * np.uint8(255), 3, axis=2))


def get_mask(library: Library, key: str) -> npt.NDArray[np.bool_]:
    return np.asarray(library.store.get_picture(key)[..., 0] >= 128)
