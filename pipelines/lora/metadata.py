"""Metadata of a LoRA file: what it says about itself, in the words that other tools read.

kohya's `ss_*` (sd-scripts, train_util.py), Stability's `modelspec.*` 1.0.1
(github.com/Stability-AI/ModelSpec) and diffusers' `lora_adapter_metadata` (loaders/lora_base.py), all strings
in the header of a safetensors file.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipelines.families.catalogue import find_family
from pipelines.families.protocol import Family

if TYPE_CHECKING:
    from pipelines.lora.layers import LoraLayer

__all__ = ["LoraMetadata", "describe_layers"]


@dataclass(frozen=True)
class LoraMetadata:
    """A LoRA's label. `merged_from` are (name, scale) pairs, `thumbnail_jpeg` a small file, `date` ISO 8601.

    Nothing here is filled in from the clock or the machine: the same LoRA gives the same file, byte for byte.
    `training` holds further kohya keys without their `ss_` ("learning_rate", "num_train_images", …); `family` is the
    id of the model family that it is for.
    """

    title: str
    trigger_phrase: str = ""
    license: str = ""
    author: str = ""
    description: str = ""
    date: str = ""
    base_model: str = ""
    height: int | None = None
    width: int | None = None
    merged_from: tuple[tuple[str, float], ...] = ()
    thumbnail_jpeg: bytes | None = None
    training: Mapping[str, str] = field(default_factory=dict)
    family: str = "flux1"


def describe_layers(metadata: LoraMetadata, layers: Sequence[LoraLayer], tensor_hash: str) -> dict[str, str]:
    """The header's strings for layers written with alpha = rank; `tensor_hash` is the data's SHA-256 in hex.

    `lora_adapter_metadata` repeats ranks and alphas because diffusers builds its adapter from it where it is
    there; it must then be complete, and no `.alpha` tensors may stand beside it (diffusers refuses the two
    together).
    """
    family = find_family(metadata.family)
    words = family.lora_words
    ranks = {layer.module: layer.down.shape[0] for layer in layers}
    rank = Counter(ranks.values()).most_common(1)[0][0]
    adapter: dict[str, object] = {}
    for part, names in _by_part(ranks, family).items():
        pattern = {f"^{name}": r for name, r in names.items() if r != rank}
        adapter |= {
            f"{part}.r": rank,
            f"{part}.lora_alpha": rank,
            f"{part}.rank_pattern": pattern,
            f"{part}.alpha_pattern": pattern,
            f"{part}.target_modules": list(names),
        }
    version, architecture = words.written({layer.module: layer.down.shape[1] for layer in layers})
    dynamic = "Dynamic" if len(set(ranks.values())) > 1 else str(rank)
    strings = {
        "format": "pt",
        "lora_adapter_metadata": json.dumps(adapter, sort_keys=True),
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": architecture,
        "modelspec.implementation": "diffusers",
        "modelspec.title": metadata.title,
        "modelspec.description": metadata.description,
        "modelspec.author": metadata.author,
        "modelspec.date": metadata.date,
        "modelspec.license": metadata.license,
        "modelspec.trigger_phrase": metadata.trigger_phrase,
        "modelspec.merged_from": ", ".join(f"{name}: {scale:.6g}" for name, scale in metadata.merged_from),
        "modelspec.hash_sha256": f"0x{tensor_hash}",
        "modelspec.thumbnail": _data_url(metadata.thumbnail_jpeg),
        "ss_base_model_version": version,
        "ss_sd_model_name": metadata.base_model,
        "ss_network_module": words.network_module,
        "ss_network_dim": dynamic,
        "ss_network_alpha": dynamic,
        "ss_output_name": metadata.title,
        "sshs_model_hash": tensor_hash,
        **{f"ss_{key}": value for key, value in metadata.training.items()},
    }
    if metadata.width is not None and metadata.height is not None:
        strings["modelspec.resolution"] = f"{metadata.width}x{metadata.height}"  # the specification's order
    if metadata.trigger_phrase:
        strings["ss_tag_frequency"] = json.dumps({"persona": {metadata.trigger_phrase: 1}})
    return {key: value for key, value in sorted(strings.items()) if value}


def _by_part(ranks: Mapping[str, int], family: Family) -> dict[str, dict[str, int]]:
    """{"transformer": {module: rank}, "text_encoder": …}, sorted; parts without layers are left out."""
    encoders = {part.name for part in family.parts if part.is_text_encoder}
    parts: dict[str, dict[str, int]] = {}
    for module, rank in sorted(ranks.items()):
        encoder, _, name = module.partition(".")
        inside = encoder in encoders
        parts.setdefault(encoder if inside else "transformer", {})[name if inside else module] = rank
    return parts


def _data_url(jpeg: bytes | None) -> str:
    return "" if jpeg is None else f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"
