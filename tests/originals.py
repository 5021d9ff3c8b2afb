"""The single files that merchants have, made from a tiny FLUX folder: black-forest-labs' names, all-in-one, GGUF.

The names are written out here a second time, by hand, so that the code under test takes no part in making its input.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

_TOP = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
    "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
    "guidance_in.in_layer": "time_text_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_text_embed.guidance_embedder.linear_2",
    "final_layer.linear": "proj_out",
}
_STREAMS = {"img": ("to_q to_k to_v", "to_out.0", "ff", "norm1"), "txt": (
    "add_q_proj add_k_proj add_v_proj", "to_add_out", "ff_context", "norm1_context")}  # fmt: skip


def original_tensors(folder: Path) -> dict[str, Tensor]:
    """The folder's transformer as black-forest-labs would have saved it."""
    state = load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors")
    found: dict[str, Tensor] = {}
    for part in ("weight", "bias"):
        for theirs, ours in _TOP.items():
            if f"{ours}.{part}" in state:
                found[f"{theirs}.{part}"] = state[f"{ours}.{part}"]
        scale, shift = state[f"norm_out.linear.{part}"].chunk(2)
        found[f"final_layer.adaLN_modulation.1.{part}"] = torch.cat([shift, scale])
        for block in _blocks(state, "transformer_blocks"):
            old, new = f"double_blocks.{block}", f"transformer_blocks.{block}"
            for stream, (qkv, out, mlp, mod) in _STREAMS.items():
                rows = [state[f"{new}.attn.{name}.{part}"] for name in qkv.split()]
                found[f"{old}.{stream}_attn.qkv.{part}"] = torch.cat(rows)
                found[f"{old}.{stream}_attn.proj.{part}"] = state[f"{new}.attn.{out}.{part}"]
                found[f"{old}.{stream}_mlp.0.{part}"] = state[f"{new}.{mlp}.net.0.proj.{part}"]
                found[f"{old}.{stream}_mlp.2.{part}"] = state[f"{new}.{mlp}.net.2.{part}"]
                found[f"{old}.{stream}_mod.lin.{part}"] = state[f"{new}.{mod}.linear.{part}"]
        for block in _blocks(state, "single_transformer_blocks"):
            old, new = f"single_blocks.{block}", f"single_transformer_blocks.{block}"
            rows = [state[f"{new}.{name}.{part}"] for name in ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")]
            found[f"{old}.linear1.{part}"] = torch.cat(rows)
            found[f"{old}.linear2.{part}"] = state[f"{new}.proj_out.{part}"]
            found[f"{old}.modulation.lin.{part}"] = state[f"{new}.norm.linear.{part}"]
    for which in ("q", "k"):
        word = {"q": "query", "k": "key"}[which]
        for block in _blocks(state, "transformer_blocks"):
            old, new = f"double_blocks.{block}", f"transformer_blocks.{block}.attn"
            found[f"{old}.img_attn.norm.{word}_norm.scale"] = state[f"{new}.norm_{which}.weight"]
            found[f"{old}.txt_attn.norm.{word}_norm.scale"] = state[f"{new}.norm_added_{which}.weight"]
        for block in _blocks(state, "single_transformer_blocks"):
            norm = state[f"single_transformer_blocks.{block}.attn.norm_{which}.weight"]
            found[f"single_blocks.{block}.norm.{word}_norm.scale"] = norm
    return {name: tensor.contiguous().clone() for name, tensor in found.items()}


def write_single_file(folder: Path, file: Path, prefix: str = "", dtype: torch.dtype = torch.float32) -> Path:
    """With a prefix, an all-in-one file: a text encoder's tensor stands beside the transformer's."""
    tensors = {prefix + name: tensor.to(dtype) for name, tensor in original_tensors(folder).items()}
    if prefix:
        tensors["text_encoders.clip_l.transformer.text_model.final_layer_norm.weight"] = torch.ones(4)
        tensors["vae.decoder.conv_in.weight"] = torch.ones(4)
    save_file(tensors, file, metadata={"modelspec.license": "apache-2.0"})
    return file


def write_gguf(folder: Path, file: Path, kind: str = "Q8_0") -> Path:
    """Write the transformer of a FLUX.1 folder as GGUF."""
    return write_gguf_tensors(original_tensors(folder), file, kind)


def write_gguf_tensors(tensors: Mapping[str, Tensor], file: Path, kind: str = "Q8_0") -> Path:
    """Matrices whose rows fill whole blocks are quantised, all else stays float32, as in the files people share."""
    import gguf

    quantised = gguf.GGMLQuantizationType[kind]
    block, _ = gguf.GGML_QUANT_SIZES[quantised]
    writer = gguf.GGUFWriter(file, "flux")
    writer.add_string("general.license", "apache-2.0")
    for name, tensor in tensors.items():
        array = tensor.numpy()
        if array.ndim == 2 and array.shape[1] % block == 0 and not name.startswith(("img_in", "final_layer")):
            packed = gguf.quants.quantize(array, quantised)
            writer.add_tensor(name, packed, raw_dtype=quantised)
        else:
            writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _blocks(state: dict[str, Tensor], family: str) -> list[str]:
    return sorted({name.split(".")[1] for name in state if name.startswith(f"{family}.")})
