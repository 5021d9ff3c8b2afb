"""Sampling that keeps more detail: a shifted σ for the model alone, and fresh noise in the middle of the way.

Detail (the idea of Detail-Daemon, github.com/muerrilla/sd-webui-detail-daemon, for flow matching): at progress p in
[0, 1] of the schedule the model is told

    σ' = σ · k,  k = max(1e-6, 1 - 0.1 · detail · m(p) · cfg),  m(p) = ½ (1 - cos 2πq),  q = (p - 0.2) / 0.6 in [0, 1]

(m is 0 outside), and its velocity is used as v_eff = k · v(x, σ'): it believes that less noise is left and removes
less, which the last steps turn into detail. The scheduler's own σ stays. `cfg` is 1 with distilled guidance.

Renoising: after the step at the middle, with x = (1 - σ) x̂₀ + σ ε̂ and v = ε̂ - x̂₀ from that step's own difference
(Euler: v = Δx / Δσ), a share of the noise is replaced, its variance kept:

    ε' = √(1 - a²) ε̂ + a n,  n ~ N(0, 1) from the picture's seed,  x' = x + σ (ε' - ε̂)

Both are off at 0, exactly: nothing is hooked and nothing is added.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.errors import BadInput
from pipelines.hooks import hooked

__all__ = ["Realism", "detail_factor", "renoise", "shifted_model"]

_START, _END = 0.2, 0.8
_NOISE_SEED = 0x5EED


@dataclass(frozen=True)
class Realism:
    """`detail` in [0, 2] (0.1 to 1 is usual), `renoise` in [0, 1], the share of the noise that is replaced."""

    detail: float = 0.0
    renoise: float = 0.0

    def __post_init__(self) -> None:
        for name, high in (("detail", 2.0), ("renoise", 1.0)):
            if not 0 <= getattr(self, name) <= high:  # false for NaN too
                raise BadInput(f"{name} is {getattr(self, name)}.", f"Choose a number from 0 to {high:g}.")


def detail_factor(progress: float, detail: float, cfg: float = 1.0) -> float:
    """k of the formula above, in (0, 1], at `progress` in [0, 1] of the schedule."""
    q = (progress - _START) / (_END - _START)
    bump = 0.5 * (1 - math.cos(2 * math.pi * q)) if 0 < q < 1 else 0.0
    return max(1e-6, 1 - 0.1 * detail * bump * cfg)


@dataclass
class Position:
    """Where the sampling is: the step that is being computed, of how many."""

    step: int
    steps: int

    @property
    def progress(self) -> float:
        return self.step / max(self.steps - 1, 1)


@contextmanager
def shifted_model(transformer: nn.Module, detail: float, cfg: float, position: Position) -> Iterator[None]:
    """While open, every call of the transformer sees k·σ and gives k·v; `position` is moved by the caller."""
    if detail == 0:
        yield
        return

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        kwargs["timestep"] = kwargs["timestep"] * detail_factor(position.progress, detail, cfg)
        return args, kwargs

    def after(_: nn.Module, __: tuple[Any, ...], ___: dict[str, Any], output: tuple[Tensor]) -> tuple[Tensor]:
        return (output[0] * detail_factor(position.progress, detail, cfg),)

    with hooked(transformer, before, after):
        yield


def renoise(earlier: Tensor, later: Tensor, sigma_earlier: float, sigma: float, amount: float, fresh: Tensor) -> Tensor:
    """x' of the formula above. Latents `earlier` and `later` around one Euler step from σ_earlier down to σ > 0."""
    velocity = (later.float() - earlier.float()) / (sigma - sigma_earlier)
    noise = later.float() + (1 - sigma) * velocity
    mixed = math.sqrt(1 - amount**2) * noise + amount * fresh.float()
    return (later.float() + sigma * (mixed - noise)).to(later.dtype)


def fresh_noise(like: Tensor, seeds: list[int]) -> Tensor:
    """Noise [b, …] of `like`'s shape, each picture's from its own seed: it does not depend on its neighbours."""
    rows = [
        torch.randn(like.shape[1:], generator=torch.Generator().manual_seed((seed ^ _NOISE_SEED) & 0xFFFFFFFF))
        for seed in seeds
    ]
    return torch.stack(rows).to(like.device)
