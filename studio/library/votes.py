"""What an owner likes and what not: candidates of a design, and single posts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from pipelines.errors import BadInput
from studio.domain.design import Design
from studio.domain.more import MoreCandidates
from studio.domain.values import FileKey
from studio.library.index import find_thing
from studio.library.marks import mark_thing, marks_of
from studio.library.records import JobRecord, Records
from studio.library.results import read_result
from studio.library.store import Store

__all__ = ["VOTES", "Vote", "candidates_of", "vote_candidate", "vote_post", "votes_of_design"]

Vote = Literal["like", "dislike", "none"]
VOTES: tuple[Vote, ...] = get_args(Vote)
_NUMBERS: Mapping[str, int] = {"like": 1, "dislike": -1, "none": 0}
_WORDS: Mapping[int, Vote] = {1: "like", -1: "dislike", 0: "none"}


def candidates_of(records: Records, store: Store, owner: str, design: Design) -> tuple[FileKey, ...]:
    """Return the pictures on a design's board: its own, then those that were drawn later, in their order."""
    rows = records.find(JobRecord, owner, kind=MoreCandidates.kind, state="done")
    more = [read_result(store, MoreCandidates, row) for row in sorted(rows, key=lambda row: (row.created, row.id))]
    return sum((one.pictures for one in more if one.design == design.id), design.pictures)


def votes_of_design(records: Records, owner: str, design: str) -> Mapping[str, Vote]:
    """Return by the picture's key what is liked and what not; pictures of which nothing was said are left out."""
    told = marks_of(records, owner, _thing(design)).get("votes", {})
    return {key: _WORDS[said] for key, said in told.items()}


def vote_candidate(records: Records, owner: str, design: str, picture: str, vote: Vote) -> None:
    """Note a vote on a candidate by its picture's key, in place of the one before."""
    votes = dict(marks_of(records, owner, _thing(design)).get("votes", {}))
    votes[picture] = _NUMBERS[vote]
    mark_thing(records, owner, _thing(design), votes={key: said for key, said in votes.items() if said})


def vote_post(records: Records, owner: str, post: str, vote: Vote) -> None:
    """Note a vote on a post by its id in the library, in place of the one before: what is liked is a favourite.

    Raises BadInput where there is no such post.
    """
    thing = find_thing(records, owner, post)
    if thing is None or thing.kind != "post":
        raise BadInput("not_found", result="post", key=post[:64])
    mark_thing(records, owner, post, favourite=vote == "like", disliked=vote == "dislike")


def _thing(design: str) -> str:
    return f"{Design.kind}:{design}"
