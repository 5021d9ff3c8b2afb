"""`persona-studio vote`: candidates and posts that are liked, and those that are not."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.errors import BadInput
from studio.application import Studio
from studio.cli.options import Data, Json, Owner, say, settings_of, tell
from studio.domain.design import Design
from studio.domain.posts import PostSet, post_thing
from studio.library.votes import VOTES, Vote, candidates_of, vote_candidate, vote_post

__all__ = ["voting"]

voting = typer.Typer()


@voting.command()
def vote(
    said: Annotated[Vote, typer.Argument(metavar="VOTE", help=f"What you say of it: {', '.join(VOTES)}.")],
    candidate: Annotated[int | None, typer.Option(min=1, help="A candidate's number, from 1.")] = None,
    design: Annotated[str, typer.Option(help="Of which design; the newest if empty.")] = "",
    post: Annotated[int | None, typer.Option(min=1, help="A post's number in its set as it was drawn, from 1.")] = None,
    post_set: Annotated[str, typer.Option(help="Which set; the newest if empty.")] = "",
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Like or dislike a candidate or a post, as on their pages; none takes it back."""
    if (candidate is None) is (post is None):
        raise BadInput("vote_on_one")
    studio = Studio(settings_of(data, owner))
    records, asker = studio.records, studio.settings.owner
    if post is not None:
        drawn = studio.result_of(PostSet, post_set)
        thing = post_thing(drawn.id, post - 1)
        vote_post(records, asker, thing, said)
    else:
        assert candidate is not None  # one of the two is given
        found = studio.result_of(Design, design)
        known = candidates_of(records, studio.store, asker, found)
        if candidate > len(known):
            raise BadInput("candidate_not_there", number=candidate, count=len(known))
        vote_candidate(records, asker, found.id, known[candidate - 1], said)
        thing = f"design:{found.id}"
    number = candidate or post or 0
    say({"thing": thing, "number": number, "vote": said}, as_json, tell(f"cli.vote.{said}", number=number))
