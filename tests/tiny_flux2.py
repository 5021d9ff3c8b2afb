"""FLUX.2 folders with random weights, made in a second: the real classes, the real ways, no pictures to look at.

Four VAE levels (8 px a latent, 16 a token), 4 latent channels, 1 + 2 blocks 32 wide; klein's has a Qwen3 of 27 layers
16 wide, dev's a Mistral 3 of 30.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import (
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Pipeline,
    Flux2Transformer2DModel,
)
from diffusers.pipelines.flux2.system_messages import SYSTEM_MESSAGE
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    MistralConfig,
    PixtralImageProcessor,
    PixtralProcessor,
    PixtralVisionConfig,
    PreTrainedTokenizerFast,
)

from pipelines.backbones import Backbone
from pipelines.families.flux2.model import Flux2Model
from tests.tiny import SENTENCES, scramble
from tests.tiny_qwen3 import qwen3_encoder, qwen3_tokenizer

__all__ = ["DEV_SEQUENCE", "SEQUENCE", "flux2", "tiny_transformer", "tiny_vae", "write_dev", "write_klein"]

SEQUENCE = 48  # tokens of text; the template takes 12 of them
DEV_SEQUENCE = 128  # dev's system message is read, too
_MISTRAL_SPECIAL = [
    "<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[IMG]", "[IMG_BREAK]",
    "[IMG_END]", "<pad>",
]  # fmt: skip
_MISTRAL_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}[SYSTEM_PROMPT]{{ m.content[0].text }}"
    "[/SYSTEM_PROMPT]{% else %}[INST]{{ m.content[0].text }}[/INST]{% endif %}{% endfor %}"
)


def tiny_transformer(*, text: int = 48, guidance_embeds: bool = False, seed: int = 40) -> Flux2Transformer2DModel:
    """Return one that reads text embeddings `text` wide."""
    transformer = Flux2Transformer2DModel(
        in_channels=16, num_layers=1, num_single_layers=2, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=text, timestep_guidance_channels=32, mlp_ratio=3.0, axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=guidance_embeds,
    )  # fmt: skip
    scramble(transformer, seed)
    return transformer


def tiny_vae(seed: int = 41) -> AutoencoderKLFlux2:
    """Return one whose statistics differ from channel to channel: 0 and 1 would hide that they are not used."""
    vae = AutoencoderKLFlux2(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8), layers_per_block=1, latent_channels=4, norm_num_groups=4,
        mid_block_add_attention=False, use_quant_conv=False, use_post_quant_conv=False, sample_size=64,
    )  # fmt: skip
    scramble(vae, seed)
    generator = torch.Generator().manual_seed(seed)
    vae.bn.running_mean.normal_(0, 0.3, generator=generator)
    vae.bn.running_var.uniform_(0.5, 2.0, generator=generator)
    return vae


def write_klein(folder: Path, *, distilled: bool = False, **settings: Any) -> Path:
    """Write a folder like FLUX.2-klein-4B's (`distilled`) or -base-4B's; `settings` are of its studio.json."""
    tokenizer = qwen3_tokenizer()
    pipeline = Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True), vae=tiny_vae(),
        text_encoder=qwen3_encoder(tokenizer), tokenizer=tokenizer, transformer=tiny_transformer(),
        is_distilled=distilled,
    )  # fmt: skip
    pipeline.save_pretrained(folder)
    _write_settings(folder, settings)
    return folder


def write_dev(folder: Path, **settings: Any) -> Path:
    """Write a folder like FLUX.2-dev's: a guidance input, and a Mistral 3 that could see pictures, too."""
    processor = _mistral_processor()
    sizes = {"intermediate_size": 32, "num_attention_heads": 2, "head_dim": 8, "hidden_size": 16}
    text = MistralConfig(
        vocab_size=len(processor.tokenizer), num_hidden_layers=30, num_key_value_heads=1, max_position_embeddings=4096,
        **sizes,
    )  # fmt: skip
    vision = PixtralVisionConfig(num_hidden_layers=1, image_size=32, patch_size=8, **sizes)
    encoder = Mistral3ForConditionalGeneration(Mistral3Config(
        text_config=text.to_dict(), vision_config=vision.to_dict(), image_token_index=processor.image_token_id,
    ))  # fmt: skip
    scramble(encoder, 42)
    Flux2Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True), vae=tiny_vae(),
        text_encoder=encoder, tokenizer=processor, transformer=tiny_transformer(guidance_embeds=True),
    ).save_pretrained(folder)  # fmt: skip
    _write_settings(folder, {"max_sequence_length": DEV_SEQUENCE} | settings)
    return folder


def _mistral_processor() -> PixtralProcessor:
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.train_from_iterator([*SENTENCES, SYSTEM_MESSAGE] * 2, trainers.BpeTrainer(
        vocab_size=800, min_frequency=1, special_tokens=_MISTRAL_SPECIAL, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    ))  # fmt: skip
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=trained, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>",
        model_max_length=4096,
    )  # fmt: skip
    return PixtralProcessor(
        image_processor=PixtralImageProcessor(), tokenizer=tokenizer, chat_template=_MISTRAL_TEMPLATE
    )


def _write_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    chosen = {
        "id": folder.name, "licence": "apache-2.0", "height": 96, "width": 64, "num_inference_steps": 3,
        "max_sequence_length": SEQUENCE, "lora_rank": 4,
    } | dict(settings)  # fmt: skip
    (folder / "studio.json").write_text(json.dumps(chosen), encoding="utf-8")


def flux2(backbone: Backbone) -> Flux2Model:
    """The backbone's model, known to be FLUX.2's: diffusers' own pipelines are made of its parts."""
    assert isinstance(backbone.model, Flux2Model)
    return backbone.model
