"""FLUX.2-klein-4B and Z-Image at their published dimensions, with Gaussian weights, loaded as any folder is.

The dimensions are those of the models' own config files (black-forest-labs/FLUX.2-klein-4B, Tongyi-MAI/Z-Image,
Qwen/Qwen3-4B). Widths are never reduced in the transformers. Where there is no large GPU there are fewer blocks, and
the text encoder of klein, which is read at hidden states 9, 18 and 27 and so has 27 layers at least, keeps its width of
2560 and these layers but a quarter of the heads and of the feed-forward's width.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import AutoencoderKL, AutoencoderKLFlux2, Flux2Transformer2DModel, ZImageTransformer2DModel
from transformers import Qwen3Config, Qwen3ForCausalLM, Qwen3Model

__all__ = [
    "KLEIN",
    "KLEIN_SLICE",
    "Z_IMAGE",
    "Z_IMAGE_SLICE",
    "Klein",
    "Qwen",
    "ZImage",
    "klein_parts",
    "z_image_parts",
]

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
KLEIN_SLICE = Klein(1, 2, Qwen(27, 8, 2, 2432, 4096))
Z_IMAGE_SLICE = ZImage(2, 1, Qwen(3, vocabulary=4096))


def klein_parts(size: Klein) -> dict[str, nn.Module]:
    """Make its parts, without meaning in the weights, on the default device in the default number type."""
    return {
        "transformer": Flux2Transformer2DModel(
            in_channels=128, num_layers=size.double_blocks, num_single_layers=size.single_blocks,
            attention_head_dim=128, num_attention_heads=24, joint_attention_dim=3 * 2560, guidance_embeds=False,
        ),
        "text_encoder": Qwen3ForCausalLM(_qwen(size.text)),
        "vae": AutoencoderKLFlux2(
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        ),
    }  # fmt: skip


def z_image_parts(size: ZImage) -> dict[str, nn.Module]:
    """As `klein_parts`."""
    return {
        "transformer": ZImageTransformer2DModel(n_layers=size.layers, n_refiner_layers=size.refiner_layers),
        "text_encoder": Qwen3Model(_qwen(size.text)),
        "vae": AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=16, norm_num_groups=32,
            sample_size=1024, scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False,
            use_post_quant_conv=False, force_upcast=True,
        ),
    }  # fmt: skip


def _qwen(size: Qwen) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=size.vocabulary, hidden_size=2560, intermediate_size=size.hidden, num_hidden_layers=size.layers,
        num_attention_heads=size.heads, num_key_value_heads=size.key_value_heads, head_dim=128,
        max_position_embeddings=40_960, tie_word_embeddings=True, rope_theta=1e6, rms_norm_eps=1e-6,
    )  # fmt: skip
