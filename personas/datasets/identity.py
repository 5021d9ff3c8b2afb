"""Who a data set is of: the person in most of its pictures, who else is in it often. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from personas.datasets.facts import PictureFacts, embedding_of
from personas.datasets.limits import Limits
from personas.measures.face import mean_embedding

__all__ = ["People", "find_people"]

_ROUNDS = 3
_SECOND_LEAST, _SECOND_SHARE = 3, 0.15
Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class People:
    """`centre` float32 [d] is the main person's mean face, None where there are no two faces of one person.
    `cosines` are the faces' to it, None without a face. `second` are the rows of somebody else who is in many pictures.
    """

    centre: Vector | None
    cosines: tuple[float | None, ...]
    second: tuple[int, ...]


def find_people(facts: Sequence[PictureFacts], limits: Limits) -> People:
    """Return who is in most of the pictures.

    The face that most others are like begins; who is like the mean of its own is in, and the mean is taken again. Faces
    turned away by more than `limits.turned`, or too small, do not say who somebody is.
    """
    every = {i: embedding_of(one.face.embedding) for i, one in enumerate(facts) if one.face is not None}
    sure = [i for i, one in enumerate(facts) if one.face is not None and _tells(one, limits)] or list(every)
    members = _crowd([every[i] for i in sure], limits.same_person)
    if len(members) < 2:
        return People(None, tuple(None for _ in facts), ())
    centre = mean_embedding(np.stack([every[sure[k]] for k in members]))
    cosines = tuple(round(float(every[i] @ centre), 4) if i in every else None for i in range(len(facts)))
    others = [i for i in sure if (cosine := cosines[i]) is not None and cosine < limits.same_person]
    crowd = [others[k] for k in _crowd([every[i] for i in others], limits.same_person)]
    is_second = len(crowd) >= max(_SECOND_LEAST, _SECOND_SHARE * len(facts))
    return People(centre, cosines, tuple(crowd) if is_second else ())


def _tells(facts: PictureFacts, limits: Limits) -> bool:
    face = facts.face
    return face is not None and abs(face.yaw) <= limits.turned and face.short_px >= limits.face_px


def _crowd(faces: Sequence[Vector], least: float) -> list[int]:
    """The rows of the largest group that is one person's."""
    if not faces:
        return []
    rows = np.stack(faces)
    cosines = rows @ rows.T
    inside = cosines[int((cosines >= least).sum(axis=1).argmax())] >= least
    for _ in range(_ROUNDS):
        inside = rows @ mean_embedding(rows[inside]) >= least
        if not inside.any():
            return []
    return [int(i) for i in np.flatnonzero(inside)]
