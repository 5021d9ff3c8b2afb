"""Kept pixels in depth: behind the person, in front of the background, and exact wherever nobody stands before them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from personas.measures.seam import exact_share
from pipelines.masks import MARGIN_PX
from pipelines.references.cutout import Cutout, Place
from pipelines.references.goods import goods_pixels, place_goods
from pipelines.references.landmark import Landmark, grow_mask
from pipelines.references.layers import KeptLayers, Seen, front_of

Rgb = npt.NDArray[np.uint8]
SIZE = (128, 96)
PERSON = (30, 60, 200)


def box(top: int, bottom: int, left: int, right: int) -> npt.NDArray[np.bool_]:
    mask = np.zeros(SIZE, np.bool_)
    mask[top:bottom, left:right] = True
    return mask


NOBODY = box(0, 0, 0, 0)
HEAD, BODY = box(20, 50, 40, 70), box(50, 128, 30, 80)
MARKED = box(40, 90, 64, 92)


def photo() -> Rgb:
    """A yellow thing before a wall that becomes darker downwards."""
    wall = np.linspace(200, 120, SIZE[0])[:, None, None] * np.ones((1, SIZE[1], 3))
    wall[MARKED] = (230, 200, 40)
    return wall.round().astype(np.uint8)


def drawn() -> Rgb:
    """The person before a wall that is darker than the photo's."""
    wall = np.linspace(170, 90, SIZE[0])[:, None, None] * np.ones((1, SIZE[1], 3))
    wall[HEAD | BODY] = PERSON
    return wall.round().astype(np.uint8)


def seen(picture: Rgb) -> Seen:
    person = np.abs(picture.astype(int) - PERSON).max(axis=2) < 40
    return Seen(person, person & (np.arange(SIZE[0]) < 50)[:, None], NOBODY)


def layers(**changes: object) -> KeptLayers:
    fields: dict[str, object] = {"look": seen, "photo": photo(), "marked": MARKED} | changes
    return KeptLayers(photo(), grow_mask(MARKED, MARGIN_PX), **fields)  # type: ignore[arg-type]


def tin(held: npt.NDArray[np.bool_] = NOBODY) -> KeptLayers:
    goods = Cutout(np.full((60, 40, 3), (190, 30, 40), np.uint8), np.ones((60, 40), np.bool_))
    place = Place(0.5, 0.6, 0.35)
    kept = place_goods(goods, place, photo())
    return KeptLayers(
        kept.image, kept.mask, look=lambda p: Seen(HEAD | BODY, HEAD, held), held=bool(held.any()),
        goods=goods_pixels(goods, place, SIZE),
    )  # fmt: skip


def test_the_person_stands_before_the_landmark() -> None:
    result = layers().finish(drawn())
    inside = ndimage.binary_erosion(HEAD | BODY, iterations=3)
    assert np.array_equal(result[inside], drawn()[inside])  # whole, also where the landmark is
    away = MARKED & (ndimage.distance_transform_edt(~(HEAD | BODY)) > 3)
    assert away.sum() > 300
    assert np.array_equal(result[away], photo()[away])
    hidden = front_of(result, photo(), MARKED)
    assert hidden[MARKED & inside].all()
    assert not hidden[away].any()


def test_nobody_in_front_leaves_all_of_it() -> None:
    result = layers(look=lambda p: Seen(NOBODY, NOBODY, NOBODY)).finish(drawn())
    kept = grow_mask(MARKED, MARGIN_PX)
    assert np.array_equal(result[kept], photo()[kept])


def test_the_background_meets_the_photo_and_the_person_is_not_bent() -> None:
    result = layers().finish(drawn()).astype(int)
    beside = box(55, 85, 92, 96)  # wall right of the landmark, 30 levels too dark as it was drawn
    assert np.abs(result - photo())[beside].max() <= 2
    far = box(100, 128, 0, 20)
    assert np.array_equal(result[far], drawn()[far])
    person = ndimage.binary_erosion(BODY, iterations=3)
    assert np.array_equal(result[person], drawn()[person])


