"""Drafts: what a person filled a form with and has not asked for yet. It may be wrong: nothing is refused, or lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from studio.domain.posts import MOST_AGAIN, USUAL_RETAKES, SetSettings
from studio.domain.values import Stored, Value
from studio.texts.texts import Language

__all__ = ["OWN_LIST", "PostsDraft", "ShotsDraft", "keep_valid"]

OWN_LIST = "own"
"""The template of shots that a person brought: nothing proposes other ones."""
Rows = tuple[tuple[Annotated[str, Field(max_length=1000)], ...], ...]


class ShotsDraft(Value):
    """The table of shots as it was typed: `rows` of cells in `language`, which the `template` proposed as the set of
    number `again`; and `lines` that were pasted. `fresh`: the next press asks for another set.
    """

    template: str = Field("mixed", max_length=40)
    count: int = Field(9, ge=1, le=1000)
    again: int = Field(0, ge=0, le=MOST_AGAIN)
    fresh: bool = True
    language: Language = "en"
    rows: Rows = ()
    lines: str = Field("", max_length=20_000)


class PostsDraft(Stored):
    """The posts page. `persona` and `scene` are ids, "" for none; `recalled` is the last link's upload that filled it,
    so that what was changed since then stays when the page is loaded again.
    """

    platform: str = Field("xiaohongshu", max_length=60)
    persona: str = Field("", max_length=64)
    scene: str = Field("", max_length=64)
    shots: ShotsDraft = ShotsDraft()
    settings: SetSettings = SetSettings(retakes=USUAL_RETAKES)
    recalled: str = Field("", max_length=200)


def keep_valid(facts: Mapping[str, Any]) -> SetSettings:
    """Return the settings of these fields; one that cannot be kept is as usual."""
    told = dict(facts)
    while True:
        try:
            return SetSettings(**told)
        except ValidationError as error:
            wrong = {str(row["loc"][0]) for row in error.errors(include_url=False) if row["loc"]}
            if not wrong & told.keys():
                return SetSettings()
            told = {name: value for name, value in told.items() if name not in wrong}
