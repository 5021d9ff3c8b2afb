"""Sigmas and the flow-matching loss against independent computations."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.flux.pipeline_flux import calculate_shift

from pipelines.training.losses import SigmaDensity, flow_matching_loss, sample_sigmas, shift_sigmas


@pytest.mark.parametrize(
    "scheduler",
    [
        FlowMatchEulerDiscreteScheduler(),
        FlowMatchEulerDiscreteScheduler(shift=3.0),
        FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, time_shift_type="linear"),
    ],
)
@pytest.mark.parametrize("tokens", [48, 1024, 4096])
def test_training_shifts_sigmas_as_drawing_does(scheduler: FlowMatchEulerDiscreteScheduler, tokens: int) -> None:
    sigmas = np.linspace(1.0, 1 / 8, 8)
    config = scheduler.config
    mu = calculate_shift(
        tokens, config.base_image_seq_len, config.max_image_seq_len, config.base_shift, config.max_shift
    )
    scheduler.set_timesteps(sigmas=sigmas, mu=mu)
    ours = shift_sigmas(torch.from_numpy(sigmas).float(), scheduler, tokens)
    assert torch.allclose(ours, scheduler.sigmas[:-1], atol=1e-6)


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
