"""Scenes as they are kept: a photo of a place and the mask of its landmark, checked and stored. No torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from pipelines.errors import BadInput
from pipelines.masks import load_mask, load_weights
from pipelines.pictures import load_goods, load_scene
from pipelines.references.cutout import Place, cut_out
from pipelines.references.salient import load_salient
from pipelines.shapes import Box, crop_pixels
from studio.domain.scene import Crop, Goods, MorePlace, ReferenceDials, Scene, check_crops
from studio.domain.scene_pack import ScenePack
from studio.domain.values import FileKey
from studio.library.grants import grant
from studio.library.index import index_result
from studio.library.library import Library
from studio.library.records import MarkRecord, SceneRecord, content_id
from studio.library.results import scene_of
from studio.settings import ASSETS

__all__ = [
    "add_bundled", "add_dials", "add_goods", "add_picture", "add_place", "add_scene",
    "add_weights", "bundled_scenes", "change_scene", "default_scene", "get_mask", "keep_pack",
    "mask_share", "pack_of", "put_mask", "scenes_of",
]  # fmt: skip

_BUNDLED = ASSETS / "scenes"
_FIRST = "cafe"


def add_scene(
    library: Library, photo: Path, mask: Path | None, name: str, owner: str = "me", crops: Sequence[Crop] = ()
) -> Scene:
    """Check and store a scene's photo, its landmark's mask, and what is shown of it by shape.

    Raises BadPicture, BadInput.
    """
    scene = load_scene(photo)
    height, width = scene.image.shape[:2]
    check_crops(crops, height, width)
    landmark = None
    if mask is not None:
        landmark = put_mask(library, load_mask(mask, (height, width), scene.orientation))
    picture = library.store.put_picture(scene.image)
    return _keep(library, owner, name, scene.sha256, picture, landmark, crops)


def change_scene(
    library: Library,
    scene: Scene,
    owner: str,
    *,
    name: str | None = None,
    mask: Path | Literal["keep", "none"] = "keep",
    crops: Sequence[Crop] | None = None,
) -> Scene:
    """Return the scene with another name, mask or other crops; None and "keep" leave them as they are.

    Sets that were drawn keep the scene that they were drawn in, so this is another one; the old one goes to the trash.
    Raises BadPicture, BadInput.
    """
    height, width = library.store.get_picture(scene.photo).shape[:2]
    landmark = scene.landmark if mask == "keep" else None
    if isinstance(mask, Path):
        landmark = put_mask(library, load_mask(mask, (height, width)))
    wanted = scene.crops if crops is None else tuple(crops)
    check_crops(wanted, height, width)
    changed = _keep(library, owner, scene.name if name is None else name, scene.sha256, scene.photo, landmark, wanted)
    if changed.id != scene.id:
        if (pack := pack_of(library, owner, scene.id)) is not None:
            keep_pack(library, owner, changed.id, pack)
        _mark_trashed(library, owner, scene, True)
    return changed


def mask_share(mask: npt.NDArray[np.bool_], box: Box | None) -> float:
    """Return how much of what a mask bool [h, w] shows lies in a box."""
    left, top, right, bottom = crop_pixels(box or (0, 0, 1, 1), *mask.shape)
    return float(mask[top:bottom, left:right].sum()) / max(1, int(mask.sum()))


def _keep(
    library: Library, owner: str, name: str, sha256: str, photo: FileKey, landmark: FileKey | None,
    crops: Sequence[Crop],
) -> Scene:  # fmt: skip
    told = {"name": name, "sha256": sha256, "photo": photo, "landmark": landmark}
    rows = [crop.model_dump(mode="json") for crop in crops]
    key = content_id(told | ({"crops": rows} if rows else {}))
    kept = Scene(id=key, name=name, sha256=sha256, photo=photo, landmark=landmark, crops=tuple(crops))
    library.records.keep(SceneRecord(owner=owner, id=kept.id, crops=rows or None, **told))
    _mark_trashed(library, owner, kept, False)
    grant(library.records, owner, kept.file_keys())
    index_result(library.records, owner, kept)
    return kept


def keep_pack(library: Library, owner: str, scene: str, pack: ScenePack) -> None:
    """Keep what posts in a scene (its id) begin with."""
    library.records.keep(MarkRecord(id=f"pack:{scene}", owner=owner, facts=pack.model_dump(mode="json")))


def pack_of(library: Library, owner: str, scene: str) -> ScenePack | None:
    """Return what posts in a scene (its id) begin with, None where it came alone or of a newer studio."""
    kept = library.records.get(MarkRecord, f"pack:{scene}", owner)
    if kept is None:
        return None
    try:
        return ScenePack.model_validate_json(json.dumps(dict(kept.facts)))
    except (ValidationError, BadInput):
        return None


def _mark_trashed(library: Library, owner: str, scene: Scene, trashed: bool) -> None:
    known = library.records.get(MarkRecord, f"scene:{scene.id}", owner)
    facts = {} if known is None else dict(known.facts)
    if trashed or facts.get("trashed"):
        library.records.keep(MarkRecord(id=f"scene:{scene.id}", owner=owner, facts=facts | {"trashed": trashed}))


def add_goods(library: Library, photo: Path, name: str, owner: str = "me", place: Place | None = None) -> Goods:
    """Check, cut out and store a product's photo; its owner may see it. Raises BadPicture, BadInput.

    Without a `place` they stand where the framing of each shot leaves room; `name` is what prompts call them.
    Raises ModelMissing where the network that shall find them is not there.
    """
    image, alpha = load_goods(photo)
    find = None if library.cutter is None or alpha is not None else load_salient(library.cutter).find
    cut = cut_out(image, alpha, find)
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


def add_bundled(library: Library, name: str, owner: str) -> Scene:
    """Give the owner a place that comes with the studio. Raises BadInput."""
    if name not in bundled_scenes():
        raise BadInput("place_unknown", place=name)
    return add_scene(library, _BUNDLED / f"{name}.png", _BUNDLED / f"{name}_landmark.png", name, owner)


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
