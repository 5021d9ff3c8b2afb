"""More candidates like one of a design: its shot and light, drawn from other seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field, model_validator

from personas.shots import Shot
from pipelines.errors import BadInput
from studio.domain.design import Design
from studio.domain.values import FileKey, Id, Request, Result, Seed

__all__ = ["MoreCandidates", "MoreRequest", "join_candidates"]


class MoreRequest(Request):
    """`count` more candidates of a design's mix with the prompt of the candidate `number` (from 0), its light included.

    Another `seed`, other pictures.
    """

    design: Design
    number: int = Field(ge=0)
    count: int = Field(4, ge=1, le=48)
    seed: Seed = 1

    @model_validator(mode="after")
    def _check(self) -> MoreRequest:
        if self.number >= (count := len(self.design.pictures)):
            raise BadInput("candidate_unknown", number=self.number, count=count)
        return self


class MoreCandidates(Result):
    """Columns go with `pictures`, as those of a design, whose id is `design`; `measures` is JSON in the store."""

    kind: ClassVar[str] = "more"

    design: Id
    shots: tuple[Shot, ...]
    prompts: tuple[str, ...]
    seeds: tuple[Seed, ...]
    pictures: tuple[FileKey, ...]
    measures: FileKey


def join_candidates(design: Design, more: Sequence[MoreCandidates], measures: FileKey) -> Design:
    """Return the design with more candidates behind its own; those that were there keep their numbers.

    `measures` is the stored list of all of them.
    """
    told = {
        name: sum((getattr(one, name) for one in more), getattr(design, name))
        for name in ("shots", "prompts", "seeds", "pictures")
    }
    return design.model_copy(update=told | {"measures": measures})
