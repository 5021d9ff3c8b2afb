"""Routes for personas: which stages of the training were kept, and how strongly, and by which, posts draw them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from studio.application import Studio
from studio.domain.checkpoints import best_checkpoint, kept_checkpoints
from studio.domain.persona import MOST_SCALE, Persona
from studio.domain.values import FileKey
from studio.library.drawn_as import can_undo, choose_drawn_as, drawn_as, undo_drawn_as
from studio.library.results import find_result

__all__ = ["add_personas"]


class CheckpointSaid(BaseModel):
    """A checkpoint of the training after `step` steps: its sample pictures, and how near they are to the person. Posts
    can be drawn by one that was `kept`.
    """

    step: int
    likeness: float
    pictures: list[FileKey]
    kept: bool


class BestSaid(BaseModel):
    """The checkpoint that a person would choose, and why: nothing is nearer ("nearest"), others are as near and it
    learnt longest ("as_near"), there is no other ("only").
    """

    step: int
    likeness: float
    why: str


class DrawingSaid(BaseModel):
    """How posts draw a persona: `checkpoint` 0 is the end of the training."""

    strength: float
    checkpoint: int
    can_undo: bool
    best: BestSaid | None
    checkpoints: list[CheckpointSaid]


class DrawingBody(BaseModel):
    """What changes; what is left out stays."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    strength: Annotated[float | None, Field(ge=0, le=MOST_SCALE)] = None
    checkpoint: Annotated[int | None, Field(ge=0)] = None


def add_personas(api: APIRouter, studio: Studio, owner_of: Callable[[Request], str]) -> None:
    """`owner_of` says whose request it is."""
    records = studio.records

    def find(owner: str, key: str) -> Persona:
        return find_result(records, studio.store, owner, Persona, key)

    def say(owner: str, persona: Persona) -> DrawingSaid:
        how, best, kept = drawn_as(records, owner, persona.id), best_checkpoint(persona), kept_checkpoints(persona)
        rows = [
            CheckpointSaid(step=row.step, likeness=row.identity, pictures=list(row.pictures), kept=row in kept)
            for row in persona.samples
        ]
        return DrawingSaid(
            strength=how.scale,
            checkpoint=how.checkpoint,
            can_undo=can_undo(records, owner, persona.id),
            best=None
            if best is None
            else BestSaid(step=best.step or persona.samples[-1].step, likeness=best.identity, why=best.why),
            checkpoints=rows,
        )

    @api.get("/personas/{persona}/drawing")
    def drawing(persona: str, request: Request) -> DrawingSaid:
        """Return how posts draw a persona, and what of its training was kept."""
        owner = owner_of(request)
        return say(owner, find(owner, persona))

    @api.put("/personas/{persona}/drawing")
    def choose(persona: str, body: DrawingBody, request: Request) -> DrawingSaid:
        """Let all further posts draw the persona so."""
        owner = owner_of(request)
        found = find(owner, persona)
        choose_drawn_as(records, owner, found, scale=body.strength, checkpoint=body.checkpoint)
        return say(owner, found)

    @api.delete("/personas/{persona}/drawing")
    def undo(persona: str, request: Request) -> DrawingSaid:
        """Take the last choice back."""
        owner = owner_of(request)
        found = find(owner, persona)
        undo_drawn_as(records, owner, found.id)
        return say(owner, found)
