"""FLUX.1-dev and its companions at their published dimensions, with Gaussian weights.

The dimensions are those of the models' own config files (black-forest-labs/FLUX.1-dev, -Redux-dev, -Fill-dev,
-Kontext-dev, XLabs-AI/flux-ip-adapter with openai/clip-vit-large-patch14; diffusers' defaults where they agree). Only
depth can be cut; every matrix keeps its width, so that memory and time of a block, and all that could go wrong with
shapes and number types, are the real model's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxPriorReduxPipeline,
    FluxTransformer2DModel,
)
from diffusers.models.embeddings import ImageProjection
from diffusers.models.transformers.transformer_flux import FluxIPAdapterAttnProcessor
from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder
from transformers import (
    AutoTokenizer,
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    SiglipImageProcessor,
    SiglipVisionConfig,
    SiglipVisionModel,
    T5Config,
    T5EncoderModel,
)

from pipelines.adapters.ip_adapter import AdapterFile, IpAdapter
from pipelines.backbones import Backbone, BackboneSpec
from pipelines.families.flux1.model import Flux1Model
from pipelines.families.model import Model
from pipelines.lora import LoraLayer
from pipelines.models.catalogue import MODELS
from pipelines.models.precision import LoadPlan
from pipelines.models.sources import Source

__all__ = [
    "DEV", "SLICE", "Dimensions", "add_companion", "add_ip_adapter", "add_redux", "born", "build_backbone",
    "companion_bytes", "gaussian", "random_lora",
]  # fmt: skip

Module = TypeVar("Module", bound=nn.Module)
_STD = 0.02
_TOKENIZERS = Path(__file__).resolve().parent.parent / "assets" / "miniature" / "flux"


@dataclass(frozen=True)
class Dimensions:
    """Depths and widths; the defaults are FLUX.1-dev's (11.9e9 parameters in the transformer) and its companions'."""

    double_blocks: int = 19
    single_blocks: int = 38
    heads: int = 24
    head_width: int = 128
    rope: tuple[int, int, int] = (16, 56, 56)
    clip_layers: int = 12
    clip_width: int = 768
    t5_layers: int = 24
    t5_width: int = 4096
    t5_hidden: int = 10240
    t5_heads: int = 64
    text_length: int = 512
    vae_channels: tuple[int, ...] = (128, 256, 512, 512)
    siglip_layers: int = 27
    siglip_width: int = 1152
    siglip_hidden: int = 4304
    siglip_heads: int = 16
    siglip_px: int = 384  # patches of 14: 27 × 27 tokens
    vision_layers: int = 24
    vision_width: int = 1024
    vision_px: int = 224
    adapter_tokens: int = 4


DEV = Dimensions()
# What a machine without a large GPU can hold: two double and two single blocks at full width.
SLICE = Dimensions(double_blocks=2, single_blocks=2, clip_layers=2, t5_layers=2, siglip_layers=2, vision_layers=2)


def build_backbone(size: Dimensions, device: torch.device, dtype: torch.dtype, seed: int = 0) -> Backbone:
    """A Backbone like a loaded one. The tokenizers are the miniature's: their ids lie within the real vocabularies."""
    tokenizer, tokenizer_2 = (AutoTokenizer.from_pretrained(_TOKENIZERS / n) for n in ("tokenizer", "tokenizer_2"))
    with born(device, dtype):
        transformer = gaussian(lambda: _transformer(size, 64), seed)
        clip = gaussian(lambda: CLIPTextModel(CLIPTextConfig(
            vocab_size=49408, hidden_size=size.clip_width, intermediate_size=4 * size.clip_width,
            num_hidden_layers=size.clip_layers, num_attention_heads=max(1, size.clip_width // 64),
            max_position_embeddings=77, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        )), seed + 1)  # fmt: skip
        t5 = gaussian(lambda: T5EncoderModel(T5Config(
            vocab_size=32128, d_model=size.t5_width, d_kv=64, d_ff=size.t5_hidden, num_layers=size.t5_layers,
            num_heads=size.t5_heads, feed_forward_proj="gated-gelu",
        )), seed + 2)  # fmt: skip
        levels = len(size.vae_channels)
        vae = gaussian(lambda: AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=size.vae_channels, layers_per_block=2, latent_channels=16, norm_num_groups=32,
            sample_size=1024, scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False,
            use_post_quant_conv=False, force_upcast=True,
        ), seed + 3)  # fmt: skip
    pipeline = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True), vae=vae, text_encoder=clip,
        tokenizer=tokenizer, text_encoder_2=t5, tokenizer_2=tokenizer_2, transformer=transformer,
    )  # fmt: skip
    pipeline.tokenizer_max_length = 77
    pipeline.set_progress_bar_config(disable=True)
    vae.to(memory_format=torch.channels_last)
    spec = BackboneSpec(
        id="FLUX.1-dev, random", source=Source("folder", "random", Path(), Path()), licence="none",
        licence_note="Gaussian weights.", height=1024, width=1024, num_inference_steps=28, guidance_scale=3.5,
        true_cfg_scale=1.0, max_sequence_length=size.text_length, lora_rank=16, family="flux1",
        can=MODELS["FLUX.1-dev"].can,
    )  # fmt: skip
    held = float(sum(p.nbytes for m in (transformer, clip, t5, vae) for p in m.parameters()))
    plan = LoadPlan("bf16" if dtype == torch.bfloat16 else "fp32", dtype, "none", held, held)  # it is there already
    return Backbone(spec, Flux1Model(pipeline, device, dtype, size.text_length), plan)


