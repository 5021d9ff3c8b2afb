"""New takes of one post of a set: the same shot drawn again, a painted region drawn anew; and a set's strengths."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from personas.shots import Shot
from pipelines.errors import BadInput
from studio.domain.posts import MOST_SHOTS, Post, PostRequest, PostSet, Scores
from studio.domain.values import FileKey, Request, Result, Seed, Value

__all__ = ["FixRequest", "FixTake", "Strength", "Strengths", "StrengthsRequest", "Take", "VaryRequest", "VaryTake"]


def _check_number(post_set: PostSet, number: int) -> None:
    if not 0 <= number < len(post_set.posts):
        raise BadInput("post_number_unknown", number=number, count=len(post_set.posts))


class VaryRequest(Request):
    """`count` new takes of the post `number` of a set, with all that the set was asked for; only the seed differs.

    `shot` is what they show; None is what the post shows.
    """

    post_set: PostSet
    number: int
    seed: Seed
    count: int = Field(1, ge=1, le=MOST_SHOTS)
    shot: Shot | None = None

    @model_validator(mode="after")
    def _check(self) -> VaryRequest:
        _check_number(self.post_set, self.number)
        return self

    @property
    def asked(self) -> PostRequest:
        """The takes as a set's request."""
        post = self.post_set.posts[self.number]
        return self.post_set.request.model_copy(
            update={
                "shots": (self.shot or post.shot,) * self.count,
                "seed": self.seed,
                "seeds": (),
                "captions": (post.caption,) * self.count,
            }
        )

    @property
    def given(self) -> Post | None:
        """The post that panels are drawn around; None where shots are drawn alone."""
        return self.post_set.all_drawings[0].posts[0] if self.post_set.request.panels > 1 else None


class FixRequest(Request):
    """A painted region of a post is drawn anew. `mask` is a picture of any size, white where it was painted.

    `post` is the take that is shown, None the post `number` as it was drawn with its set. `strength` in [0.05, 1] is
    how much may change in the region.
    """

    post_set: PostSet
    number: int
    mask: FileKey
    seed: Seed
    strength: float = Field(0.8, ge=0.05, le=1)
    post: Post | None = None

    @model_validator(mode="after")
    def _check(self) -> FixRequest:
        _check_number(self.post_set, self.number)
        return self

    @property
    def shown(self) -> Post:
        return self.post or self.post_set.posts[self.number]

    @property
    def asked(self) -> PostRequest:
        """The fixed post as a set's request."""
        return self.post_set.request.model_copy(update={"shots": (self.shown.shot,)})


class Take(Result):
    """Other drawings of the post `number` of the set whose id is `post_set`."""

    post_set: str
    number: int
    posts: tuple[Post, ...] = Field(min_length=1)
    batches: tuple[tuple[int, ...], ...] = ()


class VaryTake(Take):
    """Other drawings of the same shot."""

    kind: ClassVar[str] = "vary"


class FixTake(Take):
    """A post with a region of it drawn anew; it keeps the origin of what it was."""

    kind: ClassVar[str] = "fix"


class StrengthsRequest(Request):
    """The first shot of `asked` with each of `scales` in place of its own."""

    asked: PostRequest
    scales: tuple[Annotated[float, Field(ge=0, le=2)], ...] = Field(min_length=1, max_length=12)

    def check_before(self) -> None:
        """Raises as that of a set does."""
        self.asked.check_before()


class Strength(Value):
    """The shot with the scene shown this strongly."""

    scale: float
    picture: FileKey
    scores: Scores


class Strengths(Result):
    """Drawings of one shot and seed with the scene shown ever more strongly."""

    kind: ClassVar[str] = "strengths"

    rows: tuple[Strength, ...]
