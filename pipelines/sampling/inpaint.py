"""Inpainting: cells that are kept are the picture's own, noised to each step's sigma, as `FluxInpaintPipeline` does."""

from __future__ import annotations

from torch import Tensor

from pipelines.references.protocol import Kept
from pipelines.sampling.loop import Extension, Step

__all__ = ["Inpaint"]


class Inpaint(Extension):
    """Keeps a part of pictures; `noise` is that of the drawing, a state like theirs."""

    def __init__(self, kept: Kept, noise: Tensor) -> None:
        self._kept, self._noise = kept, noise

    def noised(self, sigma: Tensor) -> Tensor:
        """Return the whole pictures at `sigma`: where a strength of less than 1 begins."""
        s = sigma.to(self._noise.dtype)
        return s * self._noise + (1.0 - s) * self._kept.pictures

    def after_step(self, state: Tensor, step: Step) -> Tensor:
        repaint = self._kept.repaint
        return (1 - repaint) * self.noised(step.sigma_next) + repaint * state
