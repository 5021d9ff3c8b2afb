"""Flow matching: how noisy a training sample is, and how wrong a predicted velocity is."""

from __future__ import annotations

from typing import Literal

import torch

__all__ = ["SigmaDensity", "flow_matching_loss", "focus_weights", "sample_sigmas"]

SigmaDensity = Literal["logit_normal", "uniform"]


def sample_sigmas(count: int, density: SigmaDensity, generator: torch.Generator) -> torch.Tensor:
    """`count` sigmas in (0, 1) before the shift, one from each of `count` equal quantiles, shuffled.

    Stratifying a batch takes most of the noise out of its loss. "logit_normal" is the density of
    arXiv:2403.03206 §3.1 with mean 0 and deviation 1.
    """
    order = torch.randperm(count, generator=generator)
    u = (order + torch.rand(count, generator=generator)) / count
    u = u.clamp(1e-4, 1 - 1e-4)
    return u if density == "uniform" else torch.sigmoid(torch.special.ndtri(u))


def focus_weights(share: torch.Tensor, part: float = 0.3) -> torch.Tensor:
    """Return latent cells' weights, [n, h, w] with a mean of 1 a picture, from its share [n, h, w] of what matters.

    What is inside gets `part` times the weight of a whole picture on top, whatever its area, down to a 27th: small
    faces weigh as much in all as large ones, and the minimum at each cell stays the conditional mean. Where a picture
    has nothing of it, all cells weigh 1.
    """
    area = share.mean(dim=(1, 2), keepdim=True)
    weight = 1 + share * (part / area.clamp(min=0.0375))
    return weight / weight.mean(dim=(1, 2), keepdim=True)


def flow_matching_loss(
    velocity: torch.Tensor, state: torch.Tensor, noise: torch.Tensor, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean squared error to the straight path's velocity `noise − state` (arXiv:2210.02747), in float32.

    All [b, …]; `weights` have a mean of 1 a picture, None weighs all alike.
    """
    error = (velocity.float() - (noise - state)).square()
    return error.mean() if weights is None else (error * weights).mean()
