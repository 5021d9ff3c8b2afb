"""A loaded upscaler: drawn pictures in, pictures some times as large out, the same every time on one machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from pipelines.errors import BadInput, NotEnoughMemory
from pipelines.pictures import check_rgb

__all__ = ["LEAST_SIDE_PX", "MOST_SIDE_PX", "Finisher", "check_finished_size"]

LEAST_SIDE_PX, MOST_SIDE_PX = 64, 8192
_TILES_PX = (512, 256, 128, 64)
_MARGIN_PX = 32
"""Drawn pixels around a tile that are enlarged with it and cut away: what a network looks at beyond it."""

Rgb = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Finisher:
    """`name` and `sha256` are its file's, `scale` how many times as long the sides become.

    `enlarge` takes [1, 3, h, w] in [0, 1], float32 on `device`, and gives [1, 3, s·h, s·w]. `tiles_px` are the sides of
    the pieces that a larger picture is enlarged in; shorter ones only where memory is short.
    """

    name: str
    sha256: str
    scale: int
    enlarge: Callable[[Tensor], Tensor]
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    tiles_px: tuple[int, ...] = _TILES_PX

    def finish(self, picture: Rgb, height: int, width: int) -> Rgb:
        """Return a drawn picture uint8 [h, w, 3] at this size: enlarged, then brought to it (Lanczos).

        Raises BadInput for a size that is none, NotEnoughMemory where even the smallest pieces do not fit.
        """
        check_rgb(picture)
        check_finished_size(height, width)
        large = self._enlarge(picture)
        if large.shape[:2] == (height, width):
            return large
        return np.asarray(Image.fromarray(large).resize((width, height), Image.Resampling.LANCZOS))

    def _enlarge(self, picture: Rgb) -> Rgb:
        for side in self.tiles_px:
            try:
                return self._in_tiles(picture, side)
            except (MemoryError, RuntimeError) as error:
                if not _is_memory(error):
                    raise
        height, width = picture.shape[:2]
        raise NotEnoughMemory("finishing_no_memory", height=height * self.scale, width=width * self.scale)

    @torch.no_grad()
    def _in_tiles(self, picture: Rgb, side: int) -> Rgb:
        height, width = picture.shape[:2]
        s, m = self.scale, _MARGIN_PX
        large = np.empty((height * s, width * s, 3), np.uint8)
        for top in range(0, height, side):
            for left in range(0, width, side):
                y0, x0 = max(0, top - m), max(0, left - m)
                bottom, right = min(height, top + side), min(width, left + side)
                part = np.array(picture[y0 : bottom + m, x0 : right + m])
                whole = self._run(part)
                inside = whole[(top - y0) * s : (bottom - y0) * s, (left - x0) * s : (right - x0) * s]
                large[top * s : bottom * s, left * s : right * s] = inside
        return large

    def _run(self, part: Rgb) -> Rgb:
        x = torch.from_numpy(part).to(self.device).permute(2, 0, 1)[None].float() / 255
        y = self.enlarge(x.contiguous(memory_format=torch.channels_last))
        if not torch.isfinite(y).all():
            raise BadInput("upscaler_not_finite", file=self.name)
        return (y[0].float().clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()


def check_finished_size(height: int, width: int) -> None:
    """Raise BadInput for a size that pictures cannot be finished to."""
    if not all(LEAST_SIDE_PX <= side <= MOST_SIDE_PX for side in (height, width)):
        raise BadInput("finishing_size", height=height, width=width, least=LEAST_SIDE_PX, most=MOST_SIDE_PX)


def _is_memory(error: Any) -> bool:
    """Whether it says that memory is short; on a CPU torch raises a plain RuntimeError for that."""
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or "allocate memory" in str(error) or "not enough memory" in str(error)
