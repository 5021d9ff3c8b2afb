"""Inpainting: cells that are kept are the picture's own, noised to each step's sigma, as `FluxInpaintPipeline` does.

Where a person may stand before what is kept, nothing of it is kept until a first look at what the picture will show:
its layout is settled long before its details. Later looks follow the outlines as they become clear.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pipelines.references.protocol import Kept
from pipelines.sampling.loop import Extension, Step

__all__ = ["LOOKS_AT", "Inpaint", "look_steps"]

LOOKS_AT = (0.95, 0.75, 0.45)
"""Sigmas: the first steps that end at or below them are looked at. On the miniature outlines are read from .94 on."""


def look_steps(sigmas: Tensor) -> frozenset[int]:
    """Return the numbers of the steps after which a picture is looked at, the last but one at the latest."""
    most = max(len(sigmas) - 3, 0)
    ends = sigmas[1:].tolist()
    return frozenset(min(next((i for i, end in enumerate(ends) if end <= at), most), most) for at in LOOKS_AT)


class Inpaint(Extension):
    """Keeps a part of pictures; `noise` is that of the drawing, a state like theirs.

    `look` takes the state that the pictures are on their way to, and gives 1 where they are drawn from there on, states
    [b, …] both; it is called after the steps of these numbers.
    """

    def __init__(
        self,
        kept: Kept,
        noise: Tensor,
        look: Callable[[Tensor], Tensor] = lambda state: state,
        looks: frozenset[int] = frozenset(),
    ) -> None:
        self._kept, self._noise, self._look = kept, noise, look
        is_open = [hidden is not None for hidden in kept.hidden]
        self._looks = looks if any(is_open) else frozenset[int]()
        self._repaint = kept.repaint
        if self._looks:
            self._repaint = kept.repaint.clone()
            self._repaint[torch.tensor(is_open, device=kept.repaint.device)] = 1

    def noised(self, sigma: Tensor) -> Tensor:
        """Return the whole pictures at `sigma`: where a strength of less than 1 begins."""
        s = sigma.to(self._noise.dtype)
        return s * self._noise + (1.0 - s) * self._kept.pictures

    def after_step(self, state: Tensor, step: Step) -> Tensor:
        if step.number in self._looks:
            velocity = (state.float() - step.before.float()) / (step.sigma_next - step.sigma)
            self._repaint = self._look((state.float() - step.sigma_next * velocity).to(state.dtype))
        return (1 - self._repaint) * self.noised(step.sigma_next) + self._repaint * state
