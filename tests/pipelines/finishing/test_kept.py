"""Kept pixels come into the finished picture from their originals: in place, sharp, behind what stands before them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.finishing.kept import goods_layer, landmark_layer, lay_kept
from pipelines.pictures import fit_to_canvas
from pipelines.references.cutout import Cutout, Place
from pipelines.references.goods import place_goods
from pipelines.references.landmark import Landmark, grow_mask, keep_pixels, seam_ratio

DRAWN, SIZE = (256, 192), (1440, 1080)
Rgb = np.ndarray[Any, np.dtype[np.uint8]]


def stripes(height: int, width: int, period: int) -> Rgb:
    """Vertical stripes that only a large picture can hold."""
    columns = (np.arange(width) // period % 2 * 255).astype(np.uint8)
    return np.broadcast_to(columns[None, :, None], (height, width, 3)).copy()


def enlarged(picture: Rgb) -> Rgb:
    return np.asarray(Image.fromarray(picture).resize(SIZE[::-1], Image.Resampling.BICUBIC))


def goods() -> Cutout:
    return Cutout(stripes(600, 400, 8), np.ones((600, 400), np.bool_))


def background() -> Rgb:
    rows = np.linspace(90, 160, 256)[:, None, None]
    return np.broadcast_to(rows, (256, 192, 3)).astype(np.uint8).copy()


@pytest.mark.parametrize("place", [Place(0.5, 0.9, 0.4), Place(0.95, 1.0, 0.3), Place(0.1, 0.3, 0.5)])
def test_goods_are_the_upload_where_they_were_drawn(place: Place) -> None:
    drawn = keep_pixels(background(), place_goods(goods(), place, background()))
    finished = lay_kept(enlarged(drawn), drawn, [goods_layer(goods(), place, DRAWN, SIZE)])
    small = place_goods(goods(), place, background()).mask
    rows, columns = np.flatnonzero(small.any(axis=1)), np.flatnonzero(small.any(axis=0))
    scale = SIZE[0] / DRAWN[0]
    inside = finished[int((rows[0] + 2) * scale) : int((rows[-1] - 1) * scale),
                      int((columns[0] + 2) * scale) : int((columns[-1] - 1) * scale)]  # fmt: skip
    contrast = inside.max(axis=1).astype(int) - inside.min(axis=1)
    assert contrast.min() > 200  # the stripes are there, in every row
    away = np.asarray(Image.fromarray((~grow_mask(small, 3)).astype(np.uint8) * 255).resize(SIZE[::-1])) == 255
    assert np.array_equal(finished[away], enlarged(drawn)[away])  # nothing else changes


def test_no_rim_of_the_enlarged_goods_stays() -> None:
    """A white product on grey: beyond its outline there is the background at once."""
    white = Cutout(np.full((601, 403, 3), 255, np.uint8), np.ones((601, 403), np.bool_))
    place, grey = Place(0.5, 0.9, 0.4), np.full((256, 192, 3), 90, np.uint8)
    drawn = place_goods(white, place, grey).image
    layer = goods_layer(white, place, DRAWN, SIZE)
    finished = lay_kept(enlarged(drawn), drawn, [layer])
    beyond = layer.share == 0
    assert finished[beyond].max() <= 92
    assert enlarged(drawn)[beyond].max() > 150  # as it was


def test_what_stands_before_goods_stays_before_them() -> None:
    place = Place(0.5, 0.9, 0.4)
    drawn = place_goods(goods(), place, background()).image
    drawn[180:190, 60:130] = (200, 40, 40)  # a finger
    finished = lay_kept(enlarged(drawn), drawn, [goods_layer(goods(), place, DRAWN, SIZE)])
    finger = finished[int(182 * 5.625) : int(188 * 5.625), int(80 * 5.625) : int(110 * 5.625)]
    assert np.abs(finger.astype(int) - (200, 40, 40)).max() < 12
    hidden = background()  # a take that shows none of it
    assert np.array_equal(
        lay_kept(enlarged(hidden), hidden, [goods_layer(goods(), place, DRAWN, SIZE)]), enlarged(hidden)
    )


def test_a_landmark_is_the_photo_and_its_seam_does_not_show() -> None:
    photo = np.asarray(
        Image.fromarray(np.random.default_rng(1).integers(60, 190, (128, 96, 3)).astype(np.uint8)).resize(
            (960, 1280), Image.Resampling.BICUBIC
        )
    ).copy()
    photo[500:700, 300:500] = stripes(200, 200, 5)
    mask = np.zeros((1280, 960), np.bool_)
    mask[480:720, 280:520] = True
    small = Landmark(fit_to_canvas(photo, *DRAWN), grow_mask(np.asarray(Image.fromarray(mask).resize(DRAWN[::-1])), 5))
    drawn = keep_pixels(np.full((256, 192, 3), 120, np.uint8), small)
    layer = landmark_layer(photo, mask, None, 5, DRAWN, SIZE)
    assert layer is not None
    finished = lay_kept(enlarged(drawn), drawn, [layer])
    whole = np.asarray(Image.fromarray(mask).resize(SIZE[::-1]))
    assert np.array_equal(finished[whole], fit_to_canvas(photo, *SIZE)[whole])
    assert seam_ratio(finished, grow_mask(whole, 5 * 5.6)) <= 1.5
    box = (0.0, 0.0, 0.2, 0.2)
    assert landmark_layer(photo, mask, box, 5, DRAWN, SIZE) is None  # the crop shows nothing of it


def test_nothing_of_a_landmark_shines_through_who_stands_before_it() -> None:
    """Beyond its margin the photo fades into the picture; not into the person that hides the margin."""
    photo = np.full((1280, 960, 3), 200, np.uint8)
    mask = np.zeros((1280, 960), np.bool_)
    mask[480:720, 280:520] = True
    small = np.asarray(Image.fromarray(mask).resize(DRAWN[::-1]))
    drawn = np.full((256, 192, 3), 200, np.uint8)
    drawn[60:200, 20:80] = (90, 50, 20)  # a person over the left half of it, and beyond
    layer = landmark_layer(photo, mask, None, 5, DRAWN, SIZE, behind=True)
    assert layer is not None
    finished = lay_kept(enlarged(drawn), drawn, [layer])
    person = finished[int(70 * 5.625) : int(190 * 5.625), int(24 * 5.625) : int(76 * 5.625)]
    assert np.abs(person.astype(int) - (90, 50, 20)).max() < 6
    flat = landmark_layer(photo, mask, None, 5, DRAWN, SIZE)
    assert flat is not None
    assert small.any()
    ghost = lay_kept(enlarged(drawn), drawn, [flat])  # as it was: its outline is seen on the person
    assert np.abs(ghost.astype(int) - finished).max() > 40
