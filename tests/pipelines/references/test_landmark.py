"""Landmarks: exact pixels, a seam that does not show, and nothing touched far from it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from scipy import ndimage

from pipelines.backbones import Backbone
from pipelines.errors import BadInput
from pipelines.references.landmark import (
    SEAM_LIMIT,
    Landmark,
    _membrane,
    encode_kept,
    grow_mask,
    keep_pixels,
    seam_ratio,
)

Rgb = npt.NDArray[np.uint8]
SIZE = (128, 96)


def clouds(seed: int, detail: int = 8, low: int = 0, high: int = 256) -> Rgb:
    small = np.random.default_rng(seed).integers(low, high, (detail * 4 // 3, detail, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize(SIZE[::-1], Image.Resampling.BICUBIC))


def disc(radius: int = 28) -> npt.NDArray[np.bool_]:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.asarray((y - 70) ** 2 + (x - 40) ** 2 < radius**2)


def flat(value: int) -> Rgb:
    return np.full((*SIZE, 3), value, np.uint8)


CASES = {
    "smooth on smooth": (clouds(0), clouds(1), disc()),
    "dark on light": (clouds(2, low=0, high=60), clouds(3, low=190, high=256), disc()),
    "flat on flat": (flat(30), flat(220), disc()),
    "noise on flat": (
        np.random.default_rng(4).integers(0, 256, (*SIZE, 3), dtype=np.uint8),
        flat(10),
        disc(),
    ),
    "flat on noise": (
        flat(10),
        np.random.default_rng(5).integers(0, 256, (*SIZE, 3), dtype=np.uint8),
        disc(),
    ),
    "touching the border": (clouds(6), clouds(7), np.tile(np.arange(SIZE[1]) < 40, (SIZE[0], 1))),
    "thin": (clouds(8), clouds(9), disc() & ~disc(25)),
    "nearly everything": (clouds(10), clouds(11), ~disc(10)),
}


@pytest.mark.parametrize("case", CASES)
def test_kept_pixels_are_exact_and_the_seam_does_not_show(case: str) -> None:
    scene, drawn, mask = CASES[case]
    pasted = drawn.copy()
    pasted[mask] = scene[mask]
    result = keep_pixels(drawn, Landmark(scene, mask))
    assert np.array_equal(result[mask], scene[mask])
    assert seam_ratio(result, mask) <= SEAM_LIMIT
    if case in ("smooth on smooth", "dark on light", "flat on flat"):
        assert seam_ratio(pasted, mask) > 3  # so the bending did it


def test_far_from_the_seam_nothing_changes() -> None:
    scene, drawn, mask = CASES["dark on light"]
    result = keep_pixels(drawn, Landmark(scene, mask))
    far = ndimage.distance_transform_edt(~mask) > 6 * 6 + 1
    assert far.sum() > 500
    assert np.array_equal(result[far], drawn[far])


def test_a_drawing_that_fits_is_left_alone() -> None:
    scene = clouds(0)
    assert np.array_equal(keep_pixels(scene, Landmark(scene, disc())), scene)


def test_a_drawing_that_is_only_lighter_keeps_its_detail() -> None:
    """The correction is smooth: a constant offset at the seam must not blur what was drawn."""
    scene = clouds(0, low=40, high=200)
    drawn = scene + np.uint8(30)
    result = keep_pixels(drawn, Landmark(scene, disc()))
    near = (ndimage.distance_transform_edt(~disc()) < 5) & ~disc()
    assert np.abs(result.astype(int) - scene)[near].mean() < 12  # taken over most of the offset ...
    steps = np.abs(np.diff(result.astype(int), axis=1) - np.diff(scene.astype(int), axis=1))
    assert steps.mean() < 1  # ... and none of the detail lost


def test_seam_ratio_of_known_pictures() -> None:
    mask = np.zeros((40, 40), np.bool_)
    mask[:, :20] = True
    ramp = np.repeat(np.tile(np.arange(40, dtype=np.uint8) * 4, (40, 1))[..., None], 3, axis=2)
    # horizontal steps are 4 and vertical ones 0: the seam has the horizontal ones only
    assert seam_ratio(ramp, mask) == pytest.approx(4.5 / (4 * 10 * 40 / (10 * 40 + 12 * 39) + 0.5), rel=1e-6)
    step = np.zeros((40, 40, 3), np.uint8)
    step[mask] = 100
    assert seam_ratio(step, mask) == pytest.approx(100.5 / 0.5)
    assert seam_ratio(np.zeros((40, 40, 3), np.uint8), mask) == 1.0


def test_a_step_moved_outwards_is_still_a_step() -> None:
    mask = np.zeros((40, 40), np.bool_)
    mask[:, :20] = True
    for moved in (0, 1, 2):
        step = np.zeros((40, 40, 3), np.uint8)
        step[:, : 20 + moved] = 100
        assert seam_ratio(step, mask) == pytest.approx(201.0)


def test_the_membrane_solves_its_equation() -> None:
    mask = np.zeros((24, 20), np.bool_)
    mask[8:14, 6:12] = True
    difference = np.random.default_rng(0).normal(0, 10, (24, 20, 3))
    c = _membrane(difference, mask, 8.0)  # six lengths reach everywhere here
    whole = np.where(mask[..., None], difference, c)
    padded = np.pad(whole, ((1, 1), (1, 1), (0, 0)), mode="edge")
    neighbours = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    y, x = np.mgrid[:24, :20]
    ys, xs = np.nonzero(mask)
    distance = np.sqrt((y[..., None] - ys) ** 2 + (x[..., None] - xs) ** 2).min(axis=2)
    screening = np.minimum(distance / 16, 1)[..., None] / 64
    residual = screening * whole - (neighbours - 4 * whole)
    assert np.abs(residual[~mask]).max() < 0.02
    assert np.all(c[mask] == 0)


def test_a_grown_mask_keeps_a_margin_but_no_person() -> None:
    mask = disc(10)
    person = np.zeros(SIZE, np.bool_)
    person[:, 48:60] = True
    grown = grow_mask(mask, 5)
    assert np.array_equal(grown, ndimage.distance_transform_edt(~mask) <= 5)
    spared = grow_mask(mask, 5, person)
    assert np.array_equal(spared & person, mask & person)  # what was marked stays marked
    assert np.array_equal(spared & ~person, grown & ~person)
    assert np.array_equal(grow_mask(mask, 0), mask)


def test_latents_are_kept_where_most_of_their_pixels_are(tiny_backbone: Backbone) -> None:
    mask = np.zeros((96, 64), np.bool_)
    mask[:40, :23] = True  # cells of 16: rows 0, 1 and half of 2; column 0 and 7/16 of column 1
    scene = np.random.default_rng(0).integers(0, 256, (96, 64, 3), dtype=np.uint8)
    kept, other = (encode_kept(tiny_backbone, Landmark(scene, m)) for m in (mask, ~mask))
    repaint = tiny_backbone.model.unpack(kept.repaint, 96, 64)
    expected = torch.ones(1, 8, 6, 4)
    expected[:, :, :3, :1] = 0
    assert torch.equal(repaint.float(), expected)
    assert kept.pictures.dtype == tiny_backbone.dtype
    assert torch.equal(kept.pictures, other.pictures)


def test_wrong_landmarks() -> None:
    with pytest.raises(BadInput, match="landmark_keeps_nothing"):
        Landmark(clouds(0), np.zeros(SIZE, np.bool_))
    with pytest.raises(BadInput, match="landmark_keeps_everything"):
        Landmark(clouds(0), np.ones(SIZE, np.bool_))
    with pytest.raises(BadInput, match="landmark_mask_size"):
        Landmark(clouds(0), disc().T)
