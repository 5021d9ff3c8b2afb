"""Single files of fp8 weights with scales: each weight is its fp8 numbers times a scale, of all of it or of each row.

black-forest-labs' fp8 files of FLUX.2-klein, ModelOpt and newer files of ComfyUI write `X.weight_scale`, ComfyUI's
`fp8_scaled` files `X.scale_weight`; the scale of what comes in (`input_scale`, `scale_input`) only matters to who
multiplies in fp8, and `comfy_quant` and `scaled_fp8` are marks. Scales of blocks (MXFP8, NVFP4) and of int8, whose
weights may be rotated as well, are other formats.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pipelines.errors import BadInput
from pipelines.families.folders import bare_names
from pipelines.models.headers import Header

__all__ = ["dequantise", "weight_shapes"]

_BESIDE = re.compile(r"(?:^|\.)(?:input_scale|scale_input|comfy_quant|scaled_fp8)$")
_SCALE = re.compile(r"\.(?:weight_scale(?:_inv)?|scale_weight)$")
_OTHER = re.compile(r"\.(?:weight_scale_2|weight_scalar)$")
_FP8 = {"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2}


def weight_shapes(file: str, headers: Sequence[Header]) -> dict[str, tuple[int, ...]]:
    """Return a single file's tensors without its transformer's scales and marks.

    Raises BadInput for scales that cannot be applied.
    """
    shapes = {name: shape for h in headers for name, shape in h.shapes.items()}
    types = {name: kind for h in headers for name, kind in h.types.items()}
    kept = {name: shape for name, shape in shapes.items() if not _BESIDE.search(name)}
    for name in bare_names(shapes).values():
        shape = shapes[name]
        weight = _SCALE.sub(".weight", name)
        if _OTHER.search(name):
            raise BadInput("model_scales_unknown", file=file, name=name, type=types.get(name, "?"), shape=list(shape))
        if weight == name:
            continue
        rows = shapes.get(weight, ())[:1]
        if types.get(weight) not in _FP8 or shape not in ((), (1,), rows, (*rows, 1)):
            raise BadInput("model_scales_unknown", file=file, name=name, type=types.get(weight, "?"), shape=list(shape))
        del kept[name]
    return kept


def dequantise(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the weights alone, those with a scale multiplied in float32 and rounded once, to `dtype`.

    The scales are those that `weight_shapes` lets pass.
    """
    found = {name: tensor for name, tensor in tensors.items() if not _BESIDE.search(name)}
    for name in [name for name in found if _SCALE.search(name)]:
        weight, scale = _SCALE.sub(".weight", name), found.pop(name).float()
        rows = scale.reshape(-1, *[1] * (found[weight].ndim - 1)) if scale.numel() > 1 else scale.reshape(())
        found[weight] = (found[weight].float() * rows).to(dtype)
    return found
