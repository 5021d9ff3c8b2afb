"""Routes for votes: what of a design's candidates, and which posts, the owner likes and which not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines.errors import BadInput
from studio.application import Studio
from studio.domain.design import Design
from studio.domain.posts import post_thing
from studio.domain.values import FileKey, Id
from studio.library.results import find_result
from studio.library.votes import Vote, candidates_of, vote_candidate, vote_post, votes_of_design

__all__ = ["add_votes"]


class VoteBody(BaseModel):
    """A vote on the candidate `number` of a `design`, or on the post `number` of a set (`post_set`), from 0; the same
    again changes nothing, "none" takes it back.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    vote: Vote
    number: Annotated[int, Field(ge=0)]
    design: Id | None = None
    post_set: Id | None = None

    @model_validator(mode="after")
    def _check(self) -> VoteBody:
        if (self.design is None) is (self.post_set is None):
            raise BadInput("vote_on_one")
        return self


class VoteSaid(BaseModel):
    """A vote that is noted; `picture` is the candidate's, null for a post's."""

    number: int
    vote: Vote
    picture: FileKey | None


def add_votes(api: APIRouter, studio: Studio, owner_of: Callable[[Request], str]) -> None:
    """`owner_of` says whose request it is."""
    records = studio.records

    def pictures(owner: str, key: str) -> tuple[FileKey, ...]:
        design = find_result(records, studio.store, owner, Design, key)
        return candidates_of(records, studio.store, owner, design)

    @api.get("/votes")
    def votes(request: Request, design: Annotated[str, Query(max_length=64)]) -> list[VoteSaid]:
        """Return the votes on a design's candidates, those drawn later among them."""
        owner = owner_of(request)
        said = votes_of_design(records, owner, design)
        return [
            VoteSaid(number=i, vote=said[key], picture=key)
            for i, key in enumerate(pictures(owner, design))
            if key in said
        ]

    @api.put("/votes")
    def vote(body: VoteBody, request: Request) -> VoteSaid:
        """Like or dislike a candidate or a post, as on their pages."""
        owner = owner_of(request)
        if body.post_set is not None:
            vote_post(records, owner, post_thing(body.post_set, body.number), body.vote)
            return VoteSaid(number=body.number, vote=body.vote, picture=None)
        known = pictures(owner, str(body.design))
        if body.number >= len(known):
            raise BadInput("candidate_unknown", number=body.number, count=len(known))
        vote_candidate(records, owner, str(body.design), known[body.number], body.vote)
        return VoteSaid(number=body.number, vote=body.vote, picture=known[body.number])
