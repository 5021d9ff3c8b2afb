"""Goods: cut out of plain and busy photos, placed where asked, and kept pixel by pixel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from personas.measures.goods import goods_similarity
from pipelines.backbones import Backbone
from pipelines.errors import BadInput
from pipelines.references.cutout import Place, cut_out, fit_box
from pipelines.references.goods import place_goods
from pipelines.references.landmark import Landmark
from pipelines.sampling.draw import draw
from pipelines.sampling.request import request_from

Rgb = npt.NDArray[np.uint8]


def bottle(noise: float, seed: int = 0) -> tuple[Rgb, npt.NDArray[np.bool_]]:
    """A red bottle with a white label on a grey table, and where it is."""
    image = np.full((400, 300, 3), (170, 172, 168), np.float64)
    body = np.zeros((400, 300), np.uint8)
    cv2.rectangle(body, (100, 140), (200, 360), 1, cv2.FILLED)
    cv2.rectangle(body, (135, 60), (165, 140), 1, cv2.FILLED)
    image[body > 0] = (180, 30, 40)
    image[200:280, 115:185] = 245
    image += np.random.default_rng(seed).normal(0, noise, image.shape)
    return image.clip(0, 255).astype(np.uint8), body > 0


@pytest.mark.parametrize("noise", [0.0, 6.0])
def test_the_product_is_told_from_its_background(noise: float) -> None:
    image, truth = bottle(noise)
    found = cut_out(image)
    mask = np.zeros(truth.shape, np.bool_)
    rows, columns = np.flatnonzero(truth.any(axis=1)), np.flatnonzero(truth.any(axis=0))
    assert abs(found.mask.shape[0] - len(rows)) <= 4
    assert abs(found.mask.shape[1] - len(columns)) <= 4
    mask[rows[0] : rows[0] + found.mask.shape[0], columns[0] : columns[0] + found.mask.shape[1]] = found.mask
    assert (mask & truth).sum() / (mask | truth).sum() > 0.95
    assert found.mask[160:200, 40:60].all()  # the label is part of it


def test_a_cut_out_png_is_taken_at_its_word() -> None:
    image, truth = bottle(0)
    found = cut_out(image, truth)
    assert found.mask.sum() == truth.sum()


def similarity(*told: Any) -> float:
    """That of a product that can be told."""
    found = goods_similarity(*told)
    assert found is not None
    return found


def test_goods_and_landmark_stay_exactly(tiny_backbone: Backbone) -> None:
    rng = np.random.default_rng(1)
    scene = rng.integers(0, 256, (96, 64, 3), dtype=np.uint8)
    tower = np.zeros((96, 64), np.bool_)
    tower[5:40, 2:14] = True
    goods = cut_out(*bottle(0))
    place = Place(0.75, 0.95, 0.4)
    mark = place_goods(goods, place, scene, Landmark(scene, tower))
    rows = np.flatnonzero((mark.mask & ~tower).any(axis=1))
    assert (rows[0], rows[-1] + 1) == (round(0.95 * 96) - round(0.4 * 96), round(0.95 * 96))
    np.testing.assert_array_equal(mark.image[tower], scene[tower])
    request = replace(request_from(tiny_backbone.spec, "a woman with a bottle", 1), references=(mark,))
    drawn = next(draw(tiny_backbone, [request]))[1]
    np.testing.assert_array_equal(drawn[mark.mask], mark.image[mark.mask])
    assert goods_similarity(drawn, goods, place) == 1
    without = next(draw(tiny_backbone, [replace(request, references=())]))[1]
    assert similarity(without, goods, place) < 0.9


@pytest.mark.parametrize("place", [Place(0.3, 0.8, 0.33), Place(0.7, 0.97, 0.61)])
def test_a_product_is_found_wherever_it_is(place: Place) -> None:
    rng = np.random.default_rng(3)
    scene = cv2.resize(rng.integers(60, 200, (12, 9, 3), dtype=np.uint8), (288, 384), interpolation=cv2.INTER_CUBIC)
    goods = cut_out(*bottle(0))
    shown = place_goods(goods, place, scene).image
    other = place_goods(replace(goods, image=goods.image[..., ::-1].copy()), place, scene).image
    assert similarity(shown, goods) > 0.9
    assert goods_similarity(shown, goods, place) == 1
    assert similarity(other, goods) < 0.6
    assert similarity(scene, goods) < 0.6
    assert goods_similarity(np.full_like(scene, 128), goods) == pytest.approx(0, abs=0.01)


def test_a_colour_alone_is_no_product() -> None:
    """A white bottle would be found on any white wall, and a dark one on any dark sofa."""
    room = np.full((384, 288, 3), (244, 243, 240), np.uint8)
    room[250:] = (60, 40, 30)
    room[200:300, 40:200] = (14, 13, 12)
    goods, place = cut_out(*bottle(0)), Place(0.5, 0.5, 0.4)
    for colour in ((250, 250, 250), (12, 12, 12)):
        plain = replace(goods, image=np.full_like(goods.image, colour))
        assert goods_similarity(room, plain) is None
        assert goods_similarity(place_goods(plain, place, room).image, plain, place) == 1  # it is known where it stands
    assert similarity(place_goods(goods, place, room).image, goods) > 0.9
    assert similarity(room, goods) < 0.3


def test_goods_fill_their_box() -> None:
    goods = cut_out(*bottle(0))
    for box in ((0.1, 0.2, 0.9, 0.7), (0.5, 0.0, 0.7, 1.0)):
        place = fit_box(goods, box, (400, 300))
        mask = place_goods(goods, place, np.zeros((400, 300, 3), np.uint8)).mask
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert rows[-1] + 1 == pytest.approx(box[3] * 400, abs=1)
        assert box[0] * 300 - 1 <= columns[0] < columns[-1] <= box[2] * 300
        assert box[1] * 400 - 1 <= rows[0]
        assert max(len(rows) / (400 * (box[3] - box[1])), len(columns) / (300 * (box[2] - box[0]))) > 0.97
    for wrong in ((0.5, 0.2, 0.4, 0.7), (0.0, 0.0, 1.0, 1.1), (float("nan"), 0.0, 1.0, 1.0)):
        with pytest.raises(BadInput, match="goods_box_invalid"):
            fit_box(goods, wrong, (400, 300))


def test_no_background_colour_bleeds_in() -> None:
    goods = cut_out(*bottle(0))
    mark = place_goods(goods, Place(0.5, 0.9, 0.3), np.zeros((96, 64, 3), np.uint8))
    red = mark.image[mark.mask].astype(int)
    grey = np.abs(red - (170, 172, 168)).max(axis=1) < 20
    assert not grey.any()


def test_what_is_no_product_or_no_place_is_refused() -> None:
    with pytest.raises(BadInput, match="goods_not_cut_out"):
        cut_out(np.full((200, 200, 3), 128, np.uint8))
    with pytest.raises(BadInput, match="goods_not_cut_out"):
        cut_out(bottle(0)[0], np.zeros((400, 300), np.bool_))
    with pytest.raises(BadInput, match="goods_place_invalid"):
        Place(0.5, 0.5, 0.0)
    goods = cut_out(*bottle(0))
    with pytest.raises(BadInput, match="goods_outside"):
        place_goods(goods, Place(0.5, 0.0, 0.1), np.zeros((96, 64, 3), np.uint8))
