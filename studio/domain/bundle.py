"""A bundle: a set of posts as a zip for a platform."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, model_validator

from pipelines.file_names import file_name
from studio.domain.platforms import check_fits_platform, find_platform
from studio.domain.posts import PostSet
from studio.domain.values import FileKey, Request, Result

__all__ = ["Bundle", "ExportRequest", "bundle_name"]


class ExportRequest(Request):
    """`post_set` as it was drawn, or as a person arranged it; `platform` is an id of the platforms' file.

    `title` and `body` go before the captions.
    """

    post_set: PostSet
    platform: str = Field("xiaohongshu", min_length=1, max_length=40)
    title: str = Field("", max_length=300)
    body: str = Field("", max_length=10_000)

    @model_validator(mode="after")
    def _check(self) -> ExportRequest:
        find_platform(self.platform)
        return self

    def check_before(self) -> None:
        check_fits_platform(find_platform(self.platform), len(self.post_set.posts), self.title, self.body)


class Bundle(Result):
    """A zip in the store: `name` is what it is called when it is fetched, `post_set` the set's id."""

    kind: ClassVar[str] = "export"

    post_set: str
    platform: str
    name: str
    bundle: FileKey
    bytes: int
    pictures: int


def bundle_name(post_set: PostSet, platform: str) -> str:
    """Return what a set's bundle is called where nobody says otherwise."""
    return file_name(post_set.request.persona.name, f"-{platform}-{post_set.id[:6]}.zip", "persona")
