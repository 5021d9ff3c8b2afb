"""FLUX.2-klein-4B and Z-Image at their published dimensions, with Gaussian weights, written as folders.

The dimensions are those of the models' own config files (black-forest-labs/FLUX.2-klein-4B, Tongyi-MAI/Z-Image,
Qwen/Qwen3-4B). Widths are never reduced in the transformers. Where there is no large GPU there are fewer blocks, and
the text encoder of klein, which is read at hidden states 9, 18 and 27 and so has 27 layers at least, keeps its width of
2560 and these layers but a quarter of the heads and of the feed-forward's width. A token is a byte.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import pre_tokenizers

from benchmarks.full_size_models import born, gaussian
from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2Transformer2DModel,
    ModelMixin,
    ZImageTransformer2DModel,
)
from transformers import PreTrainedModel, Qwen2Tokenizer, Qwen3Config, Qwen3ForCausalLM, Qwen3Model

__all__ = [
    "KLEIN", "KLEIN_SLICE", "Z_IMAGE", "Z_IMAGE_SLICE", "Klein", "Makers", "Qwen", "ZImage", "klein_parts",
    "write_folder", "z_image_parts",
]  # fmt: skip

Makers = Mapping[str, Callable[[], ModelMixin | PreTrainedModel]]
"""Return what makes each part, by the part's name; the transformer comes first."""
_VOCABULARY = 151_936


@dataclass(frozen=True)
class Qwen:
    """A Qwen3 text encoder; the defaults are Qwen3-4B's. Both families read it 2560 wide."""

    layers: int = 36
    heads: int = 32
    key_value_heads: int = 8
    hidden: int = 9728
    vocabulary: int = _VOCABULARY


@dataclass(frozen=True)
class Klein:
    """FLUX.2-klein-4B: 3.88e9 parameters in the transformer, 24 × 128 wide."""

    double_blocks: int = 5
    single_blocks: int = 20
    text: Qwen = Qwen()


@dataclass(frozen=True)
class ZImage:
    """Z-Image: 6.15e9 parameters in the transformer, 3840 wide; two refiners each for picture and text."""

    layers: int = 30
    refiner_layers: int = 2
    text: Qwen = Qwen()


KLEIN, Z_IMAGE = Klein(), ZImage()
KLEIN_SLICE = Klein(1, 1, Qwen(27, 8, 2, 2432, 4096))
Z_IMAGE_SLICE = ZImage(2, 1, Qwen(3, vocabulary=4096))


def klein_parts(size: Klein) -> Makers:
    """Return what makes its parts, on the default device in the default number type."""
    return {
        "transformer": lambda: Flux2Transformer2DModel(
            in_channels=128, num_layers=size.double_blocks, num_single_layers=size.single_blocks,
            attention_head_dim=128, num_attention_heads=24, joint_attention_dim=3 * 2560, guidance_embeds=False,
        ),
        "text_encoder": lambda: Qwen3ForCausalLM(_qwen(size.text)),
        "vae": lambda: AutoencoderKLFlux2(
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        ),
    }  # fmt: skip


def z_image_parts(size: ZImage) -> Makers:
    """As `klein_parts`."""
    return {
        "transformer": lambda: ZImageTransformer2DModel(n_layers=size.layers, n_refiner_layers=size.refiner_layers),
        "text_encoder": lambda: Qwen3Model(_qwen(size.text)),
        "vae": lambda: AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=16, norm_num_groups=32,
            sample_size=1024, scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False,
            use_post_quant_conv=False, force_upcast=True,
        ),
    }  # fmt: skip


def write_folder(folder: Path, parts: Makers, device: torch.device, settings: Mapping[str, int], seed: int = 0) -> Path:
    """Write a diffusers folder, part by part so that one is in memory at a time, in bfloat16; return it.

    It is a base model, no distilled one. The scheduler shifts as the published one does; `settings` are of its
    studio.json.
    """
    is_klein = "Flux2" in type(_meta(parts["transformer"])).__name__
    index: dict[str, object] = {
        "_class_name": "Flux2KleinPipeline" if is_klein else "ZImagePipeline",
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "tokenizer": ["transformers", "Qwen2Tokenizer"],
    } | ({"is_distilled": False} if is_klein else {})
    for number, (name, make) in enumerate(parts.items()):
        with born(device, torch.bfloat16):
            part = gaussian(make, seed + number)
        for buffer, values in part.named_buffers():
            if buffer == "bn.running_var":  # klein's statistics of latents
                values.uniform_(0.5, 2.0)
        part.save_pretrained(folder / name)
        index[name] = ["diffusers" if name != "text_encoder" else "transformers", type(part).__name__]
        del part
    dynamic = {"use_dynamic_shifting": True} if is_klein else {}
    FlowMatchEulerDiscreteScheduler(shift=3.0 if is_klein else 6.0, **dynamic).save_pretrained(folder / "scheduler")
    _byte_tokenizer().save_pretrained(folder / "tokenizer")
    (folder / "model_index.json").write_text(json.dumps(index, indent=1), encoding="utf-8")
    if settings:
        (folder / "studio.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def _meta(make: Callable[[], ModelMixin | PreTrainedModel]) -> ModelMixin | PreTrainedModel:
    with torch.device("meta"):
        return make()


def _byte_tokenizer() -> Qwen2Tokenizer:
    """Qwen's, with a vocabulary of bytes, its special tokens, and its chat template for plain messages."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Qwen2Tokenizer(
        vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[], eos_token="<|im_end|>",
        pad_token="<|endoftext|>", model_max_length=4096,
    )  # fmt: skip
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
    tokenizer.add_tokens(special, special_tokens=True)
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% if enable_thinking is false %}"
        "<think>\n\n</think>\n\n{% endif %}{% endif %}"
    )
    return tokenizer


def _qwen(size: Qwen) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=size.vocabulary, hidden_size=2560, intermediate_size=size.hidden, num_hidden_layers=size.layers,
        num_attention_heads=size.heads, num_key_value_heads=size.key_value_heads, head_dim=128,
        max_position_embeddings=40_960, tie_word_embeddings=True, rope_theta=1e6, rms_norm_eps=1e-6,
    )  # fmt: skip
