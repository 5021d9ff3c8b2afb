"""Build a FluxPipeline from a source by a plan: the transformer's weights, the other parts, and where they go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FluxPipeline
from diffusers import FluxTransformer2DModel as FluxTransformer

from pipelines.errors import BadInput
from pipelines.families.configs import check_configs
from pipelines.families.flux1.detection import layout_of, transformer_config
from pipelines.families.flux1.original_names import to_diffusers
from pipelines.families.folders import bare_names, read_json, read_transformer_headers, reading
from pipelines.families.loading import (
    build_transformer,
    check_tensors,
    load_around,
    read_tensors,
    settle,
    transformer_shapes,
)
from pipelines.models.headers import Header
from pipelines.models.precision import LoadPlan
from pipelines.models.sources import Source
from pipelines.models.variants import Part

__all__ = ["check_transformer", "load_pipeline", "load_transformer"]


def check_transformer(source: Source, headers: Sequence[Header]) -> dict[str, Any]:
    """As `pipelines.families.model.Loader` says."""
    shapes = transformer_shapes(source, headers)
    config = read_json(source.base / "transformer" / "config.json")
    with reading(source.name):
        check_configs(source.base)
        if source.kind != "folder":
            config |= transformer_config(headers[0], source)
        bare = {name: shapes[key] for name, key in bare_names(shapes).items()}
        if layout_of(shapes) != "diffusers":
            empty: dict[str, Tensor] = {name: torch.empty(shape, device="meta") for name, shape in bare.items()}
            if "img_in.bias" not in empty:
                raise BadInput("transformer_incomplete", file=source.name, lacks=1, name="img_in.bias")
            bare = {name: tuple(t.shape) for name, t in to_diffusers(empty, source.name).items()}
        check_tensors(source.name, bare, lambda: FluxTransformer.from_config(config))
    return config


def load_transformer(source: Source, plan: LoadPlan) -> FluxTransformer:
    """As `pipelines.families.model.Loader` says."""
    config = check_transformer(source, read_transformer_headers(source))
    return build_transformer(FluxTransformer, source, config, plan, lambda: _tensors(source, plan.dtype))


def load_pipeline(source: Source, parts: Sequence[Part], plan: LoadPlan, device: torch.device) -> FluxPipeline:
    """The pipeline, frozen, in its place on the device. Raises ModelMissing or BadInput; never downloads."""
    transformer = load_transformer(source, plan)
    settle(source.name, transformer, plan, device)
    return load_around(FluxPipeline, source, transformer, parts, plan, device)


def _tensors(source: Source, dtype: torch.dtype) -> dict[str, Tensor]:
    tensors = read_tensors(source, dtype)
    return tensors if layout_of(tensors) == "diffusers" else to_diffusers(tensors, source.path.name)