def add_redux(backbone: Backbone, size: Dimensions, seed: int = 10) -> None:
    """Give the backbone FLUX.1-Redux-dev: SigLIP-so400m and the projection to T5's width."""
    with born(backbone.device, backbone.dtype):
        encoder = gaussian(lambda: SiglipVisionModel(SiglipVisionConfig(
            hidden_size=size.siglip_width, intermediate_size=size.siglip_hidden, num_hidden_layers=size.siglip_layers,
            num_attention_heads=size.siglip_heads, image_size=size.siglip_px, patch_size=14,
        )), seed)  # fmt: skip
        embedder = gaussian(lambda: ReduxImageEncoder(size.siglip_width, size.t5_width), seed + 1)
    processor = SiglipImageProcessor(size={"height": size.siglip_px, "width": size.siglip_px})
    redux = FluxPriorReduxPipeline(image_encoder=encoder, feature_extractor=processor, image_embedder=embedder)
    backbone.beside["redux", backbone.spec.companions.get("redux")] = redux  # in place of a folder's


def add_ip_adapter(backbone: Backbone, size: Dimensions, seed: int = 20) -> None:
    """Give the backbone XLabs' IP-Adapter: CLIP ViT-L/14, its projection to tokens, keys and values of every block."""
    width = size.heads * size.head_width
    with born(backbone.device, backbone.dtype):
        encoder = gaussian(lambda: CLIPVisionModelWithProjection(CLIPVisionConfig(
            hidden_size=size.vision_width, intermediate_size=4 * size.vision_width, image_size=size.vision_px,
            num_hidden_layers=size.vision_layers, num_attention_heads=max(1, size.vision_width // 64), patch_size=14,
            projection_dim=size.clip_width,
        )), seed)  # fmt: skip
        projection = gaussian(lambda: ImageProjection(size.clip_width, size.t5_width, size.adapter_tokens), seed + 1)
        processors = tuple(
            gaussian(lambda: FluxIPAdapterAttnProcessor(width, size.t5_width, (size.adapter_tokens,)), seed + 2 + i)
            for i in range(size.double_blocks)
        )
    side = {"height": size.vision_px, "width": size.vision_px}
    file = AdapterFile(Path("random"), "", "none", "xlabs", {}, ())
    adapter = IpAdapter(file, encoder, CLIPImageProcessor(size=side, crop_size=side), projection, processors)
    backbone.beside["ip_adapter", None] = adapter  # in place of a folder's


def add_companion(backbone: Backbone, size: Dimensions, role: str, seed: int = 50) -> None:
    """Give the backbone FLUX.1-Fill-dev ("fill") or FLUX.1-Kontext-dev ("kontext"), instead of any before."""
    backbone.companions.clear()
    # Fill: noise, the masked picture, and the mask's 16 × 16 pixels of every token
    channels = {"fill": 64 + 64 + 256, "kontext": 64}[role]
    with born(backbone.device, backbone.dtype):
        transformer = gaussian(lambda: _transformer(size, channels), seed)
    model = backbone.model
    assert isinstance(model, Flux1Model)
    pipeline = FluxPipeline(**(model.pipeline.components | {"transformer": transformer}))
    pipeline.tokenizer_max_length = model.pipeline.tokenizer_max_length
    pipeline.set_progress_bar_config(disable=True)
    known = MODELS[{"fill": "FLUX.1-Fill-dev", "kontext": "FLUX.1-Kontext-dev"}[role]]
    spec = replace(backbone.spec, id=f"{known.id}, random", guidance_scale=known.guidance_scale)
    backbone.companions[role] = replace(
        backbone, spec=spec, model=replace(model, pipeline=pipeline), role=role, companions={}
    )


def companion_bytes(backbone: Backbone) -> int:
    """What one more transformer takes."""
    return sum(p.nbytes for p in backbone.transformer.parameters())


def _transformer(size: Dimensions, in_channels: int) -> FluxTransformer2DModel:
    return FluxTransformer2DModel(
        in_channels=in_channels, out_channels=64, num_layers=size.double_blocks, num_single_layers=size.single_blocks,
        attention_head_dim=size.head_width, num_attention_heads=size.heads, joint_attention_dim=size.t5_width,
        pooled_projection_dim=size.clip_width, guidance_embeds=True, axes_dims_rope=size.rope,
    )  # fmt: skip


def random_lora(model: Model, rank: int, seed: int) -> tuple[LoraLayer, ...]:
    """A LoRA of every linear layer in the blocks, as strong as a trained one: ‖ΔW‖ is a few percent of ‖W‖."""
    generator = torch.Generator().manual_seed(seed)
    layers = []
    for name in model.lora_modules("all"):
        weight = model.transformer.get_submodule(name).weight
        out, into = weight.shape
        # Entries of up · down have deviation s_u · s_d · √r: a 30th of the weights'.
        down = torch.randn(rank, into, generator=generator) / math.sqrt(into)
        up = torch.randn(out, rank, generator=generator) * (_STD / 30 * math.sqrt(into / rank))
        layers.append(LoraLayer(name, down, up, float(rank)))
    return tuple(layers)


@contextmanager
def born(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Modules made inside lie on the device in the number type from the beginning: 24 GB are not moved or cast."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            yield
    finally:
        torch.set_default_dtype(before)


@torch.no_grad()
def gaussian(make: Callable[[], Module], seed: int) -> Module:
    """Frozen; matrices N(0, .02²), scales of norms 1, other vectors 0. Zeros everywhere would run faster."""
    module = make()
    device = next(module.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    for name, parameter in module.named_parameters():
        if parameter.ndim > 1:
            parameter.normal_(0, _STD, generator=generator)
        else:
            parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
    return module.requires_grad_(False).eval()
