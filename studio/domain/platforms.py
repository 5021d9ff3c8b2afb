"""Demands of each platform on a picture, from an editable data file with a source and a date per row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from pipelines.assets import ASSETS
from pipelines.errors import BadInput
from pipelines.shapes import Shape, nearest_shape
from pipelines.text_files import read_text_file

__all__ = [
    "Platform", "check_fits_platform", "find_platform", "load_platforms", "overlong",
    "tag_text", "text_length",
]  # fmt: skip

Unit = Literal["characters", "utf16", "half_ascii"]

_FILE = ASSETS / "platforms.json"


class Platform(BaseModel):
    """Sizes in pixels; 0 × 0 keeps the picture as it was drawn. `max_title` and `max_body` in the platform's own units
    (see `text_length`), 0: not known.

    `usual_pictures` is how many a page proposes. A picture that `embeds_recipe` (a PNG) tells its prompt, its donors
    and all else that it was made from: only for what is not published. `language` is that of its readers. `label` says
    whether pictures carry one that is seen, only the one that machines read, or none: a picture with a
    `white_background` is the goods' own photo, of which nothing was drawn. `strip`: a label that finds no free corner
    may stand on a strip below the picture. The platform's own buttons lie over `free_top` and `free_bottom` pixels.
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
    min_bytes: int = Field(0, ge=0)
    max_bytes: int = Field(gt=0)
    language: Literal["en", "zh"] = "en"
    label: Literal["visible", "hidden", "none"] = "visible"
    strip: bool = False
    white_background: bool = False
    free_top: int = Field(0, ge=0)
    free_bottom: int = Field(0, ge=0)
    max_title: int = Field(ge=0)
    max_body: int = Field(ge=0)
    title_unit: Unit = "characters"
    body_unit: Unit = "characters"
    max_tags: int = Field(0, ge=0)
    source: str
    date: str

    @model_validator(mode="after")
    def _check(self) -> Platform:
        if self.embeds_recipe and self.format != "PNG":
            raise ValueError("only a PNG can embed its recipe")
        if self.free_top + self.free_bottom >= self.height > 0:
            raise ValueError("nothing of the picture is free")
        if (self.label == "none") is not self.white_background:
            raise ValueError("what was drawn is labelled, and nothing else is")
        return self

    @property
    def words(self) -> dict[str, str]:
        """Return what it is called, by language."""
        return {"en": self.name_en, "zh": self.name_zh}

    @property
    def shape(self) -> Shape | None:
        """Return the shape of its pictures; None where they stay as they were drawn."""
        return nearest_shape(self.height, self.width) if self.width else None


@cache
def load_platforms() -> tuple[Platform, ...]:
    return TypeAdapter(tuple[Platform, ...]).validate_json(read_text_file(_FILE))


def find_platform(name: str) -> Platform:
    for platform in load_platforms():
        if platform.id == name:
            return platform
    raise BadInput("platform_unknown", name=name, platforms=[p.id for p in load_platforms()])


def text_length(text: str, unit: Unit) -> int:
    """Return how long a platform takes a text to be.

    "characters" are Unicode's code points; "utf16" counts what lies beyond the first 65536 (most emoji) twice;
    "half_ascii" counts two characters of ASCII as one and every other UTF-16 unit as one, rounded up.
    """
    if unit == "characters":
        return len(text)
    units = text.encode("utf-16-le", "surrogatepass")
    if unit == "utf16":
        return len(units) // 2
    ascii_count = sum(c.isascii() for c in text)
    return len(units) // 2 - ascii_count + (ascii_count + 1) // 2


def tag_text(tags: Sequence[str]) -> str:
    """Return tags as they are pasted: "#red dress" has no spaces inside on any platform."""
    return " ".join("#" + "".join(tag.split()).lstrip("#") for tag in tags if tag.strip(" #"))


def overlong(platform: Platform, title: str, body: str, tags: Sequence[str] = ()) -> tuple[tuple[str, int, int], ...]:
    """Which of "title", "body" and "tags", as they are exported, are more than the platform takes: length and limit,
    both in the platform's units. Tags stand in the body and count there, too.
    """
    whole = "\n".join(part for part in (body.strip(), tag_text(tags)) if part)
    lengths = (
        ("title", text_length(" ".join(title.split()), platform.title_unit), platform.max_title),
        ("body", text_length(whole, platform.body_unit), platform.max_body),
        ("tags", len(tags), platform.max_tags),
    )
    return tuple((name, length, most) for name, length, most in lengths if 0 < most < length)


def check_fits_platform(platform: Platform, count: int, title: str, body: str, tags: Sequence[str] = ()) -> None:
    """Raise BadInput where a platform does not take so many pictures, or a text of this length."""
    if not platform.min_pictures <= count <= platform.max_pictures:
        raise BadInput(
            "platform_picture_count", platform=platform.words, least=platform.min_pictures,
            most=platform.max_pictures, count=count,
        )  # fmt: skip
    for name, length, most in overlong(platform, title, body, tags):
        told = {"length": length, "most": most, "platform": platform.words}
        if name == "tags":
            raise BadInput("platform_tag_count", **told)
        raise BadInput("platform_text_too_long", text=name, **told)
