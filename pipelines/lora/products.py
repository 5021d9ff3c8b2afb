"""LoHa and LoKr as plain LoRAs, exactly: a Hadamard or Kronecker product of low-rank matrices is one of low rank.

LyCORIS (arXiv:2309.14859): a LoHa's ΔW is (w1_a · w1_b) ∘ (w2_a · w2_b), whose terms are the products of each term of
one with each of the other; a LoKr's is w1 ⊗ w2, either of them whole or a product itself, and
(A·B) ⊗ (C·D) = (A ⊗ C) · (B ⊗ D). A whole matrix is its own product with the identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from pipelines.errors import BadLora
from pipelines.families.spellings import PRODUCT_PARTS

__all__ = ["MOST_NUMBERS", "is_product", "plain_factors"]

MOST_NUMBERS = 2_000_000_000
"""So many numbers, 8 GB, a file's products may have when they are multiplied out."""
_Pair: TypeAlias = tuple[Tensor, Tensor]


def is_product(parts: Mapping[str, Tensor]) -> bool:
    """Return whether a layer is a LoHa's or a LoKr's."""
    return not PRODUCT_PARTS.isdisjoint(parts)


def plain_factors(
    file: str, layer: str, parts: Mapping[str, Tensor], family: str, room: int = MOST_NUMBERS
) -> tuple[Tensor, Tensor, int]:
    """Return (down [r, in], up [out, r], rank) with ΔW = alpha / rank · up · down, float32. A rank of 0: the matrices
    do not tell what alpha is divided by. `family` is its name, for errors.

    Raises BadLora where a factor is missing or of another shape, and where the matrices have more than `room` numbers:
    a LoKr of two whole ones has about the rank of the layer itself.
    """
    found = {name: part.float() for name, part in parts.items() if name in PRODUCT_PARTS}
    if any(part.ndim != 2 or not part.numel() for part in found.values()):
        _refuse_shapes(file, layer, found, family)
    kind = "hada" if any(name.startswith("hada") for name in found) else "lokr"
    first, second = (_factor(file, layer, found, f"{kind}_{w}", family) for w in ("w1", "w2"))
    if kind == "hada" and (first[0].shape[0], first[1].shape[1]) != (second[0].shape[0], second[1].shape[1]):
        _refuse_shapes(file, layer, found, family)
    rank = first[1].shape[0] * second[1].shape[0]
    out, width = first[0].shape[0], first[1].shape[1]
    if kind == "lokr":
        out, width = out * second[0].shape[0], width * second[1].shape[1]
    if rank * (out + width) > room:
        raise BadLora("lora_product_too_large", file=file, layer=layer, rank=rank, most_gb=4 * MOST_NUMBERS / 1e9)
    # the rank that alpha is divided by: of LoKr's second factor, else its first; two whole ones have none
    divided = [f"{kind}_w2_b", f"{kind}_w1_b"] if kind == "lokr" else ["hada_w1_b"]
    dim = next((found[name].shape[0] for name in divided if name in found), 0)
    if kind == "lokr":
        return torch.kron(first[1], second[1]), torch.kron(first[0], second[0]), dim
    up = torch.einsum("oi,oj->oij", first[0], second[0]).reshape(out, rank)
    down = torch.einsum("in,jn->ijn", first[1], second[1]).reshape(rank, width)
    return down, up, dim


def _factor(file: str, layer: str, parts: Mapping[str, Tensor], name: str, family: str) -> _Pair:
    """One of the two as (up, down)."""
    if name in parts:
        whole = parts[name]
        rows, columns = whole.shape
        return (whole, torch.eye(columns)) if columns <= rows else (torch.eye(rows), whole)
    if f"{name}_a" not in parts or f"{name}_b" not in parts:
        raise BadLora("lora_incomplete", file=file, layer=layer)
    up, down = parts[f"{name}_a"], parts[f"{name}_b"]
    if up.shape[1] != down.shape[0]:
        _refuse_shapes(file, layer, parts, family)
    return up, down


def _refuse_shapes(file: str, layer: str, parts: Mapping[str, Tensor], family: str) -> None:
    shapes = [list(part.shape) for part in parts.values()]
    raise BadLora("lora_odd_shapes", file=file, family=family, layer=layer, shapes=shapes)
