"""A Z-Image folder with random weights, small enough to be made in a second: for tests of ways, not of pictures.

All parts are the real classes with real tokenizer files; only sizes and weights are not.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel

from pipelines.backbones import Backbone
from pipelines.families.z_image.model import ZImageModel
from tests.tiny import scramble
from tests.tiny_qwen3 import qwen3_encoder, qwen3_tokenizer

__all__ = ["TEXT_WIDTH", "original_tensors", "WEIGHTS", "write_gguf", "write_single_file", "write_z_image", "z_image"]

TEXT_WIDTH = 16
WEIGHTS = "diffusion_pytorch_model.safetensors"


def write_z_image(
    folder: Path, *, shift: float = 6.0, caption_positions: int = 128, settings: dict[str, Any] | None = None
) -> Path:
    """Four VAE levels (8 px a latent), 4 latent channels, 1 + 1 + 2 blocks 32 wide; random but fixed.

    `shift` is 6 in Z-Image and 3 in Z-Image-Turbo, by which they are told apart; the first axis of the positions holds
    `caption_positions`, the others 32 each: 512 pixels a side.
    """
    transformer = ZImageTransformer2DModel(
        in_channels=4, dim=32, n_layers=2, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=TEXT_WIDTH,
        axes_dims=[8, 4, 4], axes_lens=[caption_positions, 32, 32],
    )  # fmt: skip
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8), layers_per_block=1, latent_channels=4, norm_num_groups=4,
        mid_block_add_attention=False, use_quant_conv=False, use_post_quant_conv=False, sample_size=64,
        scaling_factor=0.3611, shift_factor=0.1159, force_upcast=False,
    )  # fmt: skip
    for seed, part in enumerate((transformer, vae), 40):
        scramble(part, seed)
    tokenizer = qwen3_tokenizer()
    ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=shift), vae=vae,
        text_encoder=qwen3_encoder(tokenizer, layers=2, hidden=TEXT_WIDTH, causal=False), tokenizer=tokenizer,
        transformer=transformer,
    ).save_pretrained(folder)  # fmt: skip
    given = {
        "id": folder.name, "licence": "apache-2.0", "height": 96, "width": 64, "num_inference_steps": 3,
        "max_sequence_length": 64, "lora_rank": 4,
    }  # fmt: skip
    (folder / "studio.json").write_text(json.dumps(given | (settings or {})), encoding="utf-8")
    return folder


def original_tensors(folder: Path) -> dict[str, Tensor]:
    """The folder's transformer as it was published first and as ComfyUI reads it, with the norm that nobody uses.

    Written out by hand, so that the converter under test takes no part in making its input.
    """
    state = load_file(folder / "transformer" / WEIGHTS)
    found: dict[str, Tensor] = {"norm_final.weight": torch.ones(48)}
    for name, tensor in state.items():
        block, _, leaf = name.partition(".attention.")
        if leaf == "to_q.weight":
            rows = [state[f"{block}.attention.to_{part}.weight"] for part in "qkv"]
            found[f"{block}.attention.qkv.weight"] = torch.cat(rows)
        elif leaf == "to_out.0.weight":
            found[f"{block}.attention.out.weight"] = tensor
        elif leaf in ("norm_q.weight", "norm_k.weight"):
            found[f"{block}.attention.{leaf[5]}_norm.weight"] = tensor
        elif leaf not in ("to_k.weight", "to_v.weight"):
            found[name.removeprefix("all_").replace("_embedder.2-1", "_embedder").replace("_layer.2-1", "_layer")] = (
                tensor
            )
    return {name: tensor.contiguous().clone() for name, tensor in found.items()}


def write_single_file(folder: Path, file: Path, prefix: str = "", dtype: torch.dtype = torch.float32) -> Path:
    """With a prefix, an all-in-one file: tensors of a text encoder and of a VAE stand beside the transformer's."""
    tensors = {prefix + name: tensor.to(dtype) for name, tensor in original_tensors(folder).items()}
    if prefix:
        tensors["text_encoders.qwen3_4b.transformer.model.norm.weight"] = torch.ones(4)
        tensors["vae.decoder.conv_in.weight"] = torch.ones(4)
    save_file(tensors, file, metadata={"modelspec.license": "apache-2.0"})
    return file


def write_gguf(folder: Path, file: Path, kind: str = "Q8_0", *, trimmed: bool = False) -> Path:
    """Matrices whose rows fill whole blocks are quantised, as in the files people share; all else stays float32, or
    becomes bfloat16 without the leading axes of size one (`trimmed`), as stable-diffusion.cpp writes it.
    """
    import gguf

    quantised = gguf.GGMLQuantizationType[kind]
    block, _ = gguf.GGML_QUANT_SIZES[quantised]
    writer = gguf.GGUFWriter(file, "lumina2")
    writer.add_string("general.license", "apache-2.0")
    for name, tensor in original_tensors(folder).items():
        array = tensor.numpy()
        if array.ndim == 2 and array.shape[1] % block == 0 and name.startswith(("layers", "noise_", "context_")):
            packed = gguf.quants.quantize(array, quantised)
            writer.add_tensor(name, packed, raw_dtype=quantised)
        elif trimmed:
            small = array[0] if array.shape[0] == 1 else array
            packed = gguf.quants.quantize(small, gguf.GGMLQuantizationType.BF16)
            writer.add_tensor(name, packed, raw_dtype=gguf.GGMLQuantizationType.BF16)
        else:
            writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def z_image(backbone: Backbone) -> ZImageModel:
    """The backbone's model, known to be Z-Image's: diffusers' own pipelines are made of its parts."""
    assert isinstance(backbone.model, ZImageModel)
    return backbone.model
