"""Losses that move how pictures look and leave what they show: pure functions of states, latents and hidden tokens.

Style is judged on the predicted clean latents against the photo that the noise was added to: picture by picture, so
that content cancels. Content is how alike a model's own image tokens are among each other, against the frozen base
(the self-similarity of Splice, arXiv:2201.00424 §3.2, on tokens of the transformer instead of DINO's keys).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = [
    "band_powers", "centred_cosines", "channel_moments", "coarse", "content_loss", "measure_shrink", "shrink_at",
    "style_loss", "style_window",
]  # fmt: skip

_TINY = 1e-6
_BANDS = 3


def style_window(sigmas: Tensor, low: float, high: float) -> Tensor:
    """Return w(σ) = σ(1 − σ) between `low` and `high`, 0 outside: near σ = 0 nothing of the style is left to learn,
    near 1 nothing can be seen yet.
    """
    return sigmas * (1 - sigmas) * ((sigmas > low) & (sigmas < high))


def channel_moments(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each channel of latents [b, c, h, w], both [b, c]."""
    return z.mean(dim=(2, 3)), (z.var(dim=(2, 3), unbiased=False) + _TINY).sqrt()


def band_powers(z: Tensor) -> Tensor:
    """Return ln of the mean power of latents [b, c, h, w] in three radial bands, [b, c, 3]; the mean is in none."""
    height, width = z.shape[2:]
    power = torch.fft.rfft2(z.float(), norm="ortho").abs().square()
    ys = torch.fft.fftfreq(height, device=z.device)[:, None]
    xs = torch.fft.rfftfreq(width, device=z.device)[None]
    radius = (ys.square() + xs.square()).sqrt()
    edges = torch.linspace(0, float(radius.max()) + 1e-6, _BANDS + 1)
    rows = []
    for k in range(_BANDS):
        inside = ((radius > 0) & (radius >= edges[k]) & (radius < edges[k + 1])).to(power.dtype)
        rows.append((power * inside).sum(dim=(2, 3)) / inside.sum().clamp(min=1))
    return torch.log(torch.stack(rows, dim=2) + 1e-4)


def shrink_at(sigmas: Tensor, curve: Sequence[tuple[float, float]]) -> Tensor:
    """Return r(σ) [b] of the points (σ, r) of a curve, straight between them: a predicted clean latent is a mean of all
    that may come, so its deviation is so many times that of a picture.
    """
    at = torch.tensor([(0.0, 1.0), *curve], dtype=sigmas.dtype, device=sigmas.device)
    right = torch.searchsorted(at[:, 0].contiguous(), sigmas.contiguous()).clamp(1, len(at) - 1)
    low, high = at[right - 1], at[right]
    share = ((sigmas - low[:, 0]) / (high[:, 0] - low[:, 0])).clamp(0, 1)
    return torch.lerp(low[:, 1], high[:, 1], share)


def measure_shrink(predicted: Tensor, clean: Tensor) -> Tensor:
    """Return r [b]: the deviation of `predicted` over that of `clean`, latents [b, c, h, w], the mean of channels."""
    return (channel_moments(predicted)[1] / channel_moments(clean)[1]).mean(dim=1)


def coarse(z: Tensor, cells: int) -> Tensor:
    """Return latents [b, c, h, w] with `cells` × `cells` of them as one: of these a mean blurs little away."""
    return z if cells == 1 else torch.nn.functional.avg_pool2d(z, cells, ceil_mode=True, count_include_pad=False)


def style_loss(predicted: Tensor, photo: Tensor, weights: Tensor, shrink: Tensor, bands: float = 0.0) -> Tensor:
    """Return how far the look of predicted clean latents [b, c, h, w] is from their photo's.

    A picture counts `weights` [b]. Mean and deviation of each channel, the latter over `shrink` [b], and `bands` times
    the powers of three bands: of what is fine a predicted mean has far less than `shrink` says, so that this term makes
    blotches (docs/measured.md).
    """
    (mean, spread), (mean_of, spread_of) = channel_moments(predicted), channel_moments(photo)
    moments = (mean - mean_of).square().mean(dim=1) + (spread / shrink[:, None] - spread_of).square().mean(dim=1)
    if bands:
        rest = 2 * shrink.log()[:, None, None]
        gaps = (band_powers(predicted) - rest - band_powers(photo)).square()
        moments = moments + bands * gaps.mean(dim=1).sum(dim=1)
    return (moments * weights).mean()


def centred_cosines(tokens: Tensor) -> Tensor:
    """Return cosines between hidden tokens [b, t, d] of a picture after their mean is taken off, [b, t, t]."""
    x = tokens.float()
    x = torch.nn.functional.normalize(x - x.mean(dim=1, keepdim=True), dim=2, eps=1e-5)
    return x @ x.transpose(1, 2)


def content_loss(tokens: Tensor, base: Tensor, weights: Tensor) -> Tensor:
    """Return how far what a picture holds is from what the base holds of it: the mean squared difference of their
    `centred_cosines`, a pair of tokens weighed by the product of its `weights` [b, t].
    """
    pairs = weights[:, :, None] * weights[:, None]
    gap = (centred_cosines(tokens) - centred_cosines(base)).square()
    return ((gap * pairs).sum(dim=(1, 2)) / pairs.sum(dim=(1, 2))).mean()
