"""Routes for programs: where a persona or a set of posts comes from, as the records have it today."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from studio.application import Studio
from studio.domain.persona import Persona
from studio.domain.posts import PostSet
from studio.domain.rights import Lineage
from studio.library.results import find_result
from studio.workflows.rights import lineage_of_persona, lineage_of_set

__all__ = ["add_rights"]

Download = Annotated[bool, Query(description="As a file to be saved.")]


def add_rights(api: APIRouter, studio: Studio, owner_of: Callable[[Request], str]) -> None:
    """`owner_of` says whose request it is."""

    @api.get("/personas/{persona}/lineage")
    def persona_lineage(persona: str, request: Request, response: Response, download: Download = False) -> Lineage:
        """Return whom and what a persona is made of, with what consents and licences say today."""
        owner = owner_of(request)
        found = find_result(studio.records, studio.store, owner, Persona, persona)
        _name(response, found.id, download)
        return lineage_of_persona(studio, owner, found)

    @api.get("/sets/{post_set}/lineage")
    def set_lineage(post_set: str, request: Request, response: Response, download: Download = False) -> Lineage:
        """Return the same of a set of posts, with its place, goods, photos of people, and the models that drew it."""
        owner = owner_of(request)
        found = find_result(studio.records, studio.store, owner, PostSet, post_set)
        _name(response, found.id, download)
        return lineage_of_set(studio, owner, found)


def _name(response: Response, key: str, download: bool) -> None:
    """Let a browser save the answer under a name of its own."""
    if download:
        name = "".join(sign for sign in key if sign.isascii() and (sign.isalnum() or sign in "-_"))
        response.headers["Content-Disposition"] = f'attachment; filename="lineage-{name}.json"'
