"""Identity guidance: classifier-free guidance whose negative side is the model without the LoRA.

v = v⁻ + s · (v⁺ - v⁻), v⁺ of prompt and LoRA, v⁻ of the negative prompt and the model's own weights (with the LoRAs
that stay: a look that is no part of the person). What the LoRA adds is pushed on like what the prompt adds, at the cost
of plain guidance: a model guided by a weaker version of itself agrees more with itself (autoguidance,
arXiv:2406.02507).
"""

from __future__ import annotations

from torch import Tensor

from pipelines.families.model import Conditioning
from pipelines.lora.mixed import MixedLoras
from pipelines.lora.stack import LoraStack
from pipelines.sampling.loop import Extension, Velocity

__all__ = ["IdentityGuidance"]


class IdentityGuidance(Extension):
    """Computes the velocity under `negative`, a conditioning known by identity, without the LoRAs that do not stay."""

    def __init__(self, loras: LoraStack | MixedLoras, negative: Conditioning) -> None:
        self._loras, self._negative = loras, negative

    def wrap(self, velocity: Velocity) -> Velocity:
        def paused(state: Tensor, sigma: Tensor, conditioning: Conditioning) -> Tensor:
            if conditioning is not self._negative:
                return velocity(state, sigma, conditioning)
            self._loras.pause()
            try:
                return velocity(state, sigma, conditioning)
            finally:
                self._loras.resume()

        return paused
