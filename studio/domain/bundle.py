"""A bundle: a set of posts as a zip for a platform."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from pipelines.errors import BadInput
from pipelines.file_names import file_name
from studio.domain.platforms import Platform, check_fits_platform, find_platform
from studio.domain.posts import PostSet
from studio.domain.values import FileKey, Request, Result, Value, later_field

__all__ = [
    "MOST_BODY", "MOST_TITLE", "Bundle", "CheckRequest", "CheckedPicture", "Corner", "ExportCheck", "ExportRequest",
    "Part", "Tag", "bundle_name",
]  # fmt: skip

MOST_TITLE, MOST_BODY, _MOST_TAGS = 300, 10_000, 30
Tag = Annotated[str, Field(max_length=60)]
Part = Literal["face", "goods", "landmark", "person"]
"""What of a picture may be cut off or covered."""
Corner = Literal["", "bottom right", "bottom left", "top right", "top left", "below"]
"""Where a label that is seen stands; "": there is none."""


class ExportRequest(Request):
    """`post_set` as it was drawn, or as a person arranged it; `platform` is an id of the platforms' file.

    `title`, `body` and `tags` go before the captions. `content` is the whole bundle, or its pictures and captions only:
    nothing in it then tells what they were made from, which the studio alone remembers. `finish` brings the pictures to
    the platform's size with the upscaler, or does not; None: as the set asks for it. `unlabelled` is the user's word
    that they label what is published themselves: it alone leaves away the label that is seen (China's measures for
    labelling AI-generated content, Art. 9), and is kept with its day and owner. Labels for machines stay. So is
    `allow_flagged`, by which a picture leaves that the content checker would stop.
    """

    post_set: PostSet
    platform: str = Field("xiaohongshu", min_length=1, max_length=40)
    title: str = Field("", max_length=MOST_TITLE)
    body: str = Field("", max_length=MOST_BODY)
    tags: tuple[Tag, ...] = later_field((), max_length=_MOST_TAGS)
    content: Literal["bundle", "pictures"] = later_field("bundle")
    finish: bool | None = later_field(None)
    unlabelled: bool = later_field(False)
    allow_flagged: bool = later_field(False)

    @model_validator(mode="after")
    def _check(self) -> ExportRequest:
        find_platform(self.platform)
        return self

    @property
    def target(self) -> Platform:
        """Return the platform's row, with pictures of which only machines read the label where that is asked for."""
        row = find_platform(self.platform)
        return row.model_copy(update={"label": "hidden"}) if self.unlabelled and row.label == "visible" else row

    @property
    def picture_count(self) -> int:
        """Return how many pictures are exported: one of the goods alone where the background is white."""
        return 1 if find_platform(self.platform).white_background else len(self.post_set.posts)

    def check_before(self) -> None:
        self.post_set.check_has_posts()
        target = find_platform(self.platform)
        if target.white_background and self.post_set.request.goods is None:
            raise BadInput("white_background_without_goods", platform=target.words)
        check_fits_platform(target, self.picture_count, self.title, self.body, self.tags)
        self.check_word()

    def check_word(self) -> None:
        """Raise BadInput where pictures would have no label that is seen, and nobody took that upon them."""
        if self.target.label == "hidden" and not self.unlabelled:
            raise BadInput("unlabelled_without_word", platform=self.target.words)


class CheckRequest(ExportRequest):
    """The same, looked at before a bundle is made: each picture as the platform shows it, with its crop and label."""

    def check_word(self) -> None:
        """Nothing leaves the studio."""


class CheckedPicture(Value):
    """A picture's file as it would be exported. `corner` is where its label stands and `covers` what that lies on all
    the same; `cut` is what the platform's shape cuts off, `hidden` what lies under the platform's own buttons.
    `content_score` is the content checker's, in [0, 1], None where none is installed; `flagged`: it would stop the
    bundle.
    """

    picture: FileKey
    caption: str
    bytes: int
    corner: Corner = ""
    covers: tuple[Part, ...] = ()
    cut: tuple[Part, ...] = ()
    hidden: tuple[Part, ...] = ()
    content_score: float | None = later_field(None)
    flagged: bool = later_field(False)

    @property
    def is_fine(self) -> bool:
        return not (self.covers or self.cut or self.hidden or self.flagged)


class ExportCheck(Result):
    """All pictures of a set as a platform shows them."""

    kind: ClassVar[str] = "check"

    post_set: str
    platform: str
    pictures: tuple[CheckedPicture, ...]


class Bundle(Result):
    """A zip in the store: `name` is what it is called when it is fetched, `post_set` the set's id."""

    kind: ClassVar[str] = "export"

    post_set: str
    platform: str
    name: str
    bundle: FileKey
    bytes: int
    pictures: int
    content: Literal["bundle", "pictures"] = "bundle"


def bundle_name(post_set: PostSet, platform: str) -> str:
    """Return what a set's bundle is called where nobody says otherwise."""
    return file_name(post_set.request.persona.name, f"-{platform}-{post_set.id[:6]}.zip", "persona")
