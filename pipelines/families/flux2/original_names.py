"""Single files in black-forest-labs' own names, as diffusers names them: by diffusers' converter, behind a check.

`convert_flux2_transformer_checkpoint_to_diffusers` takes any width and depth, and what it finds for complete; tensors
that FLUX.2 has no place for it splits or drops, so names are held against a list first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers.loaders.single_file_utils import convert_flux2_transformer_checkpoint_to_diffusers

from pipelines.errors import BadInput

__all__ = ["to_diffusers"]

_KNOWN = re.compile(
    r"(?:img_in|txt_in|(?:time|guidance)_in\.(?:in|out)_layer|(?:double_stream_modulation_(?:img|txt)|"
    r"single_stream_modulation)\.lin|final_layer\.(?:linear|adaLN_modulation\.1)|"
    r"double_blocks\.\d+\.(?:img|txt)_(?:attn\.(?:qkv|proj)|mlp\.[02])|single_blocks\.\d+\.linear[12])\.weight|"
    r"(?:double_blocks\.\d+\.(?:img|txt)_attn|single_blocks\.\d+)\.norm\.(?:query|key)_norm\.(?:scale|weight)"
)


def to_diffusers(tensors: Mapping[str, Tensor], file: str) -> dict[str, Tensor]:
    """A transformer's state dict in diffusers' names; quantised tensors keep their kind. Raises BadInput for a tensor
    that FLUX.2 has no place for, or whose rows cannot be shared out.
    """
    for name, tensor in tensors.items():
        if not _KNOWN.fullmatch(name):
            raise BadInput("transformer_name_unknown", file=file, name=name, family="FLUX.2")
        parts = 3 if ".qkv." in name else 2 if "adaLN" in name else 1
        if not tensor.ndim or tensor.shape[0] % parts:
            raise BadInput("transformer_tensor_unknown", file=file, name=name)
    converted: dict[str, Tensor] = convert_flux2_transformer_checkpoint_to_diffusers(dict(tensors))
    return converted
