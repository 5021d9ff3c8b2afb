"""Sigmas of FLUX.1: those of inference, as `FluxPipeline` asks the scheduler for them, and the shift for training."""

from __future__ import annotations

import math

import numpy as np
import torch

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FlowMatchEulerDiscreteScheduler

__all__ = ["inference_sigmas", "shift_sigmas"]


def inference_sigmas(
    scheduler: FlowMatchEulerDiscreteScheduler, image_tokens: int, steps: int, device: torch.device
) -> torch.Tensor:
    """Return `steps` sigmas and a last 0, float32, descending: linear, then shifted by the scheduler's own rule."""
    given = None if scheduler.config.get("use_flow_sigmas") else np.linspace(1.0, 1 / steps, steps)
    scheduler.set_timesteps(None if given is not None else steps, device, given, _mu(scheduler, image_tokens))
    return torch.as_tensor(scheduler.sigmas).clone()


def shift_sigmas(sigmas: torch.Tensor, scheduler: FlowMatchEulerDiscreteScheduler, image_tokens: int) -> torch.Tensor:
    """Move sigmas in (0, 1) as the scheduler moves those of its inference steps.

    With dynamic shifting (FLUX.1-dev) the shift grows with the picture's tokens, else it is the scheduler's constant.
    """
    config = scheduler.config
    if config.use_dynamic_shifting:
        mu = _mu(scheduler, image_tokens)
        shift = math.exp(mu) if config.time_shift_type == "exponential" else mu
    else:
        shift = float(scheduler.shift)
    return shift * sigmas / (1 + (shift - 1) * sigmas)


def _mu(scheduler: FlowMatchEulerDiscreteScheduler, image_tokens: int) -> float:
    """Linear in the picture's tokens (`calculate_shift` of diffusers' pipeline_flux.py)."""
    config = scheduler.config
    few, many = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    low, high = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
    slope = (high - low) / (many - few)
    return float(image_tokens * slope + (low - slope * few))
