"""An album as archives: all its sets and single posts, in its order, for one platform or several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue, model_validator

from pipelines.errors import BadInput, StudioError, error_from_json
from pipelines.file_names import file_name
from studio.domain.bundle import ExportRequest
from studio.domain.names import MOST_NAME
from studio.domain.platforms import find_platform
from studio.domain.posts import PostSet
from studio.domain.values import FileKey, Request, Result, Value, later_field

__all__ = ["MOST_SETS", "AlbumArchive", "AlbumExport", "AlbumExportRequest", "LeftOutSet", "folder_of"]

MOST_SETS = 60
_MOST_PLATFORMS = 12


class AlbumExportRequest(Request):
    """`sets` are the album's in its order, as a person arranged them, those of single posts with these alone.

    Each platform has an archive of its own; `together` puts all into one, with a folder each. `content` is that of an
    `ExportRequest`, and so are `unlabelled` and `allow_flagged`.
    """

    name: str = Field(min_length=1, max_length=MOST_NAME)
    sets: tuple[PostSet, ...] = Field(min_length=1, max_length=MOST_SETS)
    platforms: tuple[Annotated[str, Field(max_length=40)], ...] = Field(min_length=1, max_length=_MOST_PLATFORMS)
    content: Literal["bundle", "pictures"] = "bundle"
    together: bool = False
    unlabelled: bool = later_field(False)
    allow_flagged: bool = later_field(False)

    @model_validator(mode="after")
    def _check(self) -> AlbumExportRequest:
        for platform in self.platforms:
            find_platform(platform)
        return self

    def check_before(self) -> None:
        """Raise what is wrong with the first set where no set suits any of the platforms."""
        wrong: list[StudioError] = []
        for platform in self.platforms:
            for post_set in self.sets:
                try:
                    self.of_set(post_set, platform).check_before()
                except BadInput as error:
                    wrong.append(error)
                else:
                    return
        raise wrong[0]

    def of_set(self, post_set: PostSet, platform: str) -> ExportRequest:
        """Return the request of one set's bundle."""
        return ExportRequest.make(
            owner=self.owner, post_set=post_set, platform=platform, content=self.content, unlabelled=self.unlabelled,
            allow_flagged=self.allow_flagged,
        )  # fmt: skip


class AlbumArchive(Value):
    """A zip in the store: `platforms` are those that are in it, `name` what it is called when it is fetched."""

    platforms: tuple[str, ...]
    name: str
    bundle: FileKey
    bytes: int
    pictures: int


class LeftOutSet(Value):
    """A set that a platform does not take; `raised` is the error as JSON."""

    post_set: str
    name: str
    platform: str
    raised: Mapping[str, JsonValue]

    @property
    def error(self) -> StudioError:
        return error_from_json(self.raised)


class AlbumExport(Result):
    """The archives of an album, of the sets of these ids, and what of it is in none of them."""

    kind: ClassVar[str] = "archive"

    name: str
    post_sets: tuple[str, ...]
    archives: tuple[AlbumArchive, ...] = Field(min_length=1)
    left_out: tuple[LeftOutSet, ...] = ()


def folder_of(number: int, post_set: PostSet) -> str:
    """Return what a set's folder in an archive is called; `number` from 1 is its place in the album."""
    asked = post_set.request
    return file_name(f"{number:02d} {asked.persona.name} {asked.scene.name}", "", f"{number:02d}")
