"""Demands of each platform on a picture, from an editable data file with a source and a date per row."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from pipelines.errors import BadInput

__all__ = ["Platform", "find_platform", "load_platforms", "overlong"]

_FILE = Path(__file__).resolve().parents[2] / "assets" / "platforms.json"


class Platform(BaseModel):
    """Sizes in pixels; 0 × 0 keeps the picture as it was drawn. `max_title` and `max_body` in characters, 0: not known.

    `usual_pictures` is how many a page proposes. A picture that `embeds_recipe` (a PNG) tells its prompt, its donors
    and all else that it was made from: only for what is not published.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    name_en: str
    name_zh: str
    width: int = Field(ge=0)
    height: int = Field(ge=0)
    min_pictures: int = Field(ge=1)
    max_pictures: int = Field(ge=1)
    usual_pictures: int = Field(ge=1)
    format: Literal["JPEG", "PNG"]
    embeds_recipe: bool
    max_bytes: int = Field(gt=0)
    max_title: int = Field(ge=0)
    max_body: int = Field(ge=0)
    source: str
    date: str

    @model_validator(mode="after")
    def _check(self) -> Platform:
        if self.embeds_recipe and self.format != "PNG":
            raise ValueError("only a PNG can embed its recipe")
        return self


@cache
def load_platforms() -> tuple[Platform, ...]:
    return TypeAdapter(tuple[Platform, ...]).validate_json(_FILE.read_bytes())


def find_platform(name: str) -> Platform:
    for platform in load_platforms():
        if platform.id == name:
            return platform
    raise BadInput("platform_unknown", name=name, platforms=[p.id for p in load_platforms()])


def overlong(platform: Platform, title: str, body: str) -> tuple[tuple[str, int, int], ...]:
    """Which of "title" and "body" are longer than the platform takes, with their length and the limit."""
    lengths = (("title", len(title), platform.max_title), ("body", len(body), platform.max_body))
    return tuple((name, length, most) for name, length, most in lengths if 0 < most < length)
