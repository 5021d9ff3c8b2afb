"""Detail: off exactly at 0, the formula where it is on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipelines.backbones import Backbone, encode_prompt
from pipelines.families.model import Extras
from pipelines.references.landmark import Landmark
from pipelines.sampling.detail import Detail, detail_factor
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.loop import Step
from pipelines.sampling.request import DrawRequest, plan_batches, request_from


def _request(backbone: Backbone, seed: int = 1, **changes: object) -> DrawRequest:
    return request_from(backbone.spec, "a young woman", seed, num_inference_steps=6, **changes)


def test_the_factor_is_a_bump_that_is_off_at_both_ends() -> None:
    assert [detail_factor(p, 1.0) for p in (0.0, 0.2, 0.8, 1.0)] == [1.0] * 4
    assert detail_factor(0.5, 1.0) == pytest.approx(0.9)
    assert detail_factor(0.5, 1.0, cfg=2.5) == pytest.approx(0.75)
    assert detail_factor(0.35, 1.0) == pytest.approx(0.95)
    assert detail_factor(0.5, 2.0, cfg=9.0) == 1e-6
    assert all(detail_factor(p / 10, 0.0) == 1.0 for p in range(11))


def test_the_model_sees_the_shifted_sigma_and_its_velocity_is_scaled(tiny_backbone_float32: Backbone) -> None:
    model = tiny_backbone_float32.model
    conditioning = model.condition(encode_prompt(tiny_backbone_float32, "a woman"), 96, 64, 0.0, Extras())
    state, sigma = model.noise(1, 96, 64), torch.tensor(0.5)
    extension = Detail(1.0, 1.0, begin=1, steps=5)
    wrapped = extension.wrap(model.velocity)
    extension.after_step(state, Step(1, sigma, sigma, state))  # now at the middle step, where the factor is 0.9
    with torch.no_grad():
        shifted = wrapped(state, torch.tensor([0.5]), conditioning)
        plain = model.velocity(state, torch.tensor([0.5 * 0.9]), conditioning)
    torch.testing.assert_close(shifted, 0.9 * plain)
    assert not torch.equal(plain, shifted)


@pytest.mark.parametrize("ways", [{"detail": 1.0}, {"renoise": 0.5}, {"detail": 0.5, "renoise": 0.5}])
def test_off_is_off_and_pictures_do_not_depend_on_their_neighbours_settings(
    tiny_backbone: Backbone, ways: dict[str, float]
) -> None:
    ours, plain = _request(tiny_backbone, 7, **ways), _request(tiny_backbone, 7)
    assert plan_batches([ours, _request(tiny_backbone, 8), replace(ours, seed=9)]) == ((0, 2), (1,))
    before = draw_batch(tiny_backbone, [plain])[0]
    first = draw_batch(tiny_backbone, [ours])[0]
    assert not np.array_equal(first, before)
    assert np.array_equal(first, draw_batch(tiny_backbone, [ours])[0])
    assert not np.array_equal(first, draw_batch(tiny_backbone, [replace(ours, seed=9)])[0])
    assert np.array_equal(before, draw_batch(tiny_backbone, [plain])[0])


def test_a_landmark_stays_exact(tiny_backbone: Backbone) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (96, 64, 3), dtype=np.uint8)
    mask = np.zeros((96, 64), bool)
    mask[40:70, 10:40] = True
    request = _request(tiny_backbone, references=(Landmark(photo, mask),), detail=1.0, renoise=0.4)
    drawn = draw_batch(tiny_backbone, [request])[0]
    assert np.array_equal(drawn[mask], photo[mask])
