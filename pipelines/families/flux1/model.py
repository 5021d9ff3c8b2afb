"""FLUX.1 behind the protocol of `pipelines.families.model`: text, velocity, states, sigmas, LoRA modules.

Its state is what its transformer reads: tokens of 2×2 latents [b, n, 4c].
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import AutoencoderKL, FluxPipeline
from diffusers import FluxTransformer2DModel as FluxTransformer

from pipelines.families.autoencoder import decode, encode_pictures
from pipelines.families.catalogue import find_family
from pipelines.families.companion_loading import load_beside, take_turn
from pipelines.families.companions import drawing_spec
from pipelines.families.flux1.latents import pack, unpack
from pipelines.families.flux1.loading import check_transformer, load_pipeline, load_transformer
from pipelines.families.folders import read_part_headers
from pipelines.families.model import Extras, LoraKind, Model, ReferenceTokens
from pipelines.families.schedule import follow_schedule, inference_sigmas, linear_mu, shift_sigmas
from pipelines.families.spec import BackboneSpec
from pipelines.models.hardware import Hardware
from pipelines.models.precision import LoadPlan

__all__ = [
    "ALL_LINEAR",
    "ATTENTION",
    "Flux1Conditioning",
    "Flux1Model",
    "PromptEmbeds",
    "check_transformer",
    "load_model",
    "load_transformer",
]

ATTENTION = (
    "attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0",
    "attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj", "attn.to_add_out",
)  # fmt: skip
ALL_LINEAR = (
    *ATTENTION,
    "ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2",  # double blocks
    "proj_mlp", "proj_out",  # single blocks
)  # fmt: skip

_LOG = logging.getLogger(__name__)
# FluxPipeline says this itself, but of T5 it names the wrong words (it cuts at CLIP's length); `_warn_of_cuts` does it.
logging.getLogger("diffusers.pipelines.flux.pipeline_flux").addFilter(lambda r: "was truncated" not in r.getMessage())


@dataclass(frozen=True, eq=False)
class PromptEmbeds:
    """Prompts as the transformer reads them: `prompt_embeds` [b, s, d] (T5) and `pooled` [b, p] (CLIP)."""

    prompt_embeds: Tensor
    pooled: Tensor


@dataclass(frozen=True, eq=False)
class Flux1Conditioning:
    """Conditions that the transformer reads beside the state.

    `txt_ids` [s, 3] are zero, `img_ids` [n, 3] (0, row, column) and, behind them, those of the `tokens` [b, m, 4c];
    `guidance` [b] or None; `channels` [b, n, k] are FLUX.1-Fill's.
    """

    text: PromptEmbeds
    txt_ids: Tensor
    img_ids: Tensor
    guidance: Tensor | None
    tokens: Tensor | None
    channels: Tensor | None


@dataclass(frozen=True, eq=False)
class Flux1Model:
    """A FLUX.1 pipeline's parts. `dtype` is what is computed in; prompts are cut at `max_sequence_length` T5 tokens."""

    pipeline: FluxPipeline
    device: torch.device
    dtype: torch.dtype
    max_sequence_length: int
    family: str = "flux1"

    @property
    def transformer(self) -> FluxTransformer:
        return self.pipeline.transformer

    @property
    def text_encoders(self) -> Mapping[str, nn.Module]:
        return {"text_encoder": self.pipeline.text_encoder, "text_encoder_2": self.pipeline.text_encoder_2}

    @property
    def vae(self) -> AutoencoderKL:
        return self.pipeline.vae

    @property
    def width(self) -> int:
        return int(self.transformer.inner_dim)

    @property
    def latent_channels(self) -> int:
        """A quarter of what the transformer gives; what it takes may be more (FLUX.1-Fill)."""
        return int(self.transformer.out_channels) // 4

    @property
    def cell_px(self) -> int:
        """16 in the miniature, 8 in FLUX.1."""
        return int(self.pipeline.vae_scale_factor)

    @property
    def token_px(self) -> int:
        return 2 * self.cell_px

    @property
    def state_dtype(self) -> torch.dtype:
        """As `FluxPipeline` keeps its latents between the steps."""
        return self.dtype

    def check_text(self, prompt: str) -> None:
        """Any prompt can be read: what is too long is cut, and `encode_text` says what."""

    @torch.no_grad()
    def encode_text(self, prompt: str, pictures: Sequence[npt.NDArray[np.uint8]] = ()) -> PromptEmbeds:
        self._warn_of_cuts(prompt)
        prompt_embeds, pooled, _ = self.pipeline.encode_prompt(
            prompt=[prompt], prompt_2=None, max_sequence_length=self.max_sequence_length
        )
        return PromptEmbeds(prompt_embeds.to(self.dtype), pooled.to(self.dtype))

    def join(self, texts: Sequence[PromptEmbeds]) -> PromptEmbeds:
        return PromptEmbeds(torch.cat([t.prompt_embeds for t in texts]), torch.cat([t.pooled for t in texts]))

    def noise(self, seed: int, height: int, width: int, dtype: torch.dtype = torch.float32) -> Tensor:
        shape = (1, self.latent_channels, height // self.cell_px, width // self.cell_px)
        return pack(torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype))

    def pack(self, grid: Tensor) -> Tensor:
        return pack(grid)

    def unpack(self, state: Tensor, height: int, width: int) -> Tensor:
        return unpack(state, height // self.token_px, width // self.token_px)

    def encode_pictures(self, pictures: npt.NDArray[np.uint8], hidden: npt.NDArray[np.bool_] | None = None) -> Tensor:
        return encode_pictures(self.vae, pictures, self.device, hidden)

    def decode(self, grid: Tensor) -> Tensor:
        return decode(self.vae, grid)

    def sigmas(self, image_tokens: int, steps: int) -> Tensor:
        scheduler = self.pipeline.scheduler
        given = None if scheduler.config.get("use_flow_sigmas") else np.linspace(1.0, 1 / steps, steps)
        return inference_sigmas(scheduler, steps, given, linear_mu(scheduler, image_tokens), self.device)

    def shift(self, sigmas: Tensor, image_tokens: int) -> Tensor:
        scheduler = self.pipeline.scheduler
        return shift_sigmas(sigmas, scheduler, linear_mu(scheduler, image_tokens))

    @torch.no_grad()
    def encode_reference(self, pictures: npt.NDArray[np.uint8], number: int) -> ReferenceTokens:
        """As FLUX.1-Kontext reads it: the picture's latents, with 1 + `number` as the first position."""
        tokens = pack(self.encode_pictures(pictures)).to(self.dtype)
        rows, columns = (side // self.token_px for side in pictures.shape[1:3])
        return ReferenceTokens(tokens, _position_ids(1 + number, rows, columns).to(self.device))

    def condition(
        self, text: PromptEmbeds, height: int, width: int, guidance: float, extras: Extras
    ) -> Flux1Conditioning:
        batch, length = text.prompt_embeds.shape[:2]
        ids = _position_ids(0, height // self.token_px, width // self.token_px).to(self.device)
        is_guided = bool(self.transformer.config.guidance_embeds)
        return Flux1Conditioning(
            text=text,
            txt_ids=torch.zeros(length, 3, device=self.device),
            img_ids=torch.cat([ids, *(t.ids for t in extras.tokens)]),
            guidance=torch.full((batch,), guidance, device=self.device) if is_guided else None,
            tokens=torch.cat([t.tokens for t in extras.tokens], dim=1) if extras.tokens else None,
            channels=extras.channels,
        )

    def velocity(self, state: Tensor, sigma: Tensor, conditioning: Flux1Conditioning) -> Tensor:
        """The transformer's own answer: it is trained to predict noise minus picture, and its timestep is sigma."""
        given, tokens, channels = state, conditioning.tokens, conditioning.channels
        if channels is not None:
            given = torch.cat([given, channels.to(state)], dim=2)
        if tokens is not None:
            given = torch.cat([given, tokens.to(state)], dim=1)
        answer = self.transformer(
            hidden_states=given,
            timestep=sigma,
            guidance=conditioning.guidance,
            pooled_projections=conditioning.text.pooled,
            encoder_hidden_states=conditioning.text.prompt_embeds,
            txt_ids=conditioning.txt_ids,
            img_ids=conditioning.img_ids,
            return_dict=False,
        )[0]
        return answer if tokens is None else answer[:, : state.shape[1]]

    def lora_modules(self, kind: LoraKind) -> tuple[str, ...]:
        """Inside the blocks only: the last layer, called proj_out too, is dropped by other tools' converters."""
        ends = "|".join(re.escape(name) for name in (ATTENTION if kind == "attention" else ALL_LINEAR))
        inside = re.compile(rf"(?:single_)?transformer_blocks\.\d+\.(?:{ends})")
        return tuple(name for name, _ in self.transformer.named_modules() if inside.fullmatch(name))

    def load_companion(
        self, role: str, spec: BackboneSpec, plan: LoadPlan, hardware: Hardware | None
    ) -> tuple[BackboneSpec, Model, LoadPlan]:
        own = drawing_spec(spec, role)
        pipeline, planned = load_beside(self.pipeline, spec, plan, own, role, self.device, hardware)
        pipeline.tokenizer_max_length = self.pipeline.tokenizer_max_length
        return own, replace(self, pipeline=pipeline, max_sequence_length=own.max_sequence_length), planned

    def take_turn(self, others: Sequence[Model]) -> None:
        take_turn(self.pipeline, others)

    def release(self) -> None:
        self.pipeline.maybe_free_model_hooks()

    def _warn_of_cuts(self, prompt: str) -> None:
        pipeline = self.pipeline
        for name, tokenizer, limit in (
            ("CLIP", pipeline.tokenizer, pipeline.tokenizer_max_length),
            ("T5", pipeline.tokenizer_2, self.max_sequence_length),
        ):
            ids = tokenizer(prompt).input_ids
            if len(ids) > limit:  # the last place is the end's
                cut = tokenizer.decode(ids[limit - 1 : -1], skip_special_tokens=True).strip()
                _LOG.warning("The prompt is too long for %s, which reads %d tokens and not: %s", name, limit, cut)


def load_model(spec: BackboneSpec, plan: LoadPlan, device: torch.device) -> Flux1Model:
    """As `pipelines.families.model.Loader` says."""
    family = find_family(spec.family)
    read_part_headers(spec.source, family)  # what is missing or damaged is said before the largest part is read
    pipeline = load_pipeline(spec.source, family.parts, plan, device)
    # CLIP's tokenizer files may allow more words than its text encoder has positions for
    positions = int(pipeline.text_encoder.config.max_position_embeddings)
    pipeline.tokenizer_max_length = min(pipeline.tokenizer_max_length, positions)
    pipeline.scheduler = follow_schedule(pipeline.scheduler, spec.schedule)
    return Flux1Model(pipeline, device, plan.dtype, spec.max_sequence_length, spec.family)


def _position_ids(first: int, rows: int, columns: int) -> Tensor:
    """[rows · columns, 3]: (first, row, column)."""
    return torch.cartesian_prod(torch.tensor([float(first)]), torch.arange(rows) * 1.0, torch.arange(columns) * 1.0)
