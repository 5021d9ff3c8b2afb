"""How a set of posts was drawn to its owner's taste: what moved, and why. It goes with the set's request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from personas.shots import WORDS, Shot
from studio.domain.values import Value

__all__ = ["USUAL_ADVENTUROUS", "Adventurous", "GuidedChoice", "Guidance", "follow_guidance"]

USUAL_ADVENTUROUS = 0.2
Adventurous = Annotated[float, Field(ge=0, le=1)]
Word = Annotated[str, Field(max_length=80)]


class GuidedChoice(Value):
    """A field of the shot `number` (from 0; -1: all shots) that became `word`: `attributes` spoke for it, and it was
    that likely."""

    number: int = Field(ge=-1)
    field: Word
    was: Word
    word: Word
    attributes: tuple[Word, ...] = Field((), max_length=40)
    probability: float = Field(ge=0, le=1)


class Guidance(Value):
    """`version` counts what its owner had said and changed by then; `words` go behind each prompt."""

    version: int = Field(ge=0)
    adventurous: Adventurous
    words: tuple[Word, ...] = Field((), max_length=10)
    choices: tuple[GuidedChoice, ...] = Field((), max_length=1000)


def follow_guidance(shots: Sequence[Shot], guidance: Guidance | None) -> tuple[Shot, ...]:
    """Return the shots as they are guided; choices of shots that there are not, and of all at once, are left out.
    Raises BadInput for a word that a shot cannot have."""
    found = list(shots)
    for choice in () if guidance is None else guidance.choices:
        if 0 <= choice.number < len(found) and choice.field in WORDS:
            found[choice.number] = replace(found[choice.number], **{choice.field: choice.word})
    return tuple(found)
