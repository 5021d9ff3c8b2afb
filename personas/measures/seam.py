"""Kept pixels in a post: is the fixed object as in the photo, is the person whole, and does the border show?

What is kept is a landmark behind the person and goods before them. All that is nearer to the person than a fortieth of
the picture's height counts as theirs: readings of a drawing and of the same with real pixels in it differ by that much.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from personas.measures.measure import Measure
from pipelines.masks import MARGIN_PX

if TYPE_CHECKING:
    from personas.measures.subject import Need, Subject

__all__ = ["EXACT", "IN_SIGHT", "SEAM", "WHOLE", "exact_share", "person_cut", "seam_shown", "share_in_sight"]

_NEAR = 1 / 40  # of a picture's height
_GOODS_PX = 3
_AWAY_PX = 6  # from the person, whose own outline is a step
_BESIDE_PX = 6
_BORDER = range(MARGIN_PX, MARGIN_PX + 3)  # of a landmark: a step that was moved out by a pixel is still a step
_RIM = range(2, 5)  # of goods, whose very outline is an edge of its own
_LEAST_PAIRS = 24

Rgb = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


def exact_share(picture: Rgb, photo: Rgb, marked: Mask, person: Mask) -> float | None:
    """Share of the photo's own pixels among those in `marked` that are not the person's; None where all are theirs.

    Pictures uint8 [h, w, 3], masks bool [h, w].
    """
    free = marked & (_distance(person) > _NEAR * len(person))
    return float((picture == photo).all(axis=2)[free].mean()) if free.any() else None


def share_in_sight(picture: Rgb, photo: Rgb, marked: Mask) -> float:
    """Share of the pixels in `marked` that are the photo's own."""
    return float((picture == photo).all(axis=2)[marked].mean())


