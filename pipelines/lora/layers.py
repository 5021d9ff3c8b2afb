"""One layer of a LoRA, as all files are read into."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Lora", "LoraLayer"]


@dataclass(frozen=True, eq=False)
class LoraLayer:
    """ΔW = alpha / r · up · down of one linear layer.

    `module` is its path in a FluxTransformer2DModel ("transformer_blocks.0.attn.to_q") or, behind the encoder's name,
    in a text encoder ("text_encoder.encoder.layers.0.mlp.fc1"); `down` [r, in] and `up` [out, r] are float32.
    """

    module: str
    down: Tensor
    up: Tensor
    alpha: float

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    @property
    def scale(self) -> float:
        return self.alpha / self.rank


@dataclass(frozen=True, eq=False)
class Lora:
    """A LoRA as it is drawn with: its layers, and the scale that they are added at. One that `stays` is a look that
    both sides of identity guidance have: it stays on where the others are taken off (`LoraStack.pause`).

    Two are equal if they have the same scale and the very same layers: matrices are not compared.
    """

    layers: tuple[LoraLayer, ...]
    scale: float = 1.0
    stays: bool = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lora) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def changes_text(self) -> bool:
        """Whether layers of a text encoder are among them: then a prompt is read otherwise, too."""
        return any(layer.module.startswith("text_encoder") for layer in self.layers)

    @property
    def _identity(self) -> tuple[object, ...]:
        return (self.scale, self.stays, *map(id, self.layers))