def test_what_the_person_hides_is_drawn() -> None:
    hidden = layers().hidden(drawn())
    assert hidden[HEAD | BODY].all()
    assert not hidden[ndimage.distance_transform_edt(~(HEAD | BODY)) > 4].any()
    assert not Landmark(photo(), MARKED).looks  # kept whole, as ever
    assert not Landmark(photo(), MARKED).hidden(drawn()).any()


def test_specks_of_a_reading_hide_nothing() -> None:
    speck = NOBODY.copy()
    speck[60, 80] = speck[61, 80] = True
    result = layers(look=lambda p: Seen(speck, NOBODY, NOBODY)).finish(drawn())
    assert np.array_equal(result[MARKED], photo()[MARKED])


def test_goods_never_lie_over_a_face_and_their_pixels_are_exact() -> None:
    kept = tin()
    assert kept.goods is not None
    result = kept.finish(drawn())
    face = ndimage.binary_erosion(HEAD, iterations=3)
    assert (kept.goods.mask & face).any()
    assert np.array_equal(result[face], drawn()[face])
    shown = kept.goods.mask & ~ndimage.binary_dilation(HEAD, iterations=3) & (kept.goods.share == 1)
    assert shown.sum() > 200
    assert np.array_equal(result[shown], kept.goods.image[shown])


def test_fingers_lie_over_goods_where_they_may_be_held() -> None:
    hand = box(60, 66, 40, 60)
    result = tin(hand).finish(drawn())
    middle = ndimage.binary_erosion(hand, iterations=2)
    assert np.array_equal(result[middle], drawn()[middle])
    stands = tin().finish(drawn())
    assert (stands[middle] == (190, 30, 40)).all()  # it stands before the person


def test_no_glow_is_left_around_goods() -> None:
    """The drawing has the goods' colour bled into what is beside them."""
    kept = tin()
    assert kept.goods is not None
    picture = np.full((*SIZE, 3), 120, np.uint8)
    bleed = grow_mask(kept.goods.mask, 3)
    picture[bleed] = (175, 90, 90)
    alone = KeptLayers(kept.image, kept.mask, look=lambda p: Seen(NOBODY, NOBODY, NOBODY), goods=kept.goods)
    result = alone.finish(picture).astype(int)
    rim = grow_mask(kept.goods.mask, 3) & ~grow_mask(kept.goods.mask, 1)
    colour = result[rim]
    assert (colour.max(axis=1) - colour.min(axis=1)).mean() < 6  # grey again; a shadow at the foot is grey, too


def test_goods_on_a_landmark_change_none_of_its_pixels() -> None:
    """Neither by their shadow nor by what is drawn anew around them."""
    goods = Cutout(np.full((60, 40, 3), (190, 30, 40), np.uint8), np.ones((60, 40), np.bool_))
    stands = goods_pixels(goods, Place(0.8, 0.6, 0.15), SIZE)
    assert (MARKED & stands.mask).sum() > 100
    assert not stands.mask[-3:].any()
    result = layers(goods=stands).finish(drawn())
    free = MARKED & (ndimage.distance_transform_edt(~(HEAD | BODY)) > 3)
    free &= ndimage.distance_transform_edt(~stands.mask) > 1
    assert exact_share(result, photo(), free, NOBODY) == 1
    assert (result[stands.mask & (stands.share == 1) & ~(HEAD | BODY)] == (190, 30, 40)).all()


@pytest.mark.parametrize("place", [Place(0.0, 0.2, 0.4), Place(1.0, 1.0, 1.0)])
def test_goods_may_reach_over_the_edge(place: Place) -> None:
    goods = Cutout(np.full((60, 40, 3), 9, np.uint8), np.ones((60, 40), np.bool_))
    hard, soft = place_goods(goods, place, photo()), goods_pixels(goods, place, SIZE)
    assert np.array_equal(hard.mask, soft.mask)
