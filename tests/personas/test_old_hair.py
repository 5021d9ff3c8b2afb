"""The halo: where the old hair's edge still is to be seen after a swap."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from personas.measures.hair import old_hair_left

Picture = npt.NDArray[np.uint8]
WALL, OLD, NEW = (120, 220, 150), (60, 60, 200), (110, 70, 40)


def head() -> npt.NDArray[np.bool_]:
    y, x = np.mgrid[:256, :192]
    return np.asarray((y - 110) ** 2 + (x - 96) ** 2 < 60**2)


def painted(*layers: tuple[npt.NDArray[np.bool_], tuple[int, int, int]]) -> Picture:
    picture = np.full((256, 192, 3), WALL, np.uint8)
    for where, colour in layers:
        picture[where] = colour
    return picture


def test_all_none_and_a_rim() -> None:
    old = head()
    small = ndimage.binary_erosion(old, iterations=12)
    before = painted((old, OLD))
    assert old_hair_left(before, painted((old, NEW)), old, old) == 0
    assert old_hair_left(before, painted((small, NEW)), old, small) == 0  # shorter, and the wall is seen
    assert old_hair_left(before, painted((old, OLD), (small, NEW)), old, small) == 1
    half = old & (np.arange(192) < 96)
    assert old_hair_left(before, painted((half, OLD), (small, NEW)), old, small) == pytest.approx(0.5, abs=0.1)


def test_what_has_the_new_colour_anyway_is_no_halo_and_without_hair_there_is_none() -> None:
    old = head()
    before = painted((old, NEW))
    assert old_hair_left(before, before, old, old) == 0
    assert old_hair_left(before, before, np.zeros_like(old), old) is None
