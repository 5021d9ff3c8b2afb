"""How strongly, and by which checkpoint, an owner's personas are drawn: chosen, and undone, as marks of theirs."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from studio.domain.checkpoints import DrawnAs, draw_as
from studio.domain.persona import Persona
from studio.domain.values import Result
from studio.library.marks import mark_thing, marks_of
from studio.library.records import Records

__all__ = ["as_chosen", "can_undo", "choose_drawn_as", "drawn_as", "undo_drawn_as"]

_MOST_UNDONE = 20
R = TypeVar("R", bound=Result)


def drawn_as(records: Records, owner: str, persona: str) -> DrawnAs:
    """Return what was chosen for the persona of this id; as it was trained where nothing was."""
    chosen = _chosen(records, owner, persona)
    return chosen[-1] if chosen else DrawnAs()


def can_undo(records: Records, owner: str, persona: str) -> bool:
    return bool(_chosen(records, owner, persona))


def choose_drawn_as(
    records: Records, owner: str, persona: Persona, *, scale: float | None = None, checkpoint: int | None = None
) -> DrawnAs:
    """Choose for all that is drawn from now on; None leaves it as it is. Return what is chosen now.

    Raises BadInput for a strength out of its range, and `checkpoint_unknown`.
    """
    before = drawn_as(records, owner, persona.id)
    told = {"scale": before.scale if scale is None else scale}
    told |= {"checkpoint": before.checkpoint if checkpoint is None else checkpoint}
    now = DrawnAs.make(**told)
    draw_as(persona, now)
    if now != before:
        _write(records, owner, persona.id, [*_chosen(records, owner, persona.id), now])
    return now


def undo_drawn_as(records: Records, owner: str, persona: str) -> DrawnAs:
    """Take the last choice back, and return what is chosen now."""
    _write(records, owner, persona, _chosen(records, owner, persona)[:-1])
    return drawn_as(records, owner, persona)


def as_chosen(records: Records, owner: str, result: R) -> R:
    """Return a persona as its owner chose to draw it, and any other result as it is."""
    if not isinstance(result, Persona):
        return result
    return cast(R, draw_as(result, drawn_as(records, owner, result.id)))


def _chosen(records: Records, owner: str, persona: str) -> list[DrawnAs]:
    """Return all choices, the last one last."""
    told: Any = marks_of(records, owner, _thing(persona)).get("drawn_as", ())
    return [DrawnAs.model_validate(one, strict=False) for one in told]


def _write(records: Records, owner: str, persona: str, chosen: list[DrawnAs]) -> None:
    told = [one.model_dump(mode="json") for one in chosen[-_MOST_UNDONE:]]
    mark_thing(records, owner, _thing(persona), drawn_as=told)


def _thing(persona: str) -> str:
    return f"{Persona.kind}:{persona}"