def person_cut(marked: Mask, person: Mask, before: Mask | None = None) -> float:
    """Share of the person's outline that a landmark's outline, or that of its margin, cuts, in [0, 1]; 0 without a
    person. `before` are goods, which may.

    It is cut where the person ends at the very line where the kept pixels begin.
    """
    from scipy import ndimage  # the command line reads this table before it loads anything

    total = sum(int(pair.sum()) for pair in _pairs_across(person))
    if not total:
        return 0.0
    other = np.zeros_like(person) if before is None else _distance(before) <= 1
    far = _distance(marked)
    cut = [0]
    for kept in (marked, far <= MARGIN_PX):
        # one pixel of room: what is read is not that exact
        inner, outer = kept & ~person, person & ~kept & ~other
        near = ndimage.binary_dilation(inner & ndimage.binary_dilation(~kept), iterations=2)
        cut.append(int((outer & near & ndimage.binary_dilation(kept, iterations=2)).sum()) // 2)
    return min(1.0, max(cut) / total)


def seam_shown(picture: Rgb, photo: Rgb | None, marked: Mask, avoid: Mask, offsets: Sequence[int]) -> float | None:
    """How much a border shows: the mean step across it over the mean step beside it, or over the photo's own step there
    where that is more; 1 is invisible. The worst of the outlines `offsets` pixels outside of `marked`.

    Nothing within `_AWAY_PX` of `avoid` counts. Half a grey level is added to both, so that flat areas give 1. None
    where no border is left.
    """
    far, close = _distance(marked), _distance(avoid) <= _AWAY_PX
    steps, own = _steps(picture), None if photo is None else _steps(photo)
    found = [_ratio(steps, own, far <= offset, close) for offset in offsets]
    known = [value for value in found if value is not None]
    return max(known) if known else None


def _ratio(steps: Sequence[Floats], own: Sequence[Floats] | None, mask: Mask, close: Mask) -> float | None:
    near = (_distance(mask) <= _BESIDE_PX) & (_distance(~mask) <= _BESIDE_PX) & ~close
    both = [(near[:-1] & near[1:]), (near[:, :-1] & near[:, 1:])]
    across = [pair & ok for pair, ok in zip(_pairs_across(mask), both, strict=True)]
    if sum(int(pair.sum()) for pair in across) < _LEAST_PAIRS:
        return None

    def mean(values: Sequence[Floats], where: Sequence[Mask]) -> float:
        return float(np.concatenate([v[w] for v, w in zip(values, where, strict=True)]).mean())

    beside = [ok & ~pair for pair, ok in zip(_pairs_across(mask), both, strict=True)]
    around = mean(steps, beside) if any(b.any() for b in beside) else 0.0
    if own is not None:
        around = max(around, mean(own, across))
    return (mean(steps, across) + 0.5) / (around + 0.5)


def _pairs_across(mask: Mask) -> list[Mask]:
    """Neighbours of which one is in the mask, down and across."""
    return [mask[:-1] != mask[1:], mask[:, :-1] != mask[:, 1:]]


def _steps(picture: Rgb) -> list[Floats]:
    values = picture.astype(np.float64)
    return [np.abs(np.diff(values, axis=axis)).mean(axis=2) for axis in (0, 1)]


def _distance(mask: Mask) -> Floats:
    """Distance in pixels of each pixel outside of the mask to it; infinite where it is empty."""
    from scipy import ndimage  # as above

    if not mask.any():
        return np.full(mask.shape, np.inf)
    distance: Floats = ndimage.distance_transform_edt(~mask)
    return distance


def _person(subject: Subject) -> Mask:
    assert subject.regions is not None
    return subject.regions.person


def _of_landmark(subject: Subject) -> tuple[Rgb, Rgb, Mask, Mask]:
    """Return the picture, the photo, the landmark without what goods hide of it, and the person."""
    picture, kept = subject.picture, subject.kept
    assert picture is not None and kept is not None and kept.marked is not None  # noqa: PT018
    marked = kept.marked if kept.goods is None else kept.marked & (_distance(kept.goods) > _GOODS_PX)
    return picture, kept.photo, marked, _person(subject)


def exact_in_post(subject: Subject) -> float | None:
    """Return the `exact_share` of a post's landmark."""
    return exact_share(*_of_landmark(subject))


def in_sight(subject: Subject) -> float | None:
    """Return the `share_in_sight` of a post's landmark; None where goods hide all of it."""
    picture, photo, marked, _ = _of_landmark(subject)
    return share_in_sight(picture, photo, marked) if marked.any() else None


def whole_person(subject: Subject) -> float:
    """Return the share of a post's person that the landmark does not cut."""
    kept = subject.kept
    assert kept is not None and kept.marked is not None  # noqa: PT018
    return 1 - person_cut(kept.marked, _person(subject), kept.goods)


def seam_of_post(subject: Subject) -> float | None:
    """Return the worst `seam_shown` of a post's kept parts."""
    picture, kept = subject.picture, subject.kept
    assert picture is not None and kept is not None  # noqa: PT018
    person, found = _person(subject), list[float | None]()
    if kept.marked is not None:
        avoid = person if kept.goods is None else person | kept.goods
        found.append(seam_shown(picture, kept.photo, kept.marked, avoid, _BORDER))
    if kept.goods is not None:
        found.append(seam_shown(picture, None, kept.goods, person & ~kept.goods, _RIM))
    return max((value for value in found if value is not None), default=None)


def _keeps_landmark(subject: Subject) -> bool:
    return subject.kept is not None and subject.kept.marked is not None


_NEEDS: frozenset[Need] = frozenset({"picture", "regions", "kept"})
EXACT = Measure(
    "exact", _NEEDS, exact_in_post, words={"en": "fixed object as in the photo", "zh": "固定物原样"},
    on_posts=True, weak_below=0.98, applies=_keeps_landmark,
)  # fmt: skip
IN_SIGHT = Measure(
    "in_sight", _NEEDS, in_sight, words={"en": "of it in sight", "zh": "固定物可见"},
    on_posts=True, weak_below=0.25, applies=_keeps_landmark,
)  # fmt: skip
WHOLE = Measure(
    "whole", _NEEDS, whole_person, words={"en": "person whole", "zh": "人物完整"},
    on_posts=True, weak_below=0.97, applies=_keeps_landmark,
)  # fmt: skip
SEAM = Measure(
    "seam", _NEEDS, seam_of_post, words={"en": "border", "zh": "边缘痕迹"},
    high=None, higher_is_better=False, on_posts=True, weak_above=1.5,
)  # fmt: skip
