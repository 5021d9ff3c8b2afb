"""Routes for scene packs: those that come along, one made of a scene, one brought as a file."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines.errors import BadInput
from pipelines.file_names import file_name
from studio.application import Studio
from studio.domain.posts import PostSet
from studio.domain.scene import Scene
from studio.domain.scene_pack import ScenePack
from studio.domain.values import Id, Sha256
from studio.library.results import find_result
from studio.library.scene_packs import add_bundled_pack, add_pack, bundled_packs, choose_pack, newest_drawn, write_pack
from studio.library.uploads import find_upload
from studio.texts.texts import choose_language

__all__ = ["add_packs"]


class PackBody(BaseModel):
    """A pack's file as a token of POST /uploads, or the id of one that comes with the studio."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    upload: Sha256 | None = None
    pack: str | None = Field(None, max_length=60)

    @model_validator(mode="after")
    def _check(self) -> PackBody:
        if (self.upload is None) is (self.pack is None):
            raise BadInput("pack_file_or_name")
        return self


class PackKept(BaseModel):
    """The pack's scene, which posts can be drawn in, and what they begin with."""

    scene: Scene
    pack: ScenePack


class PackSaid(BaseModel):
    """A pack that comes with the studio, in the language that was asked for."""

    id: str
    name: str
    place: str
    pack: ScenePack


def add_packs(api: APIRouter, studio: Studio, owner_of: Callable[[Request], str]) -> None:
    """`owner_of` says whose request it is."""
    library = studio.library

    @api.get("/packs")
    def packs(request: Request) -> list[PackSaid]:
        """Return the scene packs that come with the studio."""
        language = choose_language(request.headers.get("accept-language", ""))
        return [
            PackSaid(id=row.id, name=row.names[language], place=row.place, pack=row.spoken(language))
            for row in bundled_packs()
        ]

    @api.post("/packs", status_code=201)
    def unpack(body: PackBody, request: Request) -> PackKept:
        """Keep the scene of a pack, and say what posts in it begin with."""
        owner = owner_of(request)
        if body.upload is not None:
            scene, pack = add_pack(library, find_upload(studio.settings, owner, body.upload), owner)
        else:
            language = choose_language(request.headers.get("accept-language", ""))
            scene, pack = add_bundled_pack(library, str(body.pack), owner, language)
        return PackKept(scene=scene, pack=pack)

    @api.get("/scenes/{key}/pack", response_class=Response)
    def pack(key: str, request: Request, post_set: Id | None = None) -> Response:
        """Return a scene as a pack's file; its shots are those of the `post_set`, else of the newest drawn in it."""
        owner = owner_of(request)
        scene = find_result(studio.records, studio.store, owner, Scene, key)
        drawn = newest_drawn(library, owner, scene)
        if post_set is not None:
            drawn = find_result(studio.records, studio.store, owner, PostSet, post_set)
        data = write_pack(library, scene, choose_pack(library, scene, owner, drawn))
        name = quote(file_name(scene.name, ".zip"), safe="")
        said = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}", "X-Content-Type-Options": "nosniff"}
        return Response(data, media_type="application/zip", headers=said)
