"""Renoising: fresh noise in the middle of the way.

After the step at the middle, with x = (1 - σ) x̂₀ + σ ε̂ and v = ε̂ - x̂₀ from that step's own difference (Euler:
v = Δx / Δσ), a share of the noise is replaced, its variance kept:

    ε' = √(1 - a²) ε̂ + a n,  n ~ N(0, 1) from the picture's seed,  x' = x + σ (ε' - ε̂)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pipelines.errors import BadInput
from pipelines.sampling.loop import Extension, Step

__all__ = ["Renoise", "check_renoise", "fresh_noise", "renoise"]

_NOISE_SEED = 0x5EED


class Renoise(Extension):
    """`amount` in (0, 1] is the share that is replaced; `seeds` are the pictures'."""

    def __init__(self, amount: float, seeds: Sequence[int], steps: int) -> None:
        self._amount, self._seeds, self._steps = amount, seeds, steps

    def after_step(self, state: Tensor, step: Step) -> Tensor:
        if step.number != max(self._steps // 2 - 1, 0) or step.number + 1 == self._steps:
            return state
        fresh = fresh_noise(state, self._seeds)
        return renoise(step.before, state, float(step.sigma), float(step.sigma_next), self._amount, fresh)


def renoise(earlier: Tensor, later: Tensor, sigma_earlier: float, sigma: float, amount: float, fresh: Tensor) -> Tensor:
    """Return x' of the formula above, from the states around one Euler step from σ_earlier down to σ > 0."""
    velocity = (later.float() - earlier.float()) / (sigma - sigma_earlier)
    noise = later.float() + (1 - sigma) * velocity
    mixed = math.sqrt(1 - amount**2) * noise + amount * fresh.float()
    return (later.float() + sigma * (mixed - noise)).to(later.dtype)


def fresh_noise(like: Tensor, seeds: Sequence[int]) -> Tensor:
    """Draw noise [b, …] of `like`'s shape, each picture's from its own seed: it does not depend on its neighbours."""
    rows = [
        torch.randn(like.shape[1:], generator=torch.Generator().manual_seed((seed ^ _NOISE_SEED) & 0xFFFFFFFF))
        for seed in seeds
    ]
    return torch.stack(rows).to(like.device)


def check_renoise(amount: float) -> None:
    """Raise BadInput for what is not in [0, 1]."""
    if not 0 <= amount <= 1:  # false for NaN too
        raise BadInput("renoise_out_of_range", value=amount)
