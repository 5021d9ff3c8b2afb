"""Soft shapes: signed distances in pixels (negative inside), all batched as [b, h, w]."""

from __future__ import annotations

import torch
from torch import Tensor


def cover(distance: Tensor, softness: float = 0.7) -> Tensor:
    """Coverage in [0, 1] of an edge about `2·softness` pixels wide."""
    return (0.5 - distance / (2 * softness)).clamp(0, 1)


def ellipse(x: Tensor, y: Tensor, half_width: Tensor | float, half_height: Tensor | float) -> Tensor:
    """Distance to an ellipse around the origin, first-order exact at the edge (f/|∇f|)."""
    u, v = x / half_width, y / half_height
    f = u.square() + v.square()
    slope = ((u / half_width).square() + (v / half_height).square()).sqrt() * 2 + 1e-4
    return (f - 1) / slope


def limb(
    x: Tensor, y: Tensor, x0: Tensor, y0: Tensor, x1: Tensor, y1: Tensor, r0: Tensor | float, r1: Tensor | float
) -> tuple[Tensor, Tensor]:
    """Distance to a capsule whose radius goes from `r0` to `r1`, and the position along it in [0, 1]."""
    dx, dy = x1 - x0, y1 - y0
    t = (((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy + 1e-4)).clamp(0, 1)
    distance = ((x - x0 - t * dx).square() + (y - y0 - t * dy).square() + 1e-6).sqrt()
    return distance - (r0 + (r1 - r0) * t), t


def block(
    x: Tensor, y: Tensor, half_width: Tensor, half_height: Tensor, taper: Tensor | float, roundness: Tensor | float
) -> Tensor:
    """Distance to a tapered rounded box: as wide as `half_width·(1 + taper·v)` at v = y/half_height in [-1, 1]."""
    v = (y / half_height).clamp(-1, 1)
    width = (half_width * (1 + taper * v)).clamp(min=0.5)
    small = torch.minimum(width, torch.as_tensor(half_height, dtype=x.dtype))
    radius = small * roundness
    qx, qy = x.abs() - width + radius, y.abs() - half_height + radius
    outside = (qx.clamp(min=0).square() + qy.clamp(min=0).square() + 1e-6).sqrt()
    return outside + torch.maximum(qx, qy).clamp(max=0) - radius
