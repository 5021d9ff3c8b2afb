"""Sampled sigmas and the flow-matching loss against independent computations."""

from __future__ import annotations

import pytest
import torch

from pipelines.training.losses import SigmaDensity, flow_matching_loss, focus_weights, sample_sigmas


@pytest.mark.parametrize("density", ["uniform", "logit_normal"])
def test_a_batch_takes_one_sigma_of_each_quantile(density: SigmaDensity) -> None:
    sigmas = sample_sigmas(64, density, torch.Generator().manual_seed(0))
    u = sigmas if density == "uniform" else torch.special.ndtr(torch.logit(sigmas.double()))
    assert torch.equal((u * 64).floor().sort().values.long(), torch.arange(64))
    assert not torch.equal(sigmas, sigmas.sort().values)
    assert torch.equal(sigmas, sample_sigmas(64, density, torch.Generator().manual_seed(0)))


def test_the_loss_is_zero_for_the_straight_path_only() -> None:
    x, noise = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    assert flow_matching_loss(noise - x, x, noise) == 0
    assert flow_matching_loss(noise - x + 2, x, noise) == pytest.approx(4.0)


def test_small_faces_weigh_about_as_much_as_large_ones() -> None:
    share = torch.zeros(3, 16, 12)
    share[0, 2:10, 2:10] = 1.0  # a third of the picture
    share[1, 4:7, 5:8] = 1.0  # a twentieth
    weights = focus_weights(share)
    torch.testing.assert_close(weights.mean(dim=(1, 2)), torch.ones(3))
    assert torch.equal(weights[2], torch.ones(16, 12))
    parts = [float(weights[k][share[k] > 0].sum() / weights[k].sum()) for k in (0, 1)]
    assert parts[0] == pytest.approx((64 / 192 * 1.9) / (1 + 64 / 192 * 0.9), rel=1e-4)
    assert parts[1] == pytest.approx((9 / 192 + 0.3) / 1.3, rel=1e-4)


def test_weights_scale_each_cells_error() -> None:
    velocity, zero = torch.tensor([[[1.0], [2.0]]]), torch.zeros(1, 2, 1)
    assert float(flow_matching_loss(velocity, zero, zero)) == 2.5
    assert float(flow_matching_loss(velocity, zero, zero, torch.tensor([[[2.0], [0.0]]]))) == 1.0
