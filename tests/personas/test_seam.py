"""Kept pixels are measured: exact but for the person's, in sight, cutting nobody, and without a border that shows."""

from __future__ import annotations

import numpy as np
import pytest

from personas.measures.catalogue import POST_MEASURES, measure_subject
from personas.measures.regions import LABELS, Regions
from personas.measures.seam import exact_share, person_cut, seam_shown, share_in_sight
from personas.measures.subject import ShownKept, Subject

SIZE = (160, 120)
rng = np.random.default_rng(3)
PHOTO = rng.integers(90, 110, (*SIZE, 3), dtype=np.uint8)
MARKED = np.zeros(SIZE, np.bool_)
MARKED[60:110, 60:100] = True
NOBODY = np.zeros(SIZE, np.bool_)


def person(left: int, right: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    mask = NOBODY.copy()
    mask[20:160, left:right] = True
    return mask


def test_exact_is_asked_only_where_nobody_stands() -> None:
    before = person(40, 80)
    picture = PHOTO.copy()
    picture[before] = 0
    assert exact_share(picture, PHOTO, MARKED, before) == 1.0
    assert share_in_sight(picture, PHOTO, MARKED) == pytest.approx(0.5)
    picture[100, 95] += 1
    share = exact_share(picture, PHOTO, MARKED, before)
    assert share is not None
    assert 0.99 < share < 1.0
    assert exact_share(picture, PHOTO, MARKED, ~NOBODY) is None


def test_a_person_is_cut_where_they_end_at_the_kept_pixels() -> None:
    assert person_cut(MARKED, NOBODY) == 0.0
    assert person_cut(MARKED, person(10, 40)) == 0.0  # beside it
    assert person_cut(MARKED, person(40, 80)) < 0.02  # before it: only its corners are met
    cut = person(40, 80) & ~MARKED
    assert person_cut(MARKED, cut) > 0.1


def test_a_border_shows_by_its_step() -> None:
    assert seam_shown(PHOTO, PHOTO, MARKED, NOBODY, range(5, 8)) == pytest.approx(1.0, abs=0.1)
    step = PHOTO.copy()
    step[~MARKED] += 60
    assert (seam_shown(step, PHOTO, MARKED, NOBODY, (0,)) or 0) > 3
    assert seam_shown(step, PHOTO, MARKED, ~NOBODY, (0,)) is None  # the person's own outline is no border


def test_posts_are_measured_where_something_is_kept() -> None:
    labels = np.zeros(SIZE, np.uint8)
    labels[person(40, 80)] = LABELS.index("clothes")
    regions = Regions(labels, np.zeros((20, 3), np.float32), {}, {}, np.zeros(32, np.float32))
    picture = PHOTO.copy()
    picture[person(40, 80)] = 0

    def names(kept: ShownKept | None) -> dict[str, float | None]:
        return measure_subject(Subject(picture=picture, regions=regions, kept=kept), POST_MEASURES)

    assert names(None) == {}
    found = names(ShownKept(PHOTO, MARKED))
    assert found["exact"] == 1.0
    assert found["in_sight"] == pytest.approx(0.5)
    assert (found["whole"] or 0) > 0.97
    assert set(found) == {"exact", "in_sight", "whole", "seam"}
    goods = NOBODY.copy()
    goods[120:150, 20:40] = True
    assert set(names(ShownKept(PHOTO, None, goods))) == {"seam"}
