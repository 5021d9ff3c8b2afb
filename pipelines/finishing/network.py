"""The studio's own enlarging network: it moves the pixels of a smooth enlargement away from the middle of edges, so
that these become narrow, and adds what no moving gives.

A blurred edge between two flat colours becomes sharp where each pixel is fetched from a little farther away from it.
That invents no colour and leaves flat areas alone. Where to is known without learning: down the slope of the slope. How
far, and what else, the network says. All that it learnt works at the drawn size or below, where pixels are few, and one
pixel shuffle at the end makes the large picture (Shi et al., arXiv:1609.05158); two coarser levels see a whole face at
once (Ronneberger et al., arXiv:1505.04597).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["FinishingNet", "NetShape", "UNIT"]

_USUAL_STEP, _LAST_STEP = 0.5, 0.25  # drawn pixels
_WEAK = 0.072  # a change of the slope, over a drawn pixel, that counts half
UNIT = 4
"""Sides are padded to multiples of so many pixels: two levels are coarser, each by a half."""


@dataclass(frozen=True)
class NetShape:
    """Sizes of a network: its `widths` and residual `blocks` (first level, middle level, coarsest), and its `scale`.

    The first two levels have their blocks twice, on the way down and on the way up.
    """

    widths: tuple[int, int, int] = (48, 72, 96)
    blocks: tuple[int, int, int] = (2, 2, 4)
    scale: int = 4


class _Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)  # a new block changes nothing
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        grown: Tensor = self.second(F.silu(self.first(x)))
        return x + grown


def _blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(_Block(width) for _ in range(count)))


class FinishingNet(nn.Module):
    """Pictures [n, 3, h, w] in [0, 1] -> [n, 3, s·h, s·w], not clamped; any h and w."""

    def __init__(self, shape: NetShape = NetShape()) -> None:
        super().__init__()
        (fine, middle, coarse), (n_fine, n_middle, n_coarse) = shape.widths, shape.blocks
        self.scale = shape.scale
        self.head = nn.Conv2d(3, fine, 3, padding=1)
        self.fine_in, self.fine_out = _blocks(fine, n_fine), _blocks(fine, n_fine)
        self.down_middle = nn.Conv2d(fine, middle, 2, stride=2)
        self.middle_in, self.middle_out = _blocks(middle, n_middle), _blocks(middle, n_middle)
        self.down_coarse = nn.Conv2d(middle, coarse, 2, stride=2)
        self.coarse = _blocks(coarse, n_coarse)
        self.up_middle = nn.ConvTranspose2d(coarse, middle, 2, stride=2)
        self.up_fine = nn.ConvTranspose2d(middle, fine, 2, stride=2)
        self.tail = nn.Conv2d(fine, (1 + 2 + 3) * shape.scale**2, 3, padding=1)
        nn.init.zeros_(self.tail.weight)  # an untrained network only moves, everywhere as far
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        padded = F.pad(x, (0, -width % UNIT, 0, -height % UNIT), mode="replicate")
        fine = self.fine_in(self.head(padded - 0.5))
        middle = self.middle_in(self.down_middle(fine))
        middle = self.middle_out(middle + self.up_middle(self.coarse(self.down_coarse(middle))))
        told = F.pixel_shuffle(self.tail(self.fine_out(fine + self.up_fine(middle))), self.scale)
        told = told[:, :, : height * self.scale, : width * self.scale].float()
        smooth = enlarge_smoothly(x, self.scale)
        steps = away_from_edges(smooth, self.scale) * (_USUAL_STEP + told[:, :1]) + told[:, 1:3]
        large = fetch(smooth, steps * self.scale) + told[:, 3:]
        # where drawing was soft the first move leaves an edge wide, and it is found better now; the very last move is
        # made after training only, which would learn to undo it where it cannot tell an edge's true place
        for _ in range(1 if self.training else 2):
            large = fetch(large, away_from_edges(large, self.scale) * _LAST_STEP * self.scale)
        return large


@torch.no_grad()
def away_from_edges(smooth: Tensor, scale: int) -> Tensor:
    """Which way the nearest edge of an enlarged picture [n, 3, h, w] is not: (x, y) [n, 2, h, w], of length 1 beside a
    strong edge and 0 far from any."""
    light = _blur(smooth.mean(dim=1, keepdim=True), scale / 4)
    slope = _blur(_gradient(light).square().sum(dim=1, keepdim=True).add(1e-8).sqrt(), scale / 6)
    towards = _gradient(slope)
    return -towards / (towards.square().sum(dim=1, keepdim=True).sqrt() + _WEAK / scale**2)


def _gradient(x: Tensor) -> Tensor:
    """Of one channel: (x, y) [n, 2, h, w]."""
    x = F.pad(x, (1, 1, 1, 1), mode="replicate")
    return torch.cat([x[:, :, 1:-1, 2:] - x[:, :, 1:-1, :-2], x[:, :, 2:, 1:-1] - x[:, :, :-2, 1:-1]], dim=1) / 2


def _blur(x: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of one channel."""
    reach = int(3 * sigma) + 1
    weights = torch.exp(-torch.arange(-reach, reach + 1, device=x.device).float().square() / (2 * sigma**2))
    weights = weights / weights.sum()
    x = F.pad(x, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(x, weights.view(1, 1, 1, -1)), weights.view(1, 1, -1, 1))


def fetch(x: Tensor, steps: Tensor) -> Tensor:
    """Pictures [n, 3, h, w] whose pixels come from `steps` [n, 2, h, w] (x, y) pixels farther on, at most from the
    border.
    """
    height, width = x.shape[2:]
    xs = torch.arange(width, device=x.device) + steps[:, 0]
    ys = torch.arange(height, device=x.device)[:, None] + steps[:, 1]
    grid = torch.stack([(2 * xs + 1) / width - 1, (2 * ys + 1) / height - 1], dim=-1)
    return F.grid_sample(x, grid, align_corners=False, padding_mode="border")


def enlarge_smoothly(x: Tensor, scale: int) -> Tensor:
    """Bicubic enlargement of [n, 3, h, w], clamped to [0, 1]."""
    return F.interpolate(x.float(), scale_factor=scale, mode="bicubic", align_corners=False).clamp(0, 1)


def read_shape(widths: Sequence[int], blocks: Sequence[int], scale: int) -> NetShape:
    """Return the shape of these numbers. Raises ValueError where they are none."""
    if len(widths) != 3 or len(blocks) != 3:
        raise ValueError("three widths and three numbers of blocks")
    if not (all(8 <= w <= 256 for w in widths) and all(0 <= b <= 16 for b in blocks) and 1 <= scale <= 8):
        raise ValueError("out of range")
    return NetShape((widths[0], widths[1], widths[2]), (blocks[0], blocks[1], blocks[2]), scale)
