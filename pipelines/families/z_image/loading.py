"""Build a ZImagePipeline from a source by a plan: the transformer's weights, the other parts, and where they go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import ZImagePipeline
from diffusers import ZImageTransformer2DModel as ZImageTransformer
from diffusers.loaders.single_file_utils import convert_z_image_transformer_checkpoint_to_diffusers

from pipelines.errors import BadInput
from pipelines.families.configs import check_configs
from pipelines.families.folders import bare_names, read_json, read_transformer_headers, reading
from pipelines.families.loading import (
    build_transformer,
    check_tensors,
    load_around,
    read_tensors,
    settle,
    transformer_shapes,
)
from pipelines.families.z_image.detection import check_parts, layout_of, transformer_config
from pipelines.models.headers import Header
from pipelines.models.precision import LoadPlan
from pipelines.models.sources import Source
from pipelines.models.variants import Part

__all__ = ["check_transformer", "load_pipeline", "load_transformer"]

_LAST_PARTS = ("weight", "bias", "x_pad_token", "cap_pad_token")


def check_transformer(source: Source, headers: Sequence[Header]) -> dict[str, Any]:
    """As `pipelines.families.model.Loader` says; the folder's text encoder and VAE go with it, too."""
    shapes = transformer_shapes(source, headers)
    config = read_json(source.base / "transformer" / "config.json")
    with reading(source.name):
        check_configs(source.base)
        if source.kind == "folder":
            check_parts(source.name, config, source)
        else:
            config |= transformer_config(headers[0], source)
        empty = {name: torch.empty(shapes[key], device="meta") for name, key in bare_names(shapes).items()}
        ours = {name: tuple(tensor.shape) for name, tensor in _to_diffusers(empty, source.name).items()}
        check_tensors(source.name, ours, lambda: ZImageTransformer.from_config(config))
    return config


def load_transformer(source: Source, plan: LoadPlan) -> ZImageTransformer:
    """As `pipelines.families.model.Loader` says."""
    config = check_transformer(source, read_transformer_headers(source))
    return build_transformer(ZImageTransformer, source, config, plan, lambda: _tensors(source, plan.dtype))


def load_pipeline(source: Source, parts: Sequence[Part], plan: LoadPlan, device: torch.device) -> ZImagePipeline:
    """The pipeline, frozen, in its place on the device. Raises ModelMissing or BadInput; never downloads."""
    transformer = load_transformer(source, plan)
    settle(source.name, transformer, plan, device)
    return load_around(ZImagePipeline, source, transformer, parts, plan, device)


def _tensors(source: Source, dtype: torch.dtype) -> dict[str, Tensor]:
    return _to_diffusers(read_tensors(source, dtype), source.path.name)


def _to_diffusers(tensors: Mapping[str, Tensor], file: str) -> dict[str, Tensor]:
    """A transformer's state dict in diffusers' names, by its own converter; quantised tensors keep their kind.

    GGUF files have lost the one row that the tokens to pad with have. Raises BadInput for tensors that the converter
    would hand on as weights that nobody asks for.
    """
    tensors = {name: t[None] if name.endswith("_pad_token") and t.ndim == 1 else t for name, t in tensors.items()}
    if layout_of(tensors) == "diffusers":
        return tensors
    for name in tensors:
        if name.rpartition(".")[2] not in _LAST_PARTS:
            raise BadInput("transformer_name_unknown", file=file, name=name, family="Z-Image")
        if ".qkv." in name and (not tensors[name].ndim or tensors[name].shape[0] % 3):
            raise BadInput("transformer_tensor_unknown", file=file, name=name)
    converted: dict[str, Tensor] = convert_z_image_transformer_checkpoint_to_diffusers(tensors)
    return converted
