"""A FLUX folder of another shape that draws what the miniature draws: twice the heads and width, more blocks, guidance.

Widening by copies (Net2Net, arXiv:1511.05641): the residual stream h becomes [h, h], which leaves every LayerNorm's
mean and variance as they are; what reads it gets half the weights twice. New blocks have gates of zero, and the
guidance embedder adds zero until somebody trains it.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FluxTransformer2DModel

from personas.donors import Donor, save_donor
from pipelines.lora import LoraLayer, LoraMetadata, read_lora, write_lora

_GATED = re.compile(r"(norm1|norm1_context|norm|norm_out)\.linear\.")
_OUTSIDE = ("x_embedder", "context_embedder", "timestep_embedder.linear_1", "text_embedder.linear_1")
_PER_HEAD = re.compile(r"norm_(added_)?[qk]\.")


def grow_flux(source: Path, folder: Path) -> Path:
    """Write the grown folder; everything but the transformer is copied."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("transformer"))
    small = FluxTransformer2DModel.from_pretrained(source / "transformer", dtype=torch.float32, local_files_only=True)
    config = dict(small.config)
    shape = {
        "num_attention_heads": 2 * config["num_attention_heads"],
        "num_layers": config["num_layers"] + 1,
        "num_single_layers": config["num_single_layers"] + 1,
        "guidance_embeds": True,
    }
    large = FluxTransformer2DModel.from_config(config | shape)
    state = {name: torch.zeros_like(tensor) for name, tensor in large.state_dict().items()}
    for name in state:
        if _PER_HEAD.search(name):  # the new blocks' attention must be finite
            state[name].fill_(1)
    for name, tensor in small.state_dict().items():
        state[name] = _grow(name, tensor, config["num_attention_heads"] * config["attention_head_dim"])
    large.load_state_dict(state)
    large.half().save_pretrained(folder / "transformer")
    settings = json.loads((folder / "studio.json").read_text())
    settings |= {"id": folder.name, "guidance_scale": 3.5, "redux_folder": str((source / "../redux").resolve())}
    (folder / "studio.json").write_text(json.dumps(settings))
    return folder


def grow_donors(donors: Iterable[Donor], folder: Path, width: int) -> Path:
    """The same donors for the grown transformer: their ΔW grows as the weights do."""
    for donor in donors:
        layers = []
        for layer in read_lora(donor.lora_path).layers:
            down = _repeat(layer.down.float(), _inputs(layer.module, layer.down.shape[1], width), 1) / 2
            up = _repeat(layer.up.float(), _outputs(layer.module, layer.up.shape[0], width), 0)
            layers.append(LoraLayer(layer.module, down, up, layer.alpha))
        path = folder / f"{donor.name}.safetensors"
        folder.mkdir(parents=True, exist_ok=True)
        sha256 = write_lora(path, layers, LoraMetadata(donor.name, donor.trigger, donor.licence))
        consent = donor.consent.model_copy(update={"file_sha256": sha256})
        save_donor(folder, replace(donor, id=sha256[:16], lora_path=path, consent=consent))
        path.unlink()
    return folder


def _grow(name: str, tensor: Tensor, width: int) -> Tensor:
    module = name.rpartition(".")[0]
    if _PER_HEAD.search(name):
        return tensor
    if tensor.ndim == 1:
        return tensor if module == "proj_out" else _repeat(tensor, _outputs(module, len(tensor), width), 0)
    grown = tensor if module == "proj_out" else _repeat(tensor, _outputs(module, len(tensor), width), 0)
    if any(part in module for part in _OUTSIDE):
        return grown
    return _repeat(grown, _inputs(module, tensor.shape[1], width), 1) / 2


def _outputs(module: str, count: int, width: int) -> list[int]:
    """Sizes of the parts of a layer's output that are doubled one by one: shift, scale and gate lie side by side."""
    return [width] * (count // width) if _GATED.search(f"{module}.") else [count]


def _inputs(module: str, count: int, width: int) -> list[int]:
    """A single block's last layer reads attention and feed-forward side by side."""
    return [width, count - width] if "single" in module and module.endswith("proj_out") else [count]


def _repeat(tensor: Tensor, parts: list[int], axis: int) -> Tensor:
    return torch.cat([torch.cat([part, part], dim=axis) for part in torch.split(tensor, parts, dim=axis)], dim=axis)
