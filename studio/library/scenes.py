"""Scenes as they are kept: a photo of a place and the mask of its landmark, checked and stored. No torch."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.errors import BadInput
from pipelines.pictures import load_goods, load_mask, load_scene
from pipelines.references.cutout import Place, cut_out
from studio.application import Studio
from studio.library.index import shelve
from studio.library.records import SceneRecord, content_id
from studio.settings import ASSETS

__all__ = [
    "add_bundled", "add_goods", "add_scene", "bundled_scenes", "default_scene", "get_mask", "put_mask", "scenes_of",
]  # fmt: skip

_BUNDLED = ASSETS / "scenes"
_FIRST = "cafe"


def add_scene(studio: Studio, photo: Path, mask: Path | None, name: str, owner: str = "me") -> dict[str, Any]:
    """Check and store a scene's photo and its landmark mask; the scene as JSON. Raises BadPicture."""
    scene = load_scene(photo)
    landmark = None
    if mask is not None:
        landmark = put_mask(studio, load_mask(mask, (scene.image.shape[0], scene.image.shape[1])))
    picture = studio.store.put_picture(scene.image)
    value = {"name": name, "sha256": scene.sha256, "photo": picture, "landmark": landmark}
    key = content_id(value)
    studio.records.keep(
        SceneRecord(id=key, owner=owner, name=name, photo=picture, landmark=landmark, sha256=scene.sha256)
    )
    studio.records.share(owner, [picture, landmark])
    shelve(studio.records, owner, "scene", {"id": key, **value})
    return {"id": key, **value}


def add_goods(studio: Studio, photo: Path, name: str, place: Place | None = None) -> dict[str, Any]:
    """Check, cut out and store a product's photo; the goods as JSON. Raises BadPicture, BadInput.

    Without a `place` they stand where the framing of each shot leaves room; `name` is what prompts call them.
    """
    image, alpha = load_goods(photo)
    goods = cut_out(image, alpha)
    return {
        "name": name,
        "sha256": hashlib.sha256(photo.read_bytes()).hexdigest(),
        "picture": studio.store.put_picture(goods.image),
        "mask": put_mask(studio, goods.mask),
        "place": None if place is None else asdict(place),
    }


def bundled_scenes() -> list[str]:
    """Names of the places that come with the studio."""
    return sorted(p.stem for p in _BUNDLED.glob("*.png") if not p.stem.endswith("_landmark"))


def add_bundled(studio: Studio, name: str, owner: str) -> None:
    """Give the owner a place that comes with the studio. Raises BadInput."""
    if name not in bundled_scenes():
        raise BadInput("place_unknown", place=name)
    add_scene(studio, _BUNDLED / f"{name}.png", _BUNDLED / f"{name}_landmark.png", name, owner)


def default_scene(studio: Studio, owner: str) -> None:
    """Who has no scene gets the café, so that nobody has to paint before the first post."""
    if not scenes_of(studio, owner):
        add_bundled(studio, _FIRST, owner)


def scenes_of(studio: Studio, owner: str) -> list[dict[str, Any]]:
    """The owner's scenes as `add_scene` gave them, newest first."""
    names = ("id", "name", "sha256", "photo", "landmark")
    rows = studio.records.find(SceneRecord, owner)[::-1]
    return [{name: getattr(row, name) for name in names} for row in rows]


def put_mask(studio: Studio, mask: npt.NDArray[np.bool_]) -> str:
    return studio.store.put_picture(np.repeat(mask[..., None] * np.uint8(255), 3, axis=2))


def get_mask(studio: Studio, key: str) -> npt.NDArray[np.bool_]:
    return np.asarray(studio.store.get_picture(key)[..., 0] >= 128)
