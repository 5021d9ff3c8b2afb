"""The loaded half of a model family: what sampling, references and training ask of a model, whatever its family.

A state is what the sampling loop moves: one tensor [b, …] whose layout is the family's own (FLUX.1: tokens
[b, n, 4c]), and all that the loop, its extensions and the losses do with it is elementwise. Its grid is the same values
as [b, c, h, w], `cell_px` pixels a cell: masks are made there, and the VAE reads and writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipelines.families.spec import BackboneSpec
from pipelines.models.hardware import Hardware
from pipelines.models.headers import Header
from pipelines.models.precision import LoadPlan
from pipelines.models.sources import Source

__all__ = ["Adaptable", "Conditioning", "Extras", "Loader", "LoraKind", "Model", "ReferenceTokens", "TextEmbeds"]

TextEmbeds: TypeAlias = Any
"""A prompt as a family's transformer reads it. Opaque: only the family, and references made for it, look inside."""
Conditioning: TypeAlias = Any
"""All that `velocity` reads beside state and sigma, the same at every step. Opaque."""
LoraKind = Literal["attention", "all"]


@dataclass(frozen=True, eq=False)
class ReferenceTokens:
    """A reference picture in the image sequence, behind the noise: `tokens` [b, m, k], position `ids` [m, …]."""

    tokens: Tensor
    ids: Tensor


@dataclass(frozen=True, eq=False)
class Extras:
    """Conditions that references let the model read beside the text.

    `tokens` stand in the image sequence, `channels` [b, n, k] beside the state's own along its last dimension.
    """

    tokens: tuple[ReferenceTokens, ...] = ()
    channels: Tensor | None = None


class Adaptable(Protocol):
    """Parts that a LoRA can change: a transformer and text encoders of one family."""

    @property
    def family(self) -> str:
        """The family's id, one of `pipelines.families.catalogue.FAMILIES`."""

    @property
    def transformer(self) -> Any:
        """An `nn.Module`, of the family's own class."""

    @property
    def text_encoders(self) -> Mapping[str, nn.Module]:
        """By their names in the folder, which LoRA layers use too."""


class Model(Adaptable, Protocol):
    """A loaded model of one family, frozen. Pictures are uint8 [n, h, w, 3]; sizes are in pixels, (height, width)."""

    @property
    def device(self) -> torch.device: ...

    @property
    def dtype(self) -> torch.dtype:
        """The number type that is computed in."""

    @property
    def state_dtype(self) -> torch.dtype:
        """The number type that states are kept in from step to step."""

    @property
    def vae(self) -> Any:
        """An `nn.Module`, of the family's own class."""

    @property
    def width(self) -> int:
        """The width of the transformer's tokens."""

    @property
    def cell_px(self) -> int:
        """Pixels along the side of one cell of the grid."""

    @property
    def token_px(self) -> int:
        """Pixels along the side of one token: it divides both sides of a picture."""

    def check_text(self, prompt: str) -> None:
        """Raise BadInput for a prompt that cannot be read at all, not even cut; before anything is drawn."""

    def encode_text(self, prompt: str, pictures: Sequence[npt.NDArray[np.uint8]] = ()) -> TextEmbeds:
        """Encode one prompt, and `pictures` where the text encoder sees them; warns of words that are cut."""

    def join(self, texts: Sequence[TextEmbeds]) -> TextEmbeds:
        """Make a batch of texts, or of batches."""

    def noise(self, seed: int, height: int, width: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Draw the noise of one picture as a state [1, …], on the CPU: the same on every device."""

    def pack(self, grid: Tensor) -> Tensor:
        """Lay a grid [b, c, h, w] out as a state."""

    def unpack(self, state: Tensor, height: int, width: int) -> Tensor:
        """Invert `pack` for a picture of this size."""

    def encode_pictures(self, pictures: npt.NDArray[np.uint8], hidden: npt.NDArray[np.bool_] | None = None) -> Tensor:
        """Encode to a grid, float32 and without randomness; `hidden` [n, h, w] pixels are the middle grey."""

    def decode(self, grid: Tensor) -> Tensor:
        """Decode a grid to pixels [b, 3, h, w], about [-1, 1]; gradients flow."""

    def sigmas(self, image_tokens: int, steps: int) -> Tensor:
        """Return `steps` sigmas and a last 0, float32, descending, on the model's device."""

    def shift(self, sigmas: Tensor, image_tokens: int) -> Tensor:
        """Move sigmas in (0, 1) that are drawn in training as those of inference are moved."""

    def encode_reference(self, pictures: npt.NDArray[np.uint8], number: int) -> ReferenceTokens:
        """Encode the `number`-th (from 0) reference of each picture of a batch. BadInput where the model reads none."""

    def condition(self, text: TextEmbeds, height: int, width: int, guidance: float, extras: Extras) -> Conditioning:
        """Prepare a batch's texts and extras; `guidance` is distilled guidance, ignored by models without it."""

    def velocity(self, state: Tensor, sigma: Tensor, conditioning: Conditioning) -> Tensor:
        """Return d state / d sigma, noise minus picture, at `sigma` [b] in (0, 1]: one forward pass; autograd works."""

    def lora_modules(self, kind: LoraKind) -> tuple[str, ...]:
        """Return the full names of the transformer's modules that a LoRA is trained on."""

    def load_companion(
        self, role: str, spec: BackboneSpec, plan: LoadPlan, hardware: Hardware | None
    ) -> tuple[BackboneSpec, Model, LoadPlan]:
        """Load another transformer of the family, which shares all other parts and draws in this one's place.

        `spec` and `plan` are this model's own; the companion's are returned with it.
        """

    def take_turn(self, others: Sequence[Model]) -> None:
        """Be the one that draws next, of several that share parts which wait in memory (offload)."""

    def release(self) -> None:
        """Send parts that wait in memory (offload) back there, after drawing."""


class Loader(Protocol):
    """The module that loads a family's models, as `Family.loader` imports it."""

    def check_transformer(self, source: Source, headers: Sequence[Header]) -> dict[str, Any]:
        """Return the transformer's config, once `headers`, its files', are known to hold every tensor that it asks for.

        Raises BadInput for tensors that are missing, unknown or of another shape, from headers alone.
        """

    def load_transformer(self, source: Source, plan: LoadPlan) -> Any:
        """Load the transformer of a folder or a single file alone, in the plan's number type, or quantised as planned.

        Returns a `diffusers.ModelMixin` where `from_pretrained` leaves it. Raises ModelMissing or BadInput.
        """

    def load_model(self, spec: BackboneSpec, plan: LoadPlan, device: torch.device) -> Model:
        """Load a folder or a single file by its plan. Raises ModelMissing or BadInput; never downloads."""
