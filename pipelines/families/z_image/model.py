"""Z-Image behind the protocol of `pipelines.families.model`: text, velocity, states, sigmas, LoRA modules.

Its state is the grid itself, latents [b, c, h, w], in float32 whatever is computed in, as `ZImagePipeline` keeps them.
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
from diffusers import AutoencoderKL, ZImagePipeline
from diffusers import ZImageTransformer2DModel as ZImageTransformer
from diffusers.models.transformers.transformer_z_image import SEQ_MULTI_OF

from pipelines.errors import BadInput
from pipelines.families.autoencoder import decode, encode_pictures
from pipelines.families.catalogue import find_family
from pipelines.families.companion_loading import load_beside, take_turn
from pipelines.families.companions import drawing_spec
from pipelines.families.folders import read_part_headers
from pipelines.families.model import Extras, LoraKind, Model, ReferenceTokens
from pipelines.families.prompts import check_template, cut_words
from pipelines.families.schedule import follow_schedule, inference_sigmas, linear_mu, shift_sigmas
from pipelines.families.spec import BackboneSpec
from pipelines.families.z_image.loading import check_transformer, load_pipeline, load_transformer
from pipelines.models.hardware import Hardware
from pipelines.models.precision import LoadPlan

__all__ = [
    "ALL_LINEAR",
    "ATTENTION",
    "ZImageConditioning",
    "ZImageModel",
    "check_transformer",
    "load_model",
    "load_transformer",
]

ATTENTION = ("attention.to_q", "attention.to_k", "attention.to_v", "attention.to_out.0")
ALL_LINEAR = (*ATTENTION, "feed_forward.w1", "feed_forward.w2", "feed_forward.w3")

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class ZImageConditioning:
    """All that the transformer reads beside state and sigma: each picture's text [n, d], of any length."""

    texts: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class ZImageModel:
    """A Z-Image pipeline's parts. `dtype` is what is computed in; prompts are cut at `max_sequence_length` tokens.

    Encoded prompts are a tuple of texts [n, d], one a picture: the transformer pads each by itself, to a multiple of 32
    tokens, and the picture's place follows it. `name` is the backbone's, for errors.
    """

    name: str
    pipeline: ZImagePipeline
    device: torch.device
    dtype: torch.dtype
    max_sequence_length: int
    family: str = "z-image"

    @property
    def transformer(self) -> ZImageTransformer:
        return self.pipeline.transformer

    @property
    def text_encoders(self) -> Mapping[str, nn.Module]:
        return {"text_encoder": self.pipeline.text_encoder}

    @property
    def vae(self) -> AutoencoderKL:
        return self.pipeline.vae

    @property
    def state_dtype(self) -> torch.dtype:
        return torch.float32

    @property
    def width(self) -> int:
        return int(self.transformer.config.dim)

    @property
    def cell_px(self) -> int:
        return int(self.pipeline.vae_scale_factor)

    @property
    def token_px(self) -> int:
        """The transformer makes a token of 2×2 latents by itself."""
        return 2 * self.cell_px

    @property
    def max_text_tokens(self) -> int:
        """How many tokens of a prompt there are positions for: padded, they count from 1, and the picture is behind."""
        return (int(self.transformer.config.axes_lens[0]) - 2) // SEQ_MULTI_OF * SEQ_MULTI_OF

    def check_text(self, prompt: str) -> None:
        """Raise BadInput where what is read of the prompt has more tokens than there are positions for."""
        tokens = len(self.pipeline.tokenizer(self.written(prompt)).input_ids)
        if min(tokens, self.max_sequence_length) > self.max_text_tokens:
            raise BadInput("prompt_beyond_positions", model=self.name, tokens=tokens, limit=self.max_text_tokens)

    @torch.no_grad()
    def encode_text(self, prompt: str, pictures: Sequence[npt.NDArray[np.uint8]] = ()) -> tuple[Tensor, ...]:
        """A text [n, d]: the last hidden state but one of the chat template's tokens, those that only pad left out."""
        self.check_text(prompt)
        limit = self.max_sequence_length
        if cut := cut_words(self.pipeline.tokenizer, self.written(prompt), prompt, limit):
            _LOG.warning("The prompt is too long for Qwen3, which reads %d tokens and not: %s", limit, cut)
        texts, _ = self.pipeline.encode_prompt(
            prompt=[prompt], do_classifier_free_guidance=False, max_sequence_length=limit
        )
        return tuple(text.to(self.dtype) for text in texts)

    def join(self, texts: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        return tuple(text for one in texts for text in one)

    def noise(self, seed: int, height: int, width: int, dtype: torch.dtype = torch.float32) -> Tensor:
        shape = (1, int(self.transformer.config.in_channels), height // self.cell_px, width // self.cell_px)
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)

    def pack(self, grid: Tensor) -> Tensor:
        return grid

    def unpack(self, state: Tensor, height: int, width: int) -> Tensor:
        return state

    def encode_pictures(self, pictures: npt.NDArray[np.uint8], hidden: npt.NDArray[np.bool_] | None = None) -> Tensor:
        return encode_pictures(self.vae, pictures, self.device, hidden)

    def decode(self, grid: Tensor) -> Tensor:
        return decode(self.vae, grid)

    def sigmas(self, image_tokens: int, steps: int) -> Tensor:
        scheduler = self.pipeline.scheduler
        # in float32, as `get_default_z_image_sigmas` of the pipeline: numpy's float64 rounds some otherwise
        given = torch.linspace(1.0, 1 / steps, steps).numpy()
        return inference_sigmas(scheduler, steps, given, linear_mu(scheduler, image_tokens), self.device)

    def shift(self, sigmas: Tensor, image_tokens: int) -> Tensor:
        scheduler = self.pipeline.scheduler
        return shift_sigmas(sigmas, scheduler, linear_mu(scheduler, image_tokens))

    def encode_reference(self, pictures: npt.NDArray[np.uint8], number: int) -> ReferenceTokens:
        raise BadInput("model_reads_no_references", model=self.name)

    def condition(
        self, text: tuple[Tensor, ...], height: int, width: int, guidance: float, extras: Extras
    ) -> ZImageConditioning:
        """Raises BadInput where a side is longer than there are positions for, or where there are references."""
        if extras.tokens or extras.channels is not None:
            raise BadInput("model_reads_no_references", model=self.name)
        most = tuple(int(length) * self.token_px for length in self.transformer.config.axes_lens[1:])
        if height > most[0] or width > most[1]:
            raise BadInput(
                "size_beyond_positions",
                model=self.name,
                height=height,
                width=width,
                most_height=most[0],
                most_width=most[1],
            )
        return ZImageConditioning(text)

    def velocity(self, state: Tensor, sigma: Tensor, conditioning: ZImageConditioning) -> Tensor:
        """Minus the transformer's answer, which is trained to predict picture minus noise; its time is 1 − sigma.

        Computed as `ZImagePipeline` does, by way of a thousand timesteps: 1 − sigma rounds to other last bits.
        """
        time = (1000 - 1000 * sigma) / 1000
        pictures = list(state.to(self.dtype).unsqueeze(2).unbind(0))  # [c, 1, h, w] each
        answers = self.transformer(pictures, time, list(conditioning.texts), return_dict=False)[0]
        return -torch.stack([answer.float() for answer in answers]).squeeze(2)

    def lora_modules(self, kind: LoraKind) -> tuple[str, ...]:
        """Inside `layers` only: the refiners and the modulation stay as they are, as all trainers leave them."""
        ends = "|".join(re.escape(name) for name in (ATTENTION if kind == "attention" else ALL_LINEAR))
        inside = re.compile(rf"layers\.\d+\.(?:{ends})")
        return tuple(name for name, _ in self.transformer.named_modules() if inside.fullmatch(name))

    def load_companion(
        self, role: str, spec: BackboneSpec, plan: LoadPlan, hardware: Hardware | None
    ) -> tuple[BackboneSpec, Model, LoadPlan]:
        own = drawing_spec(spec, role)
        pipeline, planned = load_beside(self.pipeline, spec, plan, own, role, self.device, hardware)
        return own, replace(self, name=own.id, pipeline=pipeline), planned

    def take_turn(self, others: Sequence[Model]) -> None:
        take_turn(self.pipeline, others)

    def release(self) -> None:
        self.pipeline.maybe_free_model_hooks()

    def written(self, prompt: str) -> str:
        """The prompt inside the chat template, as the pipeline writes it."""
        written: str = self.pipeline.tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True, enable_thinking=True
        )
        return written


def load_model(spec: BackboneSpec, plan: LoadPlan, device: torch.device) -> ZImageModel:
    """As `pipelines.families.model.Loader` says."""
    family = find_family(spec.family)
    read_part_headers(spec.source, family)  # what is missing or damaged is said before the largest part is read
    pipeline = load_pipeline(spec.source, family.parts, plan, device)
    pipeline.scheduler = follow_schedule(pipeline.scheduler, spec.schedule)
    model = ZImageModel(spec.id, pipeline, device, plan.dtype, spec.max_sequence_length, spec.family)
    check_template(model.written, spec.id)
    return model
