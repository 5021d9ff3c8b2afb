"""More detail, fresh noise: off exactly at 0, the formulas where they are on."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipelines.backbones import Backbone
from pipelines.errors import BadInput
from pipelines.references.landmark import Landmark
from pipelines.sampling.draw import DrawRequest, draw_batch, plan_batches, request_from
from pipelines.sampling.realism import Position, Realism, detail_factor, fresh_noise, renoise, shifted_model


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
    model = tiny_backbone_float32.transformer
    seen: list[float] = []
    spy = model.time_text_embed.register_forward_pre_hook(lambda _, args: seen.append(float(args[0][0])))
    torch.manual_seed(0)
    tokens = (96 // 16) * (64 // 16)
    call = {
        "hidden_states": torch.randn(1, tokens, model.config.in_channels),
        "encoder_hidden_states": torch.randn(1, 4, model.config.joint_attention_dim),
        "pooled_projections": torch.randn(1, model.config.pooled_projection_dim),
        "img_ids": torch.zeros(tokens, 3), "txt_ids": torch.zeros(4, 3), "return_dict": False,
    }  # fmt: skip
    with torch.no_grad(), shifted_model(model, 1.0, 1.0, Position(2, 5)):
        shifted = model(timestep=torch.tensor([0.5]), **call)[0]
    with torch.no_grad():
        plain = model(timestep=torch.tensor([0.5 * 0.9]), **call)[0]
    spy.remove()
    assert seen == [pytest.approx(450), pytest.approx(450)]
    torch.testing.assert_close(shifted, 0.9 * plain)


def test_off_is_off_bit_by_bit(tiny_backbone: Backbone) -> None:
    plain = draw_batch(tiny_backbone, [_request(tiny_backbone)])[0]
    hooks = len(tiny_backbone.transformer._forward_hooks)
    off = draw_batch(tiny_backbone, [_request(tiny_backbone, realism=Realism(0.0, 0.0))])[0]
    on = draw_batch(tiny_backbone, [_request(tiny_backbone, realism=Realism(1.0, 0.3))])[0]
    again = draw_batch(tiny_backbone, [_request(tiny_backbone)])[0]
    assert np.array_equal(plain, off)
    assert not np.array_equal(plain, on)
    assert np.array_equal(plain, again)
    assert len(tiny_backbone.transformer._forward_hooks) == hooks


@pytest.mark.parametrize("realism", [Realism(detail=1.0), Realism(renoise=0.5), Realism(0.5, 0.5)])
def test_pictures_do_not_depend_on_their_neighbours_settings(tiny_backbone: Backbone, realism: Realism) -> None:
    ours = _request(tiny_backbone, 7, realism=realism)
    assert plan_batches([ours, _request(tiny_backbone, 8), replace(ours, seed=9)]) == ((0, 2), (1,))
    first = draw_batch(tiny_backbone, [ours])[0]
    assert np.array_equal(first, draw_batch(tiny_backbone, [ours])[0])
    assert not np.array_equal(first, draw_batch(tiny_backbone, [replace(ours, seed=9)])[0])


def test_renoising_replaces_a_share_of_the_noise_and_keeps_its_variance() -> None:
    torch.manual_seed(1)
    clean, noise = torch.randn(2, 4000, 8) * 0.3, torch.randn(2, 4000, 8)
    before, now = 0.7, 0.6
    earlier, later = ((1 - s) * clean + s * noise for s in (before, now))
    fresh = fresh_noise(later, [3, 4])
    amount = 0.6
    found = (renoise(earlier, later, before, now, amount, fresh) - (1 - now) * clean) / now
    torch.testing.assert_close(found, math.sqrt(1 - amount**2) * noise + amount * fresh, atol=1e-4, rtol=1e-4)
    assert float(found.std()) == pytest.approx(1.0, abs=0.02)
    torch.testing.assert_close(renoise(earlier, later, before, now, 0.0, fresh), later, atol=1e-5, rtol=1e-5)
    assert torch.equal(fresh_noise(later[1:], [4])[0], fresh[1])


def test_a_landmark_stays_exact_with_realism(tiny_backbone: Backbone) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (96, 64, 3), dtype=np.uint8)
    mask = np.zeros((96, 64), bool)
    mask[40:70, 10:40] = True
    request = _request(tiny_backbone, landmark=Landmark(photo, mask), realism=Realism(1.0, 0.4))
    drawn = draw_batch(tiny_backbone, [request])[0]
    assert np.array_equal(drawn[mask], photo[mask])


@pytest.mark.parametrize("value", [-0.1, 3.0, math.nan, math.inf])
def test_numbers_that_make_no_sense_are_refused(value: float) -> None:
    with pytest.raises(BadInput, match="detail"):
        Realism(detail=value)
    with pytest.raises(BadInput, match="renoise"):
        Realism(renoise=value)
