"""Routes for styles: those that the asker's posts can be drawn in."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from pydantic import JsonValue

from studio.application import Studio
from studio.library.styles import styles_of, why_not
from studio.texts.texts import Texts, choose_language

__all__ = ["add_styles"]


def add_styles(api: APIRouter, studio: Studio, owner_of: Callable[[Request], str]) -> None:
    """`owner_of` says whose request it is."""

    @api.get("/styles")
    def list_styles(request: Request) -> list[dict[str, JsonValue]]:
        """Return the styles that come along and your own, with their cards; `why_not` says why posts cannot
        be drawn in one now (another drawing model, a consent that was withdrawn), "" where they can.
        """
        texts, owner = Texts(choose_language(request.headers.get("accept-language", ""))), owner_of(request)
        rows: list[dict[str, JsonValue]] = []
        for style in styles_of(studio.library, owner):
            why = why_not(studio.library, studio.settings, owner, style)
            rows.append({**style.model_dump(mode="json"), "why_not": "" if why is None else texts.error(why)})
        return rows
