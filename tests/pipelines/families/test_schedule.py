"""Sigmas are those of diffusers' scheduler, in drawing and in training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.flux.pipeline_flux import calculate_shift

from pipelines.families.schedule import inference_sigmas, linear_mu, shift_sigmas


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
    assert linear_mu(scheduler, tokens) == pytest.approx(mu, abs=1e-12)
    scheduler.set_timesteps(sigmas=sigmas, mu=mu)
    theirs = scheduler.sigmas.clone()
    ours = shift_sigmas(torch.from_numpy(sigmas).float(), scheduler, mu)
    assert torch.allclose(ours, theirs[:-1], atol=1e-6)
    assert torch.equal(inference_sigmas(scheduler, 8, sigmas, mu, torch.device("cpu")), theirs)
