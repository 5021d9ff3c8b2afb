"""Which pictures are the same one: saved again, enlarged, mirrored, cut a little, or cut out of another. Pure.

Hashes find who may be; two thumbnails laid on one another decide it, because pictures of one person in one place have
hashes as near as copies have. Where the two differ most counts, not how much on average: another expression is small.
A part that was cut out of a photo is found by its face, and by what is around it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import cv2
import numpy as np
import numpy.typing as npt

from personas.datasets.facts import PictureFacts, embedding_of, thumb_of
from personas.datasets.hashes import as_words, hamming
from personas.datasets.limits import Limits

__all__ = ["alike", "find_duplicates"]

_CUTS = (1.0, 0.985, 0.97, 0.94, 0.9)  # of a side, what a slight crop leaves
_PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)
_BLOCKS = 6  # a side: where two pictures differ is looked for in blocks
_SOFT = 0.7  # pixels of a thumbnail
_COARSE_PX, _COARSE = 8, 0.12  # what differs more in a copy of so few pixels is no copy
_LARGE_FACE = 2.0  # times the least face: one that shows how somebody looks
_SAME_FACE = 0.9  # the cosine from which it is worth looking
Thumb = npt.NDArray[np.float32]


def find_duplicates(facts: Sequence[PictureFacts], limits: Limits) -> tuple[tuple[int, ...], ...]:
    """Return groups of rows that show the same picture, two rows at least in each, the best first: the sharpest,
    then the most pixels, then the least compressed.
    """
    parent = list(range(len(facts)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    thumbs = [thumb_of(one.thumb) for one in facts]
    for i, j, mirrored in _candidates(facts, limits):
        if root(i) != root(j) and alike(thumbs[i], _turned(thumbs[j], mirrored), limits.same):
            parent[root(j)] = root(i)
    for i, j, mirrored in _same_faces(facts, limits):
        if root(i) == root(j):
            continue
        one, other = facts[i].face, facts[j].face
        assert one is not None and other is not None  # noqa: PT018
        if alike(thumb_of(one.around), _turned(thumb_of(other.around), mirrored), limits.same):
            parent[root(j)] = root(i)
    groups: dict[int, list[int]] = {}
    for i in range(len(facts)):
        groups.setdefault(root(i), []).append(i)
    piles = [rows for rows in groups.values() if len(rows) > 1]
    return tuple(tuple(sorted(rows, key=lambda i: _worth(facts[i], i))) for rows in piles)


def alike(one: Thumb, other: Thumb, most: float) -> bool:
    """Return whether two thumbnails [s, s, 3] show the same, where one may be a slight cut of the other: in a common
    brightness and contrast no block of one differs from the other's by more than `most` (root mean square, in [0, 1]).
    """
    soft, others = (cv2.GaussianBlur(thumb, (0, 0), _SOFT) for thumb in (one, other))
    coarse = [
        _levelled(cv2.resize(thumb, (_COARSE_PX, _COARSE_PX), interpolation=cv2.INTER_AREA)) for thumb in (one, other)
    ]
    if float(np.sqrt(((coarse[0] - coarse[1]) ** 2).mean())) > _COARSE:
        return False
    return _is_laid_on(soft, others, most) or _is_laid_on(others, soft, most)


def _is_laid_on(whole: Thumb, cut: Thumb, most: float) -> bool:
    middle = slice(1, -1)
    target = _levelled(cut[middle, middle])
    for share in _CUTS:
        places = _PLACES if share < 1 else (0.0,)
        for y, x in product(places, places):
            part = _part(whole, share, y, x)[middle, middle]
            apart = np.asarray(((_levelled(part) - target) ** 2).mean(axis=2), np.float32)
            side = max(2, len(apart) // _BLOCKS)
            if float(cv2.blur(apart, (side, side)).max()) <= most * most:
                return True
    return False


def _turned(thumb: Thumb, mirrored: bool) -> Thumb:
    return np.ascontiguousarray(thumb[:, ::-1]) if mirrored else thumb


def _part(thumb: Thumb, share: float, y: float, x: float) -> Thumb:
    """The part of a thumbnail that a cut to `share` of its sides leaves, at its size."""
    if share == 1:
        return thumb
    side = len(thumb)
    top, left = y * (1 - share) * side, x * (1 - share) * side
    move = np.array([[share, 0, left + share / 2 - 0.5], [0, share, top + share / 2 - 0.5]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(thumb, move, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def _levelled(thumb: Thumb) -> Thumb:
    """In a usual brightness and contrast, channel by channel together: a copy may be brighter, not of other colours."""
    spread = max(float(thumb.std()), 0.02)
    return np.asarray((thumb - thumb.mean()) / spread * 0.2, np.float32)


def _candidates(facts: Sequence[PictureFacts], limits: Limits) -> Iterator[tuple[int, int, bool]]:
    """Yield (i, j > i, whether in a mirror) of pairs whose hashes are near."""
    d, p = as_words([one.dhash for one in facts]), as_words([one.phash for one in facts])
    sides = ((d, p, False), (as_words([one.dhash_mirrored for one in facts]),
                             as_words([one.phash_mirrored for one in facts]), True))  # fmt: skip
    for i in range(len(facts) - 1):
        for others_d, others_p, mirrored in sides:
            near = hamming(d[i], others_d[i + 1 :]) <= limits.dhash
            near |= hamming(p[i], others_p[i + 1 :]) <= limits.phash
            for j in np.flatnonzero(near):
                yield i, i + 1 + int(j), mirrored


def _same_faces(facts: Sequence[PictureFacts], limits: Limits) -> Iterator[tuple[int, int, bool]]:
    """Yield (i, j > i, whether in a mirror) of pairs of photographs with large faces of one person. A drawn person's
    face may be the very same in many pictures.
    """
    least = _LARGE_FACE * limits.face_px
    faces_of = ((i, one.face) for i, one in enumerate(facts) if not one.own_look)
    rows = [i for i, face in faces_of if face is not None and face.short_px >= least]
    if len(rows) < 2:
        return
    faces = np.stack([embedding_of(face.embedding) for i in rows if (face := facts[i].face) is not None])
    for a in range(len(rows) - 1):
        for b in np.flatnonzero(faces[a + 1 :] @ faces[a] >= _SAME_FACE):
            for mirrored in (False, True):
                yield rows[a], rows[a + 1 + int(b)], mirrored


def _worth(facts: PictureFacts, row: int) -> tuple[float, float, float, int]:
    """What the best of a pile is the least by: not enlarged, then the most pixels, then the least compressed."""
    crisp = facts.crisp if facts.face is None else min(facts.crisp, facts.face.crisp)
    return -round(crisp, 1), -float(facts.width * facts.height), facts.blocks, row
