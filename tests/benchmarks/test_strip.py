"""The strip shows every picture of every group in order, with something between the groups."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.strip import draw_strip


def _plain(value: int) -> np.ndarray:
    return np.full((256, 192, 3), value, np.uint8)


def test_every_picture_is_there_in_order() -> None:
    strip = np.asarray(draw_strip(([_plain(10), _plain(60)], [_plain(120)], [_plain(200)]), ("→", "+")))
    assert strip.shape == (256, 4 * 192 + 6 + 2 * 44, 3)
    assert [int(v) for v in strip[5, ::49, 0] if v != 255] == sorted(int(v) for v in strip[5, ::49, 0] if v != 255)
    assert {10, 60, 120, 200} <= set(strip[5, :, 0].tolist())
    between = strip[:, 2 * 192 + 6 : 2 * 192 + 6 + 44]
    assert (between[:, :, 0] < 100).any()


def test_a_sign_stands_between_each_two_groups() -> None:
    with pytest.raises(ValueError, match="2 groups want 1 signs, not 2"):
        draw_strip(([_plain(1)], [_plain(2)]), ("+", "+"))
