"""Verdicts on the pictures of a data set: which a training learns from, and for which reasons not from others. Pure.

Nothing is deleted: a verdict is an opinion on facts, by limits that may be other ones a moment later, and what a person
says by hand wins.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from personas.datasets.coverage import Coverage, cover
from personas.datasets.duplicates import find_duplicates
from personas.datasets.facts import PictureFacts
from personas.datasets.identity import People, find_people
from personas.datasets.limits import Limits

__all__ = ["FAULTS", "MARKS", "REASONS", "Judged", "Reason", "ReasonName", "Verdict", "judge"]

ReasonName = Literal[
    "copy", "small", "aspect", "blurred", "noisy", "flat", "bars", "dark", "pale", "blocks", "nobody",
    "no_face", "face_small", "face_blurred", "face_burnt", "several", "other_person", "watermark", "subtitle",
    "collage", "screenshot",
]  # fmt: skip
REASONS: tuple[ReasonName, ...] = get_args(ReasonName)
FAULTS: tuple[ReasonName, ...] = tuple(one for one in REASONS if one != "copy")
MARKS: tuple[ReasonName, ...] = ("watermark", "subtitle", "collage", "screenshot")
"""What only a vision model sees."""
_BODY = 0.05  # share of a picture from which somebody is in it
_SOFT_FACE = 0.75  # of the picture's own limit: skin is smooth


@dataclass(frozen=True)
class Reason:
    """`value` and `limit` are numbers of the measure that it is about; of a copy, the row that is kept instead."""

    name: ReasonName
    value: float
    limit: float


@dataclass(frozen=True)
class Verdict:
    """`reasons` are all that is held against a picture; `by_hand` is what a person said, which alone counts then.
    `checked`: a vision model looked for MARKS; where none did, nobody knows whether there are any.
    """

    kept: bool
    reasons: tuple[Reason, ...]
    by_hand: bool = False
    checked: bool = False


@dataclass(frozen=True, eq=False)
class Judged:
    """`verdicts` go with the pictures; `piles` are groups of rows that show the same, the best first; `coverage` is of
    those that are kept.
    """

    verdicts: tuple[Verdict, ...]
    piles: tuple[tuple[int, ...], ...]
    people: People
    coverage: Coverage

    @property
    def kept(self) -> tuple[int, ...]:
        """Return the rows that a training learns from."""
        return tuple(i for i, verdict in enumerate(self.verdicts) if verdict.kept)


def judge(
    facts: Sequence[PictureFacts],
    limits: Limits,
    pixels: int,
    held: Collection[int] = (),
    dropped: Collection[int] = (),
    *,
    of_person: bool = True,
    defects: Sequence[Collection[str | None] | None] = (),
) -> Judged:
    """Return a verdict on each picture.

    `pixels` is how many a model draws, `held` and `dropped` are rows that a person chose. Where the set is not of a
    person (`of_person` False) nobody is missed and nobody is one too many. `defects` are what a vision model said of
    each picture, None where it did not look; () is that it looked at none.
    """
    people = find_people(facts, limits)
    seen = defects or (None,) * len(facts)
    faults = [
        [
            *_technical(one, limits, pixels),
            *(_person(one, people.cosines[i], limits) if of_person else ()),
            *(Reason(mark, 1.0, 0.0) for mark in MARKS if mark in (seen[i] or ())),
        ]
        for i, one in enumerate(facts)
    ]
    piles = find_duplicates(facts, limits)
    for pile in piles:
        # one that was chosen by hand stands for all: who leaves a picture out does not want its copy instead
        best = min(pile, key=lambda i: (i not in held, i not in dropped, bool(faults[i]), pile.index(i)))
        for i in pile:
            if i != best:
                faults[i].insert(0, Reason("copy", float(best), 0.0))
    verdicts = tuple(
        Verdict(
            i in held or (not reasons and i not in dropped), tuple(reasons), i in held or i in dropped,
            checked=seen[i] is not None,
        )
        for i, reasons in enumerate(faults)
    )  # fmt: skip
    kept = [facts[i] for i, verdict in enumerate(verdicts) if verdict.kept]
    return Judged(verdicts, piles, people, cover(kept))


def _technical(one: PictureFacts, limits: Limits, pixels: int) -> list[Reason]:
    area, long, short = one.width * one.height / max(1, pixels), max(one.width, one.height), min(one.width, one.height)
    found: list[tuple[ReasonName, float, float, bool]] = [
        ("small", area, limits.area, area < limits.area),
        ("aspect", long / short, limits.aspect, long / short > limits.aspect),
        ("dark", one.brightest, limits.brightest, one.brightest < limits.brightest),
        ("pale", one.darkest, limits.darkest, one.darkest > limits.darkest),
        ("flat", one.spread, limits.spread, one.spread < limits.spread),
        ("blurred", one.crisp, limits.crisp, one.crisp < limits.crisp),
        ("noisy", one.noise, limits.noise, one.noise > limits.noise),
        ("bars", one.bars, limits.bars, one.bars > limits.bars),
        ("blocks", one.blocks, limits.blocks, one.blocks > limits.blocks),
    ]
    return [Reason(name, value, limit) for name, value, limit, is_wrong in found if is_wrong]


def _person(one: PictureFacts, cosine: float | None, limits: Limits) -> list[Reason]:
    face = one.face
    if face is None:
        hidden = (one.body or 0.0) >= _BODY
        return [Reason("no_face" if hidden else "nobody", 0.0, 1.0)]
    found: list[Reason] = []
    counted = sum(other.height >= limits.second * face.height for other in one.faces)
    if (people := max(counted, one.people or 0)) > 1:
        found.append(Reason("several", float(people), 1.0))
    if face.short_px < limits.face_px:
        found.append(Reason("face_small", face.short_px, limits.face_px))
    if face.crisp < (least := _SOFT_FACE * limits.crisp):
        found.append(Reason("face_blurred", face.crisp, least))
    if face.burnt > limits.burnt:
        found.append(Reason("face_burnt", face.burnt, limits.burnt))
    if cosine is not None and cosine < limits.same_person and abs(face.yaw) <= limits.turned:
        found.append(Reason("other_person", cosine, limits.same_person))
    return found
