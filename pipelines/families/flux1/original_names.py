"""Single files in black-forest-labs' own names, as diffusers names them; exact, only rows are moved.

diffusers' converter (`convert_flux_transformer_checkpoint_to_diffusers`) is fixed to a width of 3072 and takes what
it finds for complete; this one takes the width from the file. Which layer is which is
`pipelines.families.flux1.lora_names`'s table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pipelines.errors import BadInput
from pipelines.families.flux1.lora_names import SPELLINGS

__all__ = ["to_diffusers"]

_NORMS = {
    "img_attn.norm.query_norm.scale": "attn.norm_q.weight",
    "img_attn.norm.key_norm.scale": "attn.norm_k.weight",
    "txt_attn.norm.query_norm.scale": "attn.norm_added_q.weight",
    "txt_attn.norm.key_norm.scale": "attn.norm_added_k.weight",
    "norm.query_norm.scale": "attn.norm_q.weight",
    "norm.key_norm.scale": "attn.norm_k.weight",
}


def to_diffusers(tensors: Mapping[str, Tensor], file: str) -> dict[str, Tensor]:
    """A transformer's state dict in diffusers' names; quantised tensors keep their kind. Raises BadInput for a tensor
    that FLUX.1 has no place for.
    """
    width = tensors["img_in.bias"].shape[0]
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if norm := _norm(name):
            found[norm] = tensor
            continue
        layer, _, part = name.rpartition(".")
        targets = SPELLINGS.targets(layer)
        if not targets or part not in ("weight", "bias"):
            raise BadInput("transformer_name_unknown", file=file, name=name, family="FLUX.1")
        rows = tensor.shape[0]
        sizes = [width] * 3 + [rows - 3 * width] if targets[-1].share == -1 else [rows // len(targets)] * len(targets)
        for target, block in zip(targets, _split(tensor, sizes), strict=True):
            if target.swapped:
                block = _join(_split(block, [rows // 2] * 2)[::-1])
            found[f"{target.module}.{part}"] = block
    return found


def _split(tensor: Tensor, sizes: Sequence[int]) -> tuple[Tensor, ...]:
    return (tensor,) if len(sizes) == 1 else tuple(torch.split(tensor, list(sizes)))  # type: ignore[no-untyped-call]


def _join(blocks: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(blocks))


def _norm(name: str) -> str:
    family, _, rest = name.partition(".")
    index, _, leaf = rest.partition(".")
    inside = {"double_blocks": "transformer_blocks", "single_blocks": "single_transformer_blocks"}.get(family)
    return f"{inside}.{index}.{_NORMS[leaf]}" if inside and leaf in _NORMS else ""
