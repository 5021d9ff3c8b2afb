"""FLUX.2 behind the protocol of `pipelines.families.model`: text, velocity, states, sigmas, LoRA modules.

Its grid is what its transformer reads: patches of 2×2 latents [b, 4c, h, w], one a token, normalised; its state is the
same as tokens [b, h·w, 4c].
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import AutoencoderKLFlux2, Flux2KleinPipeline, Flux2Pipeline
from diffusers import Flux2Transformer2DModel as Flux2Transformer
from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu

from pipelines.errors import BadInput
from pipelines.families.catalogue import find_family
from pipelines.families.companion_loading import load_beside, take_turn
from pipelines.families.companions import drawing_spec
from pipelines.families.flux2.latents import Statistics, decode, encode_pictures, pack, read_statistics, unpack
from pipelines.families.flux2.loading import check_transformer, load_pipeline, load_transformer
from pipelines.families.flux2.text import encode, in_template
from pipelines.families.folders import read_part_headers
from pipelines.families.model import Extras, LoraKind, Model, ReferenceTokens
from pipelines.families.prompts import check_template
from pipelines.families.schedule import inference_sigmas, shift_sigmas
from pipelines.families.spec import BackboneSpec
from pipelines.models.hardware import Hardware
from pipelines.models.precision import LoadPlan

__all__ = [
    "ALL_LINEAR",
    "ATTENTION",
    "Flux2Conditioning",
    "Flux2Model",
    "check_transformer",
    "load_model",
    "load_transformer",
]

ATTENTION = (
    "attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0",
    "attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj", "attn.to_add_out",
    "attn.to_qkv_mlp_proj", "attn.to_out",  # single blocks, whose attention and MLP are one layer in, one out
)  # fmt: skip
ALL_LINEAR = (*ATTENTION, "ff.linear_in", "ff.linear_out", "ff_context.linear_in", "ff_context.linear_out")
_REFERENCE_T = 10.0  # reference k stands at 10 + 10 k (`Flux2KleinPipeline._prepare_image_ids`)


@dataclass(frozen=True, eq=False)
class Flux2Conditioning:
    """Conditions that the transformer reads beside the state.

    `text` [b, s, 3d]; `txt_ids` [s, 4] (0, 0, 0, place), `img_ids` [n, 4] (0, row, column, 0) and, behind them, those
    of the `tokens` [b, m, 4c]; `guidance` [b], or None for a model without that input.
    """

    text: Tensor
    txt_ids: Tensor
    img_ids: Tensor
    guidance: Tensor | None
    tokens: Tensor | None


@dataclass(frozen=True, eq=False)
class Flux2Model:
    """A FLUX.2 pipeline's parts. `dtype` is what is computed in; prompts are read at `max_sequence_length` tokens.

    `statistics` are the VAE's. `steps` are those that the model is drawn in, on which the shift of its sigmas depends;
    `references_max` is how many references it reads.
    """

    pipeline: Flux2KleinPipeline | Flux2Pipeline
    statistics: Statistics
    device: torch.device
    dtype: torch.dtype
    max_sequence_length: int
    steps: int
    references_max: int = 4
    family: str = "flux2"

    @property
    def transformer(self) -> Flux2Transformer:
        return self.pipeline.transformer

    @property
    def text_encoders(self) -> Mapping[str, nn.Module]:
        return {"text_encoder": self.pipeline.text_encoder}

    @property
    def vae(self) -> AutoencoderKLFlux2:
        return self.pipeline.vae

    @property
    def width(self) -> int:
        return int(self.transformer.inner_dim)

    @property
    def cell_px(self) -> int:
        return 2 * int(self.pipeline.vae_scale_factor)

    @property
    def token_px(self) -> int:
        return self.cell_px

    @property
    def state_dtype(self) -> torch.dtype:
        """As `Flux2KleinPipeline` keeps its latents between the steps."""
        return self.dtype

    def check_text(self, prompt: str) -> None:
        """Any prompt can be read: what is too long is cut, and `encode_text` says what."""

    @torch.no_grad()
    def encode_text(self, prompt: str, pictures: Sequence[npt.NDArray[np.uint8]] = ()) -> Tensor:
        """[1, s, 3d]."""
        return encode(self.pipeline, prompt, self.max_sequence_length, self.device).to(self.dtype)

    def join(self, texts: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(texts))

    def noise(self, seed: int, height: int, width: int, dtype: torch.dtype = torch.float32) -> Tensor:
        channels = int(self.transformer.config.in_channels)
        shape = (1, channels, height // self.cell_px, width // self.cell_px)
        return pack(torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype))

    def pack(self, grid: Tensor) -> Tensor:
        return pack(grid)

    def unpack(self, state: Tensor, height: int, width: int) -> Tensor:
        return unpack(state, height // self.cell_px, width // self.cell_px)

    def encode_pictures(self, pictures: npt.NDArray[np.uint8], hidden: npt.NDArray[np.bool_] | None = None) -> Tensor:
        return encode_pictures(self.vae, self.statistics, pictures, self.device, hidden)

    def decode(self, grid: Tensor) -> Tensor:
        return decode(self.vae, self.statistics, grid)

    def sigmas(self, image_tokens: int, steps: int) -> Tensor:
        """Linear ones, shifted by a mu that depends on the picture's tokens and on the number of steps."""
        scheduler = self.pipeline.scheduler
        given = None if scheduler.config.get("use_flow_sigmas") else np.linspace(1.0, 1 / steps, steps)
        return inference_sigmas(scheduler, steps, given, compute_empirical_mu(image_tokens, steps), self.device)

    def shift(self, sigmas: Tensor, image_tokens: int) -> Tensor:
        """As those of inference in the model's own number of steps are shifted."""
        return shift_sigmas(sigmas, self.pipeline.scheduler, compute_empirical_mu(image_tokens, self.steps))

    @torch.no_grad()
    def encode_reference(self, pictures: npt.NDArray[np.uint8], number: int) -> ReferenceTokens:
        """Raises BadInput where the model reads fewer references."""
        if number >= self.references_max:
            raise BadInput("references_too_many", count=number + 1, most=self.references_max)
        tokens = pack(self.encode_pictures(pictures)).to(self.dtype)
        rows, columns = (side // self.cell_px for side in pictures.shape[1:3])
        ids = _position_ids(_REFERENCE_T * (1 + number), rows, columns)
        return ReferenceTokens(tokens, ids.to(self.device))

    def condition(self, text: Tensor, height: int, width: int, guidance: float, extras: Extras) -> Flux2Conditioning:
        batch, length = text.shape[:2]
        ids = _position_ids(0, height // self.cell_px, width // self.cell_px).to(self.device)
        places = torch.arange(length, device=self.device) * 1.0
        is_guided = bool(self.transformer.config.guidance_embeds)
        return Flux2Conditioning(
            text=text,
            txt_ids=nn.functional.pad(places[:, None], (3, 0)),
            img_ids=torch.cat([ids, *(t.ids for t in extras.tokens)]),
            guidance=torch.full((batch,), guidance, device=self.device) if is_guided else None,
            tokens=torch.cat([t.tokens for t in extras.tokens], dim=1) if extras.tokens else None,
        )

    def velocity(self, state: Tensor, sigma: Tensor, conditioning: Flux2Conditioning) -> Tensor:
        """The transformer's own answer: it is trained to predict noise minus picture, and its timestep is sigma."""
        given, tokens = state, conditioning.tokens
        if tokens is not None:
            given = torch.cat([given, tokens.to(state)], dim=1)
        answer: Tensor = self.transformer(
            hidden_states=given,
            timestep=sigma,
            guidance=conditioning.guidance,
            encoder_hidden_states=conditioning.text,
            txt_ids=conditioning.txt_ids,
            img_ids=conditioning.img_ids,
            return_dict=False,
        )[0]
        return answer if tokens is None else answer[:, : state.shape[1]]

    def lora_modules(self, kind: LoraKind) -> tuple[str, ...]:
        """Inside the blocks only."""
        ends = "|".join(re.escape(name) for name in (ATTENTION if kind == "attention" else ALL_LINEAR))
        inside = re.compile(rf"(?:single_)?transformer_blocks\.\d+\.(?:{ends})")
        named = self.transformer.named_modules()
        return tuple(name for name, module in named if inside.fullmatch(name) and isinstance(module, nn.Linear))

    def load_companion(
        self, role: str, spec: BackboneSpec, plan: LoadPlan, hardware: Hardware | None
    ) -> tuple[BackboneSpec, Model, LoadPlan]:
        """The family has none but training siblings."""
        own = drawing_spec(spec, role)
        pipeline, planned = load_beside(self.pipeline, spec, plan, own, role, self.device, hardware)
        steps, references = own.num_inference_steps, own.can.references_max
        return own, replace(self, pipeline=pipeline, steps=steps, references_max=references), planned

    def take_turn(self, others: Sequence[Model]) -> None:
        take_turn(self.pipeline, others)

    def release(self) -> None:
        self.pipeline.maybe_free_model_hooks()


def load_model(spec: BackboneSpec, plan: LoadPlan, device: torch.device) -> Flux2Model:
    """As `pipelines.families.model.Loader` says."""
    family = find_family(spec.family)
    read_part_headers(spec.source, family)  # what is missing or damaged is said before the largest part is read
    pipeline = load_pipeline(spec.source, family.parts, plan, device)
    check_template(lambda prompt: in_template(pipeline, prompt)[0], spec.id)
    eps = float(pipeline.vae.config.batch_norm_eps)
    statistics = read_statistics(spec.folder / "vae", eps, spec.id, device)
    return Flux2Model(
        pipeline, statistics, device, plan.dtype, spec.max_sequence_length, spec.num_inference_steps,
        spec.can.references_max, spec.family,
    )  # fmt: skip


def _position_ids(first: float, rows: int, columns: int) -> Tensor:
    """[rows · columns, 4]: (first, row, column, 0)."""
    places = [torch.tensor([float(first)]), torch.arange(rows) * 1.0, torch.arange(columns) * 1.0, torch.zeros(1)]
    return torch.cartesian_prod(*places)
