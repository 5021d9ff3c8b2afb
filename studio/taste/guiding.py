"""A set of posts to its owner's taste: what was said of the shots stays, what is open follows the taste."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from personas.shots import WORDS, Shot, vary_shots
from personas.taste.guidance import OPEN_FIELDS, Choice, guide_shots
from pipelines.errors import BadInput
from pipelines.families.vocabulary import Vocabulary
from studio.domain.guidance import Guidance, GuidedChoice
from studio.domain.posts import plan_shots
from studio.domain.taste import Taste, join_tastes

__all__ = ["GuidedSet", "guide_candidates", "guide_planned", "guide_set"]

_TOGETHER = ("light",)  # a set has one
_OF_CANDIDATES = ("setting", "light", "outfit", "outfit_colour", "goods")
_MOST = 1000


@dataclass(frozen=True)
class GuidedSet:
    """Shots, the detail to draw them with, and what goes with the request; `guidance` is None where nothing moved."""

    shots: tuple[Shot, ...]
    detail: float
    guidance: Guidance | None

    def fields(self) -> dict[str, Any]:
        """Return the fields of a PostRequest that this changes."""
        told: dict[str, Any] = {"shots": self.shots}
        if self.guidance is not None:
            told["guided"] = self.guidance
        if self.detail:
            told["detail"] = self.detail
        return told


def guide_set(
    tastes: Sequence[Taste],
    stated: Sequence[Mapping[str, str]],
    count: int,
    seed: int,
    *,
    again: int = 0,
    adventurous: float,
    vocabulary: Vocabulary | None,
) -> GuidedSet:
    """Return a set's shots: `stated` has what somebody said of each, by field; where it is empty, `count` varied shots
    are planned, of which nothing was said.

    The place is the scene's, and open to no taste. Raises BadInput for a word that a shot cannot have.
    """
    for row in stated:
        if unknown := sorted(row.keys() - WORDS.keys()):
            raise BadInput("request_field_unknown", field=f"shots.{unknown[0]}")
    shots = tuple(Shot(**row) for row in stated) or plan_shots(count, seed, again)
    said: Sequence[Collection[str]] = [row.keys() for row in stated] or [()] * len(shots)
    return guide_planned(tastes, shots, said, seed, adventurous=adventurous, vocabulary=vocabulary)


def guide_planned(
    tastes: Sequence[Taste],
    shots: Sequence[Shot],
    stated: Sequence[Collection[str]],
    seed: int,
    *,
    adventurous: float,
    vocabulary: Vocabulary | None,
) -> GuidedSet:
    """Return planned shots to a taste: `stated` are the fields of each of which somebody said something: these stay.

    The place is the scene's, and open to no taste. What no word of a shot says (tone, finish, ...) is drawn alike in
    all shots, and is open only where each of them has another open field: one of which all was said is drawn as it was.
    """
    names = frozenset(OPEN_FIELDS) - {"setting"}
    words = names & WORDS.keys()
    open_fields = [names - set(fields) if words - set(fields) else frozenset[str]() for fields in stated]
    return _guided(tastes, tuple(shots), open_fields, seed, adventurous=adventurous, vocabulary=vocabulary)


def guide_candidates(tastes: Sequence[Taste], count: int, seed: int, *, adventurous: float) -> Guidance | None:
    """Return how a design's candidates follow a taste, None where nothing moves: what they wear and where they are.

    Framings, sides, expressions and poses stay as they are planned: a persona is trained on all of them.
    """
    shots = vary_shots(count, seed)
    weights = join_tastes(tastes)
    found = guide_shots(shots, [_OF_CANDIDATES] * count, weights, seed, adventurous=adventurous)
    choices = tuple(_choice(one) for one in found.choices if one.word != one.was)
    version = sum(taste.version for taste in tastes)
    return Guidance.make(version=version, adventurous=adventurous, choices=choices[:_MOST]) if choices else None


def _choice(one: Choice) -> GuidedChoice:
    return GuidedChoice(
        number=one.number, field=one.field, was=one.was, word=one.word, attributes=one.attributes,
        probability=one.probability,
    )  # fmt: skip


def _guided(
    tastes: Sequence[Taste],
    shots: tuple[Shot, ...],
    open_fields: Sequence[Collection[str]],
    seed: int,
    *,
    adventurous: float,
    vocabulary: Vocabulary | None,
) -> GuidedSet:
    def knows(words: str) -> bool:
        return vocabulary is not None and not vocabulary.unknown(words)

    found = guide_shots(
        shots, open_fields, join_tastes(tastes), seed, adventurous=adventurous, knows=knows, together=_TOGETHER
    )
    if not found.choices:
        return GuidedSet(shots, 0.0, None)
    choices = tuple(_choice(one) for one in found.choices)
    version = sum(taste.version for taste in tastes)
    guidance = Guidance.make(version=version, adventurous=adventurous, words=found.words, choices=choices)
    return GuidedSet(found.shots, found.detail, guidance)
