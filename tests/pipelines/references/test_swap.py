"""Face swap: the region lies on the face, the way to the canvas and back is exact, outside nothing changes."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pipelines.backbones import Backbone
from pipelines.errors import BadInput
from pipelines.families.autoencoder import decode_latents, encode_pictures
from pipelines.references.landmark import keep_pixels
from pipelines.references.swap import (
    face_region,
    grow_region,
    paste_face,
    resize_canvas,
    swap_landmark,
    times_enlarged,
    view_head,
)
from pipelines.sampling.draw import draw
from pipelines.sampling.request import request_from

CANVAS = (96, 64)
POINTS = np.array([[-20, -15], [20, -15], [0, 5], [-14, 25], [14, 25]], np.float64)


def photo(seed: int = 0, height: int = 300, width: int = 240) -> npt.NDArray[np.uint8]:
    """Smooth, so that resampling there and back loses little."""
    y, x = np.mgrid[:height, :width]
    rng = np.random.default_rng(seed)
    waves = [np.sin(x / rng.uniform(15, 30) + y / rng.uniform(15, 30) + rng.uniform(0, 6)) for _ in range(3)]
    return np.asarray(np.stack(waves, axis=2) * 100 + 128, np.uint8)


def turned(
    degrees: float, centre: tuple[float, float] = (120, 140)
) -> tuple[tuple[float, float, float, float], npt.NDArray[np.float32]]:
    a = np.deg2rad(degrees)
    points = POINTS @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) + centre
    return (centre[0] - 40, centre[1] - 52, centre[0] + 40, centre[1] + 52), np.asarray(points, np.float32)


@pytest.mark.parametrize("degrees", [0, 25, -60, 170])
def test_the_face_stands_upright_in_the_middle_of_the_canvas(degrees: float) -> None:
    box, points = turned(degrees)
    region = face_region((300, 240), box, points, CANVAS)
    on_canvas = points @ region.to_canvas[:, :2].T + region.to_canvas[:, 2]
    eyes, mouth = on_canvas[:2].mean(axis=0), on_canvas[3:].mean(axis=0)
    assert abs(eyes[0] - mouth[0]) < 0.5
    assert mouth[1] > eyes[1]
    assert on_canvas[0, 0] < on_canvas[1, 0]
    assert abs(eyes[0] - CANVAS[1] / 2) < 1
    alpha = region.alpha[points[:, 1].round().astype(int), points[:, 0].round().astype(int)]
    assert (alpha > 0.9).all()
    assert 0.03 < (region.alpha > 0).mean() < 0.2


@pytest.mark.parametrize("degrees", [0, 40])
def test_there_and_back_the_face_is_where_it_was(degrees: float) -> None:
    image = photo()
    region = face_region(image.shape[:2], *turned(degrees), (384, 288))
    back = paste_face(image, swap_landmark(image, region, 384, 288).image, region)
    assert np.abs(back.astype(int) - image).max() <= 4
    np.testing.assert_array_equal(back[region.alpha == 0], image[region.alpha == 0])


def test_a_larger_canvas_is_pasted_into_the_same_place() -> None:
    """A sharp copy of the canvas at twice its size brings the picture back more exactly than the canvas itself."""
    image = photo()
    region = face_region(image.shape[:2], *turned(10), CANVAS)
    times = times_enlarged(region)
    assert times > 1  # the face is larger in the picture than on the canvas
    size = round(CANVAS[0] * times), round(CANVAS[1] * times)
    large = resize_canvas(region, CANVAS, size)
    flags, border = cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101
    canvases = {
        own: cv2.warpAffine(image, own.to_canvas, shape[::-1], flags=flags, borderMode=border)
        for own, shape in ((region, CANVAS), (large, size))
    }
    inside = region.alpha > 0.99
    coarse, fine = (
        np.abs(paste_face(image, canvas, own).astype(int) - image)[inside].mean() for own, canvas in canvases.items()
    )
    assert fine < 0.7 * coarse


def test_outside_the_region_every_pixel_stays(tiny_backbone: Backbone) -> None:
    image = photo()
    hair = np.zeros(CANVAS, np.bool_)
    hair[8:40, 16:48] = True
    face = face_region(image.shape[:2], *turned(10), CANVAS)
    region = grow_region(face, hair)
    request = replace(
        request_from(tiny_backbone.spec, "close-up portrait of a woman", 5),
        references=(swap_landmark(image, region, *CANVAS),), strength=0.7,
    )  # fmt: skip
    drawn = next(draw(tiny_backbone, [request]))[1]
    swapped = paste_face(image, drawn, region)
    outside = region.alpha == 0
    np.testing.assert_array_equal(swapped[outside], image[outside])
    assert np.abs(swapped[~outside].astype(int) - image[~outside]).mean() > 5
    assert (region.alpha > 0).sum() > 1.2 * (face.alpha > 0).sum()
    assert (region.alpha >= face.alpha - 1e-6).all()
    again = next(draw(tiny_backbone, [request]))[1]
    np.testing.assert_array_equal(again, drawn)


def test_less_strength_stays_nearer_to_the_picture(tiny_backbone: Backbone) -> None:
    image = photo()
    region = face_region(image.shape[:2], *turned(0), CANVAS)
    mark = swap_landmark(image, region, *CANVAS)
    base = replace(request_from(tiny_backbone.spec, "a woman", 1), num_inference_steps=8, references=(mark,))
    far, near = (next(draw(tiny_backbone, [replace(base, strength=s)]))[1] for s in (1.0, 0.05))
    vae = tiny_backbone.model.vae  # of random weights: what it makes of the picture is the nearest that can be reached
    same = keep_pixels(decode_latents(vae, encode_pictures(vae, mark.image[None]))[0], mark)
    error = [np.abs(d.astype(int) - same).mean() for d in (far, near)]
    assert error[1] < 0.7 * error[0]


def test_a_face_too_small_or_a_strength_of_nothing_is_refused(tiny_backbone: Backbone) -> None:
    _, points = turned(0)
    tiny = (points - points.mean(axis=0)) / 10 + points.mean(axis=0)
    with pytest.raises(BadInput, match="face_too_small"):
        face_region((300, 240), (118, 138, 122, 143), tiny.astype(np.float32), CANVAS)
    with pytest.raises(BadInput, match="strength"):
        replace(request_from(tiny_backbone.spec, "a woman", 1), strength=0.5)


def test_hair_is_drawn_anew_up_to_its_edge() -> None:
    """The smooth edge lies outside of the hair: on it, a rim of the old colour would be left."""
    face = face_region((300, 240), *turned(0), CANVAS)
    hair = np.zeros(CANVAS, np.bool_)
    hair[12:40, 16:48] = True
    region = grow_region(face, hair)
    image = photo()
    view, there, drawn = view_head(image, region, *CANVAS)
    assert view.shape == (*CANVAS, 3)
    assert there.mean() < 1  # it shows more than the picture has
    scale = float(np.hypot(*face.to_canvas[:, 0]))
    points = np.argwhere(hair)[:, ::-1]
    back = (points - face.to_canvas[:, 2]) @ np.linalg.inv(face.to_canvas[:, :2]).T
    inside = (back > 1 / scale).all(axis=1) & (back < np.array([239, 299]) - 1 / scale).all(axis=1)
    x, y = back[inside].round().astype(int).T
    assert (region.alpha[y, x] > 0.9).mean() > 0.97
    assert drawn.any()


def test_a_view_of_the_head_is_the_canvas_at_half_its_size() -> None:
    image = photo()
    region = face_region(image.shape[:2], *turned(20), (384, 288))
    view, there, _ = view_head(image, region, 384, 288)
    canvas = swap_landmark(image, region, 384, 288).image
    middle = view[96:288, 72:216]
    small = np.asarray(Image.fromarray(canvas).resize((144, 192), Image.Resampling.BOX))
    seen = there[96:288, 72:216]
    assert np.abs(middle.astype(int) - small)[seen].mean() < 4
