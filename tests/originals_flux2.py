"""FLUX.2's single files in black-forest-labs' names, made from a tiny folder.

The names are written out here a second time, by hand, as in `tests.originals`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.originals import write_gguf_tensors

__all__ = ["original_tensors", "write_gguf", "write_single_file"]

_TOP = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "time_in.in_layer": "time_guidance_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_guidance_embed.timestep_embedder.linear_2",
    "guidance_in.in_layer": "time_guidance_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_guidance_embed.guidance_embedder.linear_2",
    "double_stream_modulation_img.lin": "double_stream_modulation_img.linear",
    "double_stream_modulation_txt.lin": "double_stream_modulation_txt.linear",
    "single_stream_modulation.lin": "single_stream_modulation.linear",
    "final_layer.linear": "proj_out",
}
_STREAMS = {
    "img": ("to_q to_k to_v", "to_out.0", "ff", "norm_q norm_k"),
    "txt": ("add_q_proj add_k_proj add_v_proj", "to_add_out", "ff_context", "norm_added_q norm_added_k"),
}


def original_tensors(folder: Path) -> dict[str, Tensor]:
    """The folder's transformer as black-forest-labs would have saved it."""
    state = load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors")
    found = {f"{old}.weight": state[f"{new}.weight"] for old, new in _TOP.items() if f"{new}.weight" in state}
    scale, shift = state["norm_out.linear.weight"].chunk(2)
    found["final_layer.adaLN_modulation.1.weight"] = torch.cat([shift, scale])
    for block in _blocks(state, "transformer_blocks"):
        old, new = f"double_blocks.{block}", f"transformer_blocks.{block}"
        for stream, (qkv, out, mlp, norms) in _STREAMS.items():
            rows = [state[f"{new}.attn.{name}.weight"] for name in qkv.split()]
            found[f"{old}.{stream}_attn.qkv.weight"] = torch.cat(rows)
            found[f"{old}.{stream}_attn.proj.weight"] = state[f"{new}.attn.{out}.weight"]
            found[f"{old}.{stream}_mlp.0.weight"] = state[f"{new}.{mlp}.linear_in.weight"]
            found[f"{old}.{stream}_mlp.2.weight"] = state[f"{new}.{mlp}.linear_out.weight"]
            for word, norm in zip(("query", "key"), norms.split(), strict=True):
                found[f"{old}.{stream}_attn.norm.{word}_norm.scale"] = state[f"{new}.attn.{norm}.weight"]
    for block in _blocks(state, "single_transformer_blocks"):
        old, new = f"single_blocks.{block}", f"single_transformer_blocks.{block}.attn"
        found[f"{old}.linear1.weight"] = state[f"{new}.to_qkv_mlp_proj.weight"]
        found[f"{old}.linear2.weight"] = state[f"{new}.to_out.weight"]
        for word, norm in (("query", "norm_q"), ("key", "norm_k")):
            found[f"{old}.norm.{word}_norm.scale"] = state[f"{new}.{norm}.weight"]
    return {name: tensor.contiguous().clone() for name, tensor in found.items()}


def write_single_file(
    folder: Path, file: Path, prefix: str = "", dtype: torch.dtype = torch.float32, metadata: Mapping[str, str] = {}
) -> Path:
    """With a prefix, an all-in-one file: a VAE's tensor stands beside the transformer's."""
    tensors = {prefix + name: tensor.to(dtype) for name, tensor in original_tensors(folder).items()}
    if prefix:
        tensors["vae.decoder.conv_in.weight"] = torch.ones(4)
    save_file(tensors, file, metadata=dict(metadata))
    return file


def write_gguf(folder: Path, file: Path, kind: str = "Q8_0") -> Path:
    """As `tests.originals.write_gguf`."""
    return write_gguf_tensors(original_tensors(folder), file, kind)


def _blocks(state: Mapping[str, Tensor], family: str) -> list[str]:
    return sorted({name.split(".")[1] for name in state if name.startswith(f"{family}.")})
