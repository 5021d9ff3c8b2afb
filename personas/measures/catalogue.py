"""MEASURES: one row a measure. Selection, scores of posts, cards, API and command line list what stands here.

A new measure is one file, with a function of a Subject and its row, and one line here.
"""

from __future__ import annotations

from collections.abc import Sequence

from personas.measures.body import BODY_SIMILARITY
from personas.measures.doing import HELD, POSE
from personas.measures.eyes import EYE_SIMILARITY
from personas.measures.face import FACE_HEIGHT, FACE_SIMILARITY, IDENTITY
from personas.measures.goods import GOODS
from personas.measures.hair import HAIR_SIMILARITY
from personas.measures.measure import Measure
from personas.measures.prompt import OBEYED, PROMPT
from personas.measures.quality import PEOPLE, QUALITY, SHARPNESS
from personas.measures.scene import SCENE
from personas.measures.seam import EXACT, IN_SIGHT, SEAM, WHOLE
from personas.measures.subject import Subject
from personas.measures.whole_eyes import EYES

__all__ = ["CANDIDATE_MEASURES", "GROUP_MEASURES", "MEASURES", "POST_MEASURES", "measure_subject"]

MEASURES: tuple[Measure, ...] = (
    FACE_SIMILARITY,
    BODY_SIMILARITY,
    HAIR_SIMILARITY,
    EYE_SIMILARITY,
    SHARPNESS,
    FACE_HEIGHT,
    OBEYED,
    QUALITY,
    PEOPLE,
    IDENTITY,
    SCENE,
    PROMPT,
    EYES,
    POSE,
    HELD,
    GOODS,
    EXACT,
    IN_SIGHT,
    WHOLE,
    SEAM,
)
CANDIDATE_MEASURES = tuple(row for row in MEASURES if row.on_candidates)
GROUP_MEASURES = tuple(row for row in CANDIDATE_MEASURES if "group" in row.needs)
POST_MEASURES = tuple(row for row in MEASURES if row.on_posts)


def measure_subject(subject: Subject, rows: Sequence[Measure]) -> dict[str, float | None]:
    """Return, by name, what those `rows` measure whose needs the subject gives, and that apply to it."""
    given = subject.given
    return {
        row.name: row.measure(subject)
        for row in rows
        if row.needs <= given and (row.applies is None or row.applies(subject))
    }
