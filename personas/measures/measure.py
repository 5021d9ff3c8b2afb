"""A measure: one row of `personas.measures.catalogue.MEASURES`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from personas.measures.subject import Need, Subject

__all__ = ["Measure"]


@dataclass(frozen=True)
class Measure:
    """`measure` is called where a Subject gives all that it `needs` and it `applies` (None: always); None is what could
    not be measured.

    `words` are what a person calls it, by language. `low` and `high` are the ends of its range (None: open).
    `on_candidates` and `on_posts` say where it is measured and shown. A post whose value is under `weak_below`, or over
    `weak_above`, should be drawn again; "strangers" is the cosine that hardly any two different people reach, from the
    recogniser's calibration (`FaceCalibration.different_people`).
    """

    name: str
    needs: frozenset[Need]
    measure: Callable[[Subject], float | None]
    words: Mapping[str, str]
    low: float = 0.0
    high: float | None = 1.0
    higher_is_better: bool = True
    on_candidates: bool = False
    on_posts: bool = False
    weak_below: float | Literal["strangers"] | None = None
    weak_above: float | None = None
    applies: Callable[[Subject], bool] | None = None
