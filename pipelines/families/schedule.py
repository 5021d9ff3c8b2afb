"""Sigmas by a scheduler, the folder's or the model's own: those of inference, as diffusers' pipelines ask for them, and
training's shift.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FlowMatchEulerDiscreteScheduler

from pipelines.models.variants import Schedule

__all__ = ["follow_schedule", "inference_sigmas", "linear_mu", "shift_sigmas"]


def follow_schedule(
    scheduler: FlowMatchEulerDiscreteScheduler, schedule: Schedule | None
) -> FlowMatchEulerDiscreteScheduler:
    """Return the scheduler itself, or, where a model has a `schedule` of its own, one like it that follows that."""
    if schedule is None:
        return scheduler
    own: FlowMatchEulerDiscreteScheduler = type(scheduler).from_config(
        scheduler.config, shift=schedule.shift, use_dynamic_shifting=schedule.dynamic
    )
    return own


def inference_sigmas(
    scheduler: FlowMatchEulerDiscreteScheduler,
    steps: int,
    given: npt.NDArray[np.floating] | None,
    mu: float,
    device: torch.device,
) -> torch.Tensor:
    """Return `steps` sigmas and a last 0, float32, descending: `given` ones (None: the scheduler's own), shifted by the
    scheduler's rule, dynamic (by `mu`) or constant.
    """
    scheduler.set_timesteps(steps if given is None else None, device, given, mu)
    return torch.as_tensor(scheduler.sigmas).clone()


def shift_sigmas(sigmas: torch.Tensor, scheduler: FlowMatchEulerDiscreteScheduler, mu: float) -> torch.Tensor:
    """Move sigmas in (0, 1) as the scheduler moves those of its inference steps.

    With dynamic shifting (FLUX.1-dev) the shift is of `mu`, else it is the scheduler's constant.
    """
    config = scheduler.config
    if config.use_dynamic_shifting:
        shift = math.exp(mu) if config.time_shift_type == "exponential" else mu
    else:
        shift = float(scheduler.shift)
    return shift * sigmas / (1 + (shift - 1) * sigmas)


def linear_mu(scheduler: FlowMatchEulerDiscreteScheduler, image_tokens: int) -> float:
    """Return mu, linear in the picture's tokens: `calculate_shift` of FLUX.1's and Z-Image's pipelines in diffusers."""
    config = scheduler.config
    few, many = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    low, high = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
    slope = (high - low) / (many - few)
    return float(image_tokens * slope + (low - slope * few))
