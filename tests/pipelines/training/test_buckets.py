"""Pictures are placed in buckets: none enlarged, none lost, nothing that matters cut off."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.backbones import Backbone
from pipelines.progress import SILENT
from pipelines.training.batches import Batches
from pipelines.training.buckets import (
    Measured,
    batch_of,
    bucket_areas,
    bucket_shapes,
    crop_window,
    histogram,
    plan_buckets,
    turns_of_buckets,
)
from pipelines.training.dataset import measure_example, prepare_buckets
from pipelines.training.lora import LoraTrainingConfig, TrainingExample, plan_training, train_lora
from pipelines.training.pictures import Box, FramedLoss
from tests.pipelines.training.test_lora import BreaksAt, same

FLUX, MINIATURE = (16, (1024, 1024)), (32, (256, 192))


@pytest.mark.parametrize(("token", "own"), [FLUX, MINIATURE])
def test_shapes_are_whole_tokens_within_their_area(token: int, own: tuple[int, int]) -> None:
    for area in bucket_areas(token, own):
        shapes = bucket_shapes(token, area)
        assert len(shapes) >= 3
        for height, width in shapes:
            assert height % token == width % token == 0
            assert 0.85 * area <= height * width <= area
            assert 0.5 <= width / height <= 2
        assert all((w, h) in shapes for h, w in shapes if h == w)


def test_the_areas_are_those_of_the_family() -> None:
    assert bucket_areas(*FLUX) == (512**2, 768**2, 1024**2)
    assert [area // 32**2 for area in bucket_areas(*MINIATURE)] == [36, 48, 64, 80]
    assert bucket_areas(16, (512, 512)) == (512**2,)
    assert bucket_areas(16, (96, 64)) == (96 * 64,)
    assert (256, 192) in bucket_shapes(32, 48 * 32**2)


def _random(count: int, seed: int) -> list[Measured]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        height, width = (int(math.exp(rng.uniform(math.log(120), math.log(3000)))) for _ in range(2))
        size = rng.uniform(0.05, 0.5, 2) * (width, height)
        corner = rng.uniform(0, 1, 2) * ((width, height) - size)
        box = tuple(int(x) for x in (*corner, *(corner + size)))
        found.append(Measured(height, width, (box,) if rng.random() < 0.8 else ()))  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize(("token", "own"), [FLUX, MINIATURE])
@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_enlarged_lost_or_cut(token: int, own: tuple[int, int], seed: int) -> None:
    pictures = _random(60, seed)
    plan = plan_buckets(pictures, token, own, 4)
    placed = [(p.row, b) for b in plan.buckets for p in b.placements]
    assert {row for row, _ in placed} == set(range(60))
    assert len(placed) == len({(row, b.height, b.width) for row, b in placed})
    for bucket in plan.buckets:
        assert bucket.batch == max(1, 4 * own[0] * own[1] // (bucket.height * bucket.width))
        for place in bucket.placements:
            picture, (x0, y0, x1, y1) = pictures[place.row], place.frame.window
            assert 0 <= x0 < x1 <= picture.width
            assert 0 <= y0 < y1 <= picture.height
            if picture.height >= token and picture.width >= token:
                assert max(bucket.height / (y1 - y0), bucket.width / (x1 - x0)) < 1.06
            if place.frame.whole:
                assert all(x0 <= box[0] and y0 <= box[1] and box[2] <= x1 and box[3] <= y1 for box in picture.keep)
    assert sum(share for *_, share in histogram(plan)) == pytest.approx(1)
    assert [row[1] for row in histogram(plan)] == sorted((row[1] for row in histogram(plan)), reverse=True)


def test_a_large_picture_enters_every_area_once_and_a_small_one_only_its_own() -> None:
    large, small = Measured(640, 480), Measured(224, 160)
    plan = plan_buckets([large] * 12 + [small] * 12, *MINIATURE, 4)
    sizes = {row: [(b.height, b.width) for b in plan.buckets for p in b.placements if p.row == row] for row in (0, 12)}
    assert len(sizes[0]) == 4
    assert sizes[12] == [(224, 160)]


def test_a_backbone_that_knows_few_sizes_is_shown_no_other() -> None:
    known = ((256, 192), (256, 256))
    pictures = [*_random(40, 1), Measured(64, 48), Measured(192, 256), Measured(320, 256)]
    plan = plan_buckets(pictures, *MINIATURE, 4, sizes=known)
    assert {(b.height, b.width) for b in plan.buckets} <= set(known)
    assert {p.row for b in plan.buckets for p in b.placements} == set(range(43))
    assert [(b.height, b.width) for b in plan.buckets for p in b.placements if p.row == 40] == [(256, 192)]


def test_the_window_keeps_what_matters_else_there_is_none() -> None:
    tall = Measured(400, 200, ((0, 0, 100, 80),))
    assert crop_window(Measured(400, 200), 200, 200) == (0, 100, 200, 300)
    assert crop_window(tall, 200, 200) == (0, 0, 200, 200)
    assert crop_window(replace(tall, keep=((0, 350, 10, 400),)), 200, 200) == (0, 200, 200, 400)
    assert crop_window(replace(tall, keep=((0, 0, 10, 10), (0, 300, 10, 330))), 200, 200) is None


def test_what_no_window_holds_is_shown_about_its_middle_and_said() -> None:
    wide = Measured(200, 900, ((0, 50, 100, 150), (500, 50, 700, 150)))
    plan = plan_buckets([wide] * 4, *MINIATURE, 4)
    frames = [p.frame for b in plan.buckets for p in b.placements]
    assert frames
    assert not any(frame.whole for frame in frames)


def test_a_bucket_short_of_a_batch_joins_the_nearest_aspect_and_one_that_fits_nowhere_stays() -> None:
    portraits, nearly, panorama = [Measured(256, 192)] * 20, [Measured(256, 224)] * 2, [Measured(160, 320)] * 2
    areas = (48 * 32**2, 56 * 32**2)
    alone = plan_buckets([*portraits, *nearly, *panorama], *MINIATURE, 8, areas)
    sizes = {(b.height, b.width): {p.row for p in b.placements} for b in alone.buckets}
    assert sizes[256, 192] >= {*range(22)}
    assert sizes[160, 288] == {22, 23} or sizes.get((160, 320)) == {22, 23}
    assert alone.joined >= 0
    assert all(len(b.placements) >= batch_of((b.height, b.width), 8 * 48 * 32**2) for b in alone.buckets[:1])


def test_buckets_come_as_often_as_they_have_pictures_and_the_same_for_every_resume() -> None:
    turns = turns_of_buckets([30, 10, 60], 6000, 3)
    assert np.bincount(turns, minlength=3) / 6000 == pytest.approx([0.3, 0.1, 0.6], abs=0.03)
    assert np.array_equal(turns[:50], turns_of_buckets([30, 10, 60], 50, 3))


CONFIG = LoraTrainingConfig(rank=2, steps=8, batch_size=4, learning_rate=1e-3, checkpoint_every=3, seed=5, buckets=True)


def _examples() -> list[TrainingExample]:
    rng = np.random.default_rng(3)
    sizes = [(96, 64)] * 3 + [(64, 96)] * 3
    return [TrainingExample(rng.integers(0, 256, (*s, 3), np.uint8), f"a person {k}") for k, s in enumerate(sizes)]


def test_a_training_in_buckets_resumes_to_the_bit(tiny_backbone: Backbone, tmp_path: Path) -> None:
    plan = plan_training(tiny_backbone, _examples(), CONFIG)
    assert len(plan.buckets) >= 2
    whole = train_lora(tiny_backbone, _examples(), CONFIG, tmp_path / "a")
    assert all(np.isfinite(whole.losses))
    with pytest.raises(RuntimeError):
        train_lora(tiny_backbone, _examples(), CONFIG, tmp_path / "b", BreaksAt(5, RuntimeError()))
    assert same(train_lora(tiny_backbone, _examples(), CONFIG, tmp_path / "b"), whole)


def test_each_row_of_a_bucket_is_drawn_as_often_as_its_neighbours(tiny_backbone: Backbone) -> None:
    plan = plan_training(tiny_backbone, _examples(), CONFIG)
    sets = prepare_buckets(tiny_backbone, _examples(), plan, SILENT)
    assert {row for one in sets for row in one.rows} == set(range(6))
    drawn = Batches(sets, 6, 5, 200)
    times = {one: np.zeros(len(one.rows)) for one in sets}
    for step in range(200):
        one, rows = drawn.of_step(step)
        assert len(rows) == one.batch
        times[one] += np.bincount(rows, minlength=len(one.rows))
    assert all(np.ptp(counts) <= 1 and counts.min() > 0 for counts in times.values())


class _Corner:
    """Judges the mean of a box's pixels, and says where it was told that they are."""

    fingerprint = "corner"

    def __init__(self) -> None:
        self.told: list[tuple[int, int, tuple[int, int]]] = []

    def box(self, row: int) -> Box | None:
        return 40, 60, 72, 92

    def __call__(
        self, pixels: torch.Tensor, row: int, corner: tuple[int, int], generator: torch.Generator
    ) -> torch.Tensor:
        self.told.append((pixels.shape[1], pixels.shape[2], corner))
        return pixels.mean()


def test_a_judge_sees_framed_pictures_at_their_own_scale_and_place() -> None:
    picture = Measured(192, 128, ((40, 60, 72, 92),))
    frame = plan_buckets([picture] * 4, 16, (96, 64), 4).buckets[0].placements[0].frame
    judge = _Corner()
    framed = FramedLoss(judge, (0,), (frame,))
    assert framed.box(0) == (20, 30, 36, 46)
    framed(torch.zeros(3, 32, 32), 0, (16, 24), torch.Generator())
    assert judge.told == [(64, 64, (32, 48))]
    assert FramedLoss(judge, (0,), (replace(frame, window=(60, 60, 128, 162)),)).box(0) is None


def test_the_focus_is_what_a_crop_keeps_unless_boxes_say_so() -> None:
    focus = np.zeros((20, 30), np.bool_)
    focus[4:9, 10:12] = True
    image = np.zeros((20, 30, 3), np.uint8)
    assert measure_example(TrainingExample(image, "", focus)).keep == ((10, 4, 12, 9),)
    assert measure_example(TrainingExample(image, "", focus, ((1, 1, 2, 2),))).keep == ((1, 1, 2, 2),)
    assert measure_example(TrainingExample(image, "")).keep == ()
