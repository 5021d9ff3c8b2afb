"""Families that the studio does not load and yet knows by name, so that a refusal says what a file is.

A row counts only while its family is not in `FAMILIES`. Names are those of diffusers' converters
(loaders/single_file_utils.py, loaders/lora_conversion_utils.py), of its model classes, and of the trainers' own
sources (ai-toolkit, musubi-tuner, sd-scripts).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from pipelines.errors import BadInput

__all__ = ["KNOWN_OTHERS", "OTHER_FILES", "PART_FILES", "KnownOther", "Refusal"]

Refusal: TypeAlias = Callable[[str, list[str]], BadInput]
"""Makes the error that says what a file is, of its name and the models that may be chosen instead."""


@dataclass(frozen=True)
class KnownOther:
    """How a family is known: `pipelines` are beginnings of a folder's `_class_name`, `model_marks` pieces of a
    checkpoint's names, `lora_marks` a pattern of a LoRA's names (whose dots are underscores), and `lora_words`
    beginnings of what a LoRA says of its base model (see `LoraWords`).
    """

    id: str
    name: str
    pipelines: tuple[str, ...] = ()
    model_marks: tuple[str, ...] = ()
    lora_marks: re.Pattern[str] = re.compile(r"(?!)")
    lora_words: tuple[str, ...] = ()


_UNET = r"(^|_)(down_blocks|up_blocks|mid_block|input_blocks|output_blocks|middle_block)_"

# In the order in which they are asked for: what comes later shares names with what stands above.
KNOWN_OTHERS: tuple[KnownOther, ...] = (
    KnownOther("flux3", "FLUX.3", ("Flux3",), lora_words=("flux3",)),
    KnownOther("chroma", "Chroma", ("Chroma",), ("distilled_guidance_layer.",),
               re.compile(r"distilled_guidance_layer"), ("chroma", "flux1chroma")),
    KnownOther(
        "qwen-image", "Qwen-Image", ("QwenImage",), (".img_mod.1.", ".txt_mod.1."),
        re.compile(r"(^|_)transformer_blocks_\d+_(img|txt)_(mlp|mod)_"), ("qwenimage", "qwen"),
    ),
    KnownOther(
        "krea2", "Krea 2", ("Krea2",), ("txtfusion.",),
        re.compile(r"(^|_)(txtfusion|txtmlp|tmlp)_|(^|unet_|model_)blocks_\d+_attn_(gate|w[qkvo])_"), ("krea2",),
    ),
    KnownOther("lumina2", "Lumina-Image 2.0", ("Lumina2",), lora_words=("lumina",)),  # Z-Image's table tells its layers
    KnownOther("longcat-image", "LongCat-Image", ("LongCatImage",), lora_words=("longcat",)),
    KnownOther(
        "wan", "Wan", ("Wan",), ("blocks.0.self_attn.q.",),
        re.compile(r"(^|_)blocks_\d+_(self|cross)_attn_(q|k|v|o)_"), ("wan",),
    ),
    KnownOther(
        "sd3", "Stable Diffusion 3", ("StableDiffusion3",), ("joint_blocks.", "pos_embed.proj."),
        re.compile(r"(^|_)joint_blocks_\d+_"), ("sd3", "stablediffusion3", "stablediffusionv3"),
    ),
    KnownOther(
        "sdxl", "Stable Diffusion XL", ("StableDiffusionXL",),
        ("conditioner.embedders.", "label_emb.", "add_embedding.linear_1."),
        # only its U-Net has more than one transformer block in one place
        re.compile(_UNET + r".*transformer_blocks_([1-9])_|add_embedding_linear|label_emb_"),
        ("sdxl", "stablediffusionxl", "pony", "illustrious"),
    ),
    KnownOther(
        "sd1", "Stable Diffusion 1.5 / 2", ("StableDiffusion",),
        ("cond_stage_model.", "input_blocks.", "down_blocks.0.attentions."),
        re.compile(_UNET), ("sd1", "sdv1", "sd2", "sdv2", "stablediffusionv1", "stablediffusionv2"),
    ),
)  # fmt: skip

OTHER_FILES: tuple[tuple[Refusal, tuple[str, ...]], ...] = (
    (
        lambda file, known: BadInput("file_is_lora", file=file, known=known),
        ("lora_unet_", "lora_te", ".lora_A.", ".lora_down.", ".lora_B.", "lora.up"),
    ),
    (
        lambda file, known: BadInput("file_is_controlnet", file=file, known=known),
        ("controlnet_", "control_model.", "control_layers.", "zero_convs.", "input_hint_block"),
    ),
    (
        lambda file, known: BadInput("file_is_ip_adapter", file=file, known=known),
        ("ip_adapter_proj_model.", "image_proj", "ip_adapter."),
    ),
)
"""Files that are no model at all, by pieces of its names; asked for before any family."""

PART_FILES: tuple[tuple[Refusal, tuple[str, ...]], ...] = (
    (
        lambda file, known: BadInput("file_is_vae", file=file, known=known),
        ("decoder.conv_in.", "encoder.conv_in.", "decoder.mid."),
    ),
    (
        lambda file, known: BadInput("file_is_text_encoder", file=file, known=known),
        ("encoder.block.", "text_model.", "shared.weight"),
    ),
)
"""Files that are a part of a model, by beginnings of its names; asked for behind all families."""
