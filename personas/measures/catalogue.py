"""MEASURES: one row a measure. Selection, scores of posts, cards, API and command line list what stands here.

A new measure is one file that takes a Subject, one row here, and its word `score.<name>` in the texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from personas.measures.body import body_likeness
from personas.measures.face import face_height, face_likeness, identity
from personas.measures.goods import goods_shown
from personas.measures.hair import hair_likeness
from personas.measures.prompt import post_obeyed, shot_obeyed
from personas.measures.quality import people, quality, sharpness
from personas.measures.scene import scene_shown
from personas.measures.subject import Need, Subject

__all__ = ["CANDIDATE_MEASURES", "GROUP_MEASURES", "MEASURES", "POST_MEASURES", "Measure", "measure_subject"]


@dataclass(frozen=True)
class Measure:
    """`measure` is called where a Subject gives all that it `needs`; None is what could not be measured.

    `low` and `high` are the ends of its range (None: open). `on_candidates` and `on_posts` say where it is measured and
    shown. A post whose value is under `weak_below` should be drawn again; "strangers" is the cosine that hardly any two
    different people reach, from the recogniser's calibration (`FaceCalibration.different_people`).
    """

    name: str
    needs: frozenset[Need]
    measure: Callable[[Subject], float | None]
    low: float = 0.0
    high: float | None = 1.0
    higher_is_better: bool = True
    on_candidates: bool = False
    on_posts: bool = False
    weak_below: float | Literal["strangers"] | None = None


def _needs(*names: Need) -> frozenset[Need]:
    return frozenset(names)


MEASURES: tuple[Measure, ...] = (
    Measure("face_similarity", _needs("candidate", "group"), face_likeness, low=-1, on_candidates=True),
    Measure("body_similarity", _needs("candidate", "group"), body_likeness, on_candidates=True),
    Measure("hair_similarity", _needs("candidate", "group"), hair_likeness, low=-1, on_candidates=True),
    Measure("sharpness", _needs("picture", "faces"), sharpness, high=None, on_candidates=True),
    Measure("face_height", _needs("faces"), face_height, on_candidates=True),
    Measure("obeyed", _needs("attributes", "shot"), shot_obeyed, on_candidates=True),
    Measure("quality", _needs("regions"), quality, on_candidates=True),
    Measure("people", _needs("regions"), people, high=None, higher_is_better=False, on_candidates=True),
    Measure("identity", _needs("faces", "enrolment"), identity, low=-1, on_posts=True, weak_below="strangers"),
    Measure("scene", _needs("picture", "regions", "scene"), scene_shown, on_posts=True),
    Measure("prompt", _needs("attributes", "shot"), post_obeyed, on_posts=True, weak_below=1.0),
    Measure("goods", _needs("picture", "shot", "goods"), goods_shown, on_posts=True),
)
CANDIDATE_MEASURES = tuple(row for row in MEASURES if row.on_candidates)
GROUP_MEASURES = tuple(row for row in CANDIDATE_MEASURES if "group" in row.needs)
POST_MEASURES = tuple(row for row in MEASURES if row.on_posts)


def measure_subject(subject: Subject, rows: Sequence[Measure]) -> dict[str, float | None]:
    """Return, by name, what those `rows` measure whose needs the subject gives."""
    given = subject.given
    return {row.name: row.measure(subject) for row in rows if row.needs <= given}
