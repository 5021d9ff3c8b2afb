"""Comments read by the language model of the settings, within its owner's budget of the day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from studio.application import Studio
from studio.captions.endpoint import Answer, Message, ask
from studio.domain.taste import EVERYWHERE, Scope
from studio.taste.asking import ANSWER_SCHEMA, PROMPT_VERSION, hear_comment
from studio.taste.heard import Heard
from studio.taste.keeping import Commented, comment
from studio.workflows.captions import check_budget, endpoint_of, note_used

__all__ = ["Reader", "keep_comment"]

Reader = Literal["studio", "endpoint"]


def keep_comment(
    studio: Studio,
    owner: str,
    text: str,
    *,
    scope: Scope = EVERYWHERE,
    picture: str = "",
    vote: int = 0,
    reader: Reader = "studio",
) -> Commented:
    """Keep a comment, read by the studio or by the language model of the settings. Raises BadInput, also where no such
    model is set; one that fails is told of in what is returned."""
    if reader == "studio":
        return comment(studio.records, owner, text, scope=scope, picture=picture, vote=vote)
    endpoint = endpoint_of(studio)

    def patiently(messages: Sequence[Message]) -> Answer:
        check_budget(studio, owner)
        answer = ask(endpoint, messages, schema=ANSWER_SCHEMA, temperature=0.0)
        note_used(studio, owner, answer.tokens)
        return answer

    def hear(said: str, shown: Mapping[str, str], voted: int) -> Heard:
        return hear_comment(said, shown, voted, patiently)

    name = f"{endpoint.model}@{endpoint.host} {PROMPT_VERSION}"[:300]
    return comment(
        studio.records, owner, text, scope=scope, picture=picture, vote=vote, hear=hear, reader=name
    )  # fmt: skip
