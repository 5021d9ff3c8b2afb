"""Captions of a set: title, text and tags for a platform, and a caption for each post."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from studio.domain.bundle import MOST_BODY, MOST_TITLE, Tag
from studio.domain.platforms import find_platform
from studio.domain.posts import PostSet
from studio.domain.values import Caption, FileKey, Request, Result, Seed

__all__ = ["MOST_PRODUCT", "MOST_VOICE", "Captions", "CaptionsRequest", "Writer"]

MOST_PRODUCT, MOST_VOICE = 5000, 500
Writer = Literal["templates", "endpoint"]


class CaptionsRequest(Request):
    """What is written to a set's posts, as they are or as a person arranged them.

    `product` is what the merchant says of the goods: nothing else is claimed of them. `voice` describes how to write,
    in free words. `language` "" is the platform's. `writer` is the studio's own sentences, or the language model of the
    settings; another `seed`, other words.
    """

    post_set: PostSet
    platform: str = Field("xiaohongshu", min_length=1, max_length=40)
    language: Literal["", "en", "zh"] = ""
    product: str = Field("", max_length=MOST_PRODUCT)
    voice: str = Field("", max_length=MOST_VOICE)
    writer: Writer = "templates"
    seed: Seed = 1

    @model_validator(mode="after")
    def _check(self) -> CaptionsRequest:
        find_platform(self.platform)
        return self

    def check_before(self) -> None:
        self.post_set.check_has_posts()


class Captions(Result):
    """`captions` go with the posts of these `pictures`, wherever they stand by now. `language` is what they are
    written in, and `left_out` are sentences of the language model that claimed what the product's text does not say.
    """

    kind: ClassVar[str] = "captions"

    post_set: str
    platform: str
    language: Literal["en", "zh"]
    writer: Writer
    title: Annotated[str, Field(max_length=MOST_TITLE)]
    body: Annotated[str, Field(max_length=MOST_BODY)]
    tags: tuple[Tag, ...]
    pictures: tuple[FileKey, ...] = ()
    captions: tuple[Caption, ...]
    left_out: tuple[str, ...] = ()
