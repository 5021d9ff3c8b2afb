"""Candidates while they are judged: who is near whom, and what is held against each so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from personas.measures.catalogue import GROUP_MEASURES, measure_subject
from personas.measures.face import mean_embedding
from personas.measures.hair import HairReading
from personas.measures.subject import CandidateMeasures, Group, Subject

__all__ = ["Pool"]

Embedding = npt.NDArray[np.float32]


class Pool:
    """Candidates as gates look at them.

    `centre` float32 [d] is who the person is, `inside` are the members of that person's own cluster of faces. Of more
    than `max_kept` (None: no limit) the rest are `surplus`, equally many of each of the `kinds` (one per candidate).
    `donors` maps a donor's id to their mean face.
    """

    def __init__(
        self,
        candidates: Sequence[CandidateMeasures],
        centre: Embedding,
        inside: frozenset[int],
        donors: Mapping[str, Embedding],
        max_kept: int | None,
        kinds: Sequence[str] | None,
    ) -> None:
        self.candidates, self.inside = candidates, inside
        self.reasons: tuple[list[str], ...] = tuple([] for _ in candidates)
        self._centre, self._donors, self._max_kept, self._kinds = centre, donors, max_kept, kinds
        self._numbers: list[dict[str, float | None]] = []
        self._compare(Group(centre))

    def find_typical(self) -> None:
        """Compare all candidates with the typical body, hair and eyes of those against whom nothing is held so far."""
        like_us = [i for i, reasons in enumerate(self.reasons) if self.has_face(i) and not reasons]
        body, hair = _typical_body(self.candidates, like_us), _typical_hair(self.candidates, like_us)
        self._compare(Group(self._centre, body, hair, _typical_eyes(self.candidates, like_us)))

    @property
    def remaining(self) -> list[int]:
        """Return those against whom nothing is held, the nearest to the centre first."""
        left = [i for i, reasons in enumerate(self.reasons) if not reasons]
        return sorted(left, key=lambda i: -(self.number(i, "face_similarity") or 0.0))

    @property
    def surplus(self) -> list[int]:
        """Return those of the remaining that are too many: kinds take turns, each giving its best."""
        if self._max_kept is None:
            return []
        places: Counter[str] = Counter()
        turns = []
        for rank, i in enumerate(self.remaining):
            kind = "" if self._kinds is None else self._kinds[i]
            turns.append((places[kind], rank, i))
            places[kind] += 1
        return [i for _, _, i in sorted(turns)[self._max_kept :]]

    @property
    def enrolment(self) -> Embedding:
        """Return the mean face of the remaining, float32 [d] of length 1."""
        return mean_embedding(np.stack([self.face(i) for i in self.remaining]))

    @property
    def donor_similarity(self) -> dict[str, float]:
        """Return the enrolment's cosine to each donor."""
        enrolment = self.enrolment
        return {donor: float(enrolment @ face) for donor, face in self._donors.items()}

    def has_face(self, i: int) -> bool:
        """Return whether a face was found in it."""
        return self.candidates[i].face is not None

    def face(self, i: int) -> Embedding:
        """Return its face's embedding, float32 [d]; there must be one."""
        face = self.candidates[i].face
        assert face is not None
        return face

    def number(self, i: int, measure: str) -> float | None:
        """Return what a measure says of it; None where it could not be measured."""
        return self._numbers[i].get(measure)

    def numbers(self, i: int) -> dict[str, float | None]:
        """Return all that measures say of it, by name."""
        return dict(self._numbers[i])

    def likeness(self, i: int, j: int) -> float:
        """Return the cosine of two thumbnails."""
        return float(self.candidates[i].thumbnail @ self.candidates[j].thumbnail)

    def _compare(self, group: Group) -> None:
        self._numbers = [
            dict(c.numbers) | measure_subject(Subject(candidate=c, group=group), GROUP_MEASURES)
            for c in self.candidates
        ]


def _typical_body(candidates: Sequence[CandidateMeasures], rows: Sequence[int]) -> Embedding | None:
    if not rows:
        return None
    bodies = np.stack([candidates[i].body for i in rows])
    seen = np.isfinite(bodies).any(axis=0)
    typical = np.full(bodies.shape[1], np.nan, np.float32)
    typical[seen] = np.nanmedian(bodies[:, seen], axis=0)
    return typical if seen.any() else None


def _typical_hair(candidates: Sequence[CandidateMeasures], rows: Sequence[int]) -> HairReading | None:
    hairs = [h for i in rows if (h := candidates[i].hair) is not None]
    if not hairs:
        return None
    mean = mean_embedding(np.stack([h.embedding for h in hairs]))
    lab = np.asarray(np.mean([h.lab for h in hairs], axis=0), np.float32)
    return HairReading(float(np.mean([h.share for h in hairs])), float(np.mean([h.length for h in hairs])), lab, mean)


def _typical_eyes(candidates: Sequence[CandidateMeasures], rows: Sequence[int]) -> Embedding | None:
    """Return the colour whose distances to all others are the least, so that a few of another colour do not pull it."""
    colours = [eyes for i in rows if (eyes := candidates[i].eyes) is not None]
    if not colours:
        return None
    apart = np.linalg.norm(np.stack(colours)[:, None] - np.stack(colours)[None], axis=2)
    return colours[int(apart.sum(axis=1).argmin())]
