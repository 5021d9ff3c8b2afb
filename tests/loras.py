"""Tiny FLUX transformers, LoRAs for them, and donors made of those: for tests of maths and files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from personas.donors import Consent, Donor
from pipelines import torchvision_mend  # noqa: F401
from pipelines.lora import LoraLayer, LoraMetadata, write_lora

# isort: split
from diffusers import FluxTransformer2DModel


@dataclass(frozen=True, eq=False)
class Parts:
    """What a LoRA can change, without a backbone around it."""

    transformer: nn.Module
    text_encoders: Mapping[str, nn.Module] = field(default_factory=dict)
    family: str = "flux1"


MODULES = (
    "transformer_blocks.0.attn.to_q",
    "transformer_blocks.0.attn.add_v_proj",
    "transformer_blocks.0.ff.net.0.proj",
    "single_transformer_blocks.0.attn.to_k",
    "single_transformer_blocks.0.proj_out",
    "x_embedder",
    "proj_out",
)


def tiny_transformer(seed: int = 0, *, heads: int = 2) -> nn.Module:
    """One double and one single block, 16 * heads wide."""
    torch.manual_seed(seed)
    transformer: nn.Module = FluxTransformer2DModel(  # type: ignore[no-untyped-call, assignment, unused-ignore]
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=heads,
        joint_attention_dim=24,
        pooled_projection_dim=20,
        axes_dims_rope=(4, 6, 6),
    )
    return transformer


def weight_of(transformer: nn.Module, module: str) -> Tensor:
    weight = transformer.get_submodule(module).weight
    assert isinstance(weight, Tensor)
    return weight.detach()


def make_layers(
    transformer: nn.Module,
    seed: int,
    *,
    rank: int = 4,
    alpha: float | None = None,
    modules: Sequence[str] = MODULES,
) -> tuple[LoraLayer, ...]:
    """Random matrices about as large as a trained LoRA's."""
    generator = torch.Generator().manual_seed(seed)
    layers = []
    for module in modules:
        out, width = weight_of(transformer, module).shape
        down = torch.randn(rank, width, generator=generator) * width**-0.5
        up = torch.randn(out, rank, generator=generator) * 0.1
        layers.append(LoraLayer(module, down, up, float(rank if alpha is None else alpha)))
    return tuple(layers)


def float64_delta(layers: Sequence[LoraLayer]) -> dict[str, npt.NDArray[np.float64]]:
    """ΔW by numpy alone, so that nothing under test takes part."""
    total: dict[str, npt.NDArray[np.float64]] = {}
    for layer in layers:
        up, down = layer.up.numpy().astype(np.float64), layer.down.numpy().astype(np.float64)
        term = (layer.alpha / down.shape[0]) * (up @ down)
        total[layer.module] = total.get(layer.module, 0.0) + term
    return total


def write_donor(
    folder: Path,
    transformer: nn.Module,
    name: str,
    seed: int,
    category: str = "sweet",
    **layers: float,
) -> Donor:
    """A donor whose files lie loose in `folder`, as before `save_donor`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    rank = int(layers.get("rank", 4))
    strength = layers.get("strength", 1.0)
    made = make_layers(transformer, seed, rank=rank, alpha=rank * strength)
    write_lora(path, made, LoraMetadata(title=name, trigger_phrase="someone"))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    thumbnail = folder / f"{name}.png"
    thumbnail.write_bytes(b"not looked at here")
    consent = Consent(who=f"{name} herself", scope="adverts", file_sha256=sha256)
    return Donor(sha256[:16], name, category, path, "someone", "CC-BY-4.0", consent, thumbnail)


def same_delta(first: tuple[LoraLayer, ...], second: tuple[LoraLayer, ...], tolerance: float = 1e-6) -> None:
    one, two = float64_delta(first), float64_delta(second)
    assert one.keys() == two.keys()
    for module in one:
        error = np.linalg.norm(one[module] - two[module]) / np.linalg.norm(one[module])
        assert error <= tolerance, (module, error)


def plain_tensors(layers: tuple[LoraLayer, ...], pattern: str, down: str, up: str) -> dict[str, torch.Tensor]:
    tensors = {}
    for layer in layers:
        name = pattern.format(layer.module)
        tensors[f"{name}.{down}.weight"] = layer.down.contiguous()
        tensors[f"{name}.{up}.weight"] = layer.up.contiguous()
    return tensors
