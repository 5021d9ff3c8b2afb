"""Routes that make uploaded files into what requests name: scenes, goods, pictures, weights and more places."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from pipelines.pictures import load_scene
from pipelines.references.cutout import Place
from pipelines.shapes import Box, Shape
from studio.application import Studio
from studio.domain.names import MOST_NAME, check_name
from studio.domain.scene import Crop, Goods, MorePlace, Scene
from studio.domain.values import FileKey, Id, Sha256
from studio.library.results import find_result
from studio.library.scenes import add_goods, add_picture, add_place, add_scene, add_weights, change_scene
from studio.library.uploads import find_upload

__all__ = ["add_pictures"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CropBody(_Body):
    """What of a photo is shown in pictures of a shape: left, top, right, bottom in shares of the photo."""

    shape: Shape
    box: Box

    def crop(self) -> Crop:
        """Raises BadInput for a box that is none in the photo."""
        return Crop.make(shape=self.shape, box=self.box)


class SceneBody(_Body):
    """A place's photo and the mask of its landmark (white where it is), both as tokens of POST /uploads. `crops` are
    what of the photo is shown, by shape; the middle where there is none."""

    photo: Sha256
    mask: Sha256 | None = None
    name: str = Field(min_length=1, max_length=MOST_NAME)
    crops: tuple[CropBody, ...] = ()


class SceneChange(_Body):
    """What becomes other on a scene; what is left out stays. `mask` "" takes the mask away."""

    mask: Sha256 | Literal[""] | None = None
    name: str | None = Field(None, min_length=1, max_length=MOST_NAME)
    crops: tuple[CropBody, ...] | None = None


class GoodsBody(_Body):
    """A product's photo as a token of POST /uploads; without a `place` each shot's framing says where it stands."""

    photo: Sha256
    name: str = Field("a product", min_length=1, max_length=200)
    place: Place | None = None


class PictureBody(_Body):
    """Any picture as a token of POST /uploads: a fix's mask, a design's template, a picture whose face is swapped."""

    picture: Sha256


class WeightsBody(_Body):
    """A grey picture as a token of POST /uploads: how much each part of the scene's photo counts."""

    picture: Sha256
    scene: Id


class PictureKept(_Body):
    """`key` is what requests name the picture by, and GET /files/{key} shows it."""

    key: FileKey


def add_pictures(api: APIRouter, studio: Studio, owner_of: Callable[[Request], str]) -> None:
    """`owner_of` says whose request it is."""
    library = studio.library

    @api.post("/scenes", status_code=201)
    def scene(body: SceneBody, request: Request) -> Scene:
        """Keep a place; the answer, or its id, is a post set's `scene`."""
        owner = owner_of(request)
        mask = None if body.mask is None else find_upload(studio.settings, owner, body.mask)
        photo = find_upload(studio.settings, owner, body.photo)
        return add_scene(library, photo, mask, check_name(body.name), owner, [crop.crop() for crop in body.crops])

    @api.patch("/scenes/{key}")
    def change(key: str, body: SceneChange, request: Request) -> Scene:
        """Change a place's mask, crops or name; the answer is another scene, and the old one lies in the trash."""
        owner = owner_of(request)
        place = find_result(studio.records, studio.store, owner, Scene, key)
        mask: Path | Literal["keep", "none"] = "keep" if body.mask is None else "none"
        if body.mask:
            mask = find_upload(studio.settings, owner, body.mask)
        name = None if body.name is None else check_name(body.name)
        crops = None if body.crops is None else [crop.crop() for crop in body.crops]
        return change_scene(library, place, owner, name=name, mask=mask, crops=crops)

    @api.post("/goods", status_code=201)
    def goods(body: GoodsBody, request: Request) -> Goods:
        """Cut a product out of its photo; the answer is a post set's `goods`."""
        owner = owner_of(request)
        return add_goods(library, find_upload(studio.settings, owner, body.photo), body.name, owner, body.place)

    @api.post("/pictures", status_code=201)
    def picture(body: PictureBody, request: Request) -> PictureKept:
        """Keep a picture."""
        owner = owner_of(request)
        image = load_scene(find_upload(studio.settings, owner, body.picture)).image
        return PictureKept(key=add_picture(library, image, owner))

    @api.post("/weights", status_code=201)
    def weights(body: WeightsBody, request: Request) -> PictureKept:
        """Keep the weights of a scene; the key is `weights` in a post set's `dials`."""
        owner = owner_of(request)
        where = find_result(studio.records, studio.store, owner, Scene, body.scene)
        return PictureKept(
            key=add_weights(library, where, find_upload(studio.settings, owner, body.picture), owner)
        )  # fmt: skip

    @api.post("/places", status_code=201)
    def place(body: PictureBody, request: Request) -> MorePlace:
        """Keep the photo of one more place; the answer is one of `references` in a post set's `dials`."""
        owner = owner_of(request)
        return add_place(library, find_upload(studio.settings, owner, body.picture), owner)
