"""From a LoRA file's tensors to the layers they stand for: what means the same is made the same first, and what cannot
be applied whole is refused after.

Equal in meaning are 1×1 convolutions and matrices, all float types (float8 with or without scales, as ComfyUI names
them), a layer that stands there under two names with the same values, and three LoRAs side by side in one fused layer;
LoHa and LoKr are multiplied out (`pipelines.lora.products`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pipelines.errors import BadLora
from pipelines.families.protocol import Family
from pipelines.families.spellings import MAX_NAME, PRODUCT_PARTS, Target, TensorName, adapter_kind, matrix_shape
from pipelines.lora.alphas import StatedAlphas
from pipelines.lora.layers import LoraLayer
from pipelines.lora.products import MOST_NUMBERS, is_product, plain_factors

__all__ = ["check_values", "group_tensors", "to_layers"]

_FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz)
_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64, *_FLOAT8)
# what quantisers and trainers write beside the weights, and what changes none of them
_BESIDE = re.compile(r"(?:^|[._])(?:scaled_fp8|input_scale|scale_input|comfy_quant|position_ids)$")
_PARTS = frozenset(["down", "up", "alpha", "down_scale", "up_scale", *PRODUCT_PARTS])
_NO_DIFFERENCE = ("diff", "diff_b", "lora_B.bias", "w_norm", "b_norm")
_SAME = 5e-3  # relative difference up to which two spellings of a layer are the same one: one is rounded to bfloat16


def group_tensors(
    file: str, tensors: Mapping[str, Tensor], family: Family, known: str
) -> tuple[dict[str, dict[str, Tensor]], str]:
    """Group tensors by layer and part: ({layer: {part: tensor}}, spelling). `known` names the family or families that
    the file may be for. Raises BadLora for what is no plain LoRA of the family.
    """
    spellings = family.lora_spellings
    parts: dict[str, dict[str, Tensor]] = {}
    strange: dict[str, dict[str, str]] = {}
    formats: list[str] = []
    for key in sorted(tensors):
        name = spellings.parse(key)
        if key.endswith(("_norm.scale", ".norm_q.weight", ".norm_k.weight")):
            raise BadLora("lora_is_control", file=file, key=key)
        if _means_nothing(key, tensors[key], family):
            continue
        if name is None or not spellings.targets(name.layer):
            layer, part = (name.layer, name.part) if name else (key, "")
            strange.setdefault(layer, {})[part] = key
            continue
        if name.part not in _PARTS:
            _refuse_unless_zero(file, known, name, tensors[key])
            continue
        formats.append(name.format)
        kept = parts.setdefault(name.layer, {}).setdefault(name.part, tensors[key])
        if kept is not tensors[key] and not _equal(kept, tensors[key]):
            raise BadLora("lora_layer_twice", file=file, layer=name.layer)
    _refuse_unless_untrained(file, known, strange, tensors)
    # an alpha without its layer changes nothing
    parts = {layer: found for layer, found in parts.items() if found.keys() != {"alpha"}}
    if all(layer.startswith("text_encoder") for layer in parts):
        # nor does a LoRA of Stable Diffusion's, whose CLIP is FLUX.1's too, say anything about FLUX.1
        raise BadLora("lora_of_text_encoders_only", file=file, family=known)
    return parts, formats[-1]  # names are sorted: the transformer's come behind the text encoders'


def to_layers(
    file: str, parts: Mapping[str, Mapping[str, Tensor]], alphas: StatedAlphas, family: Family
) -> tuple[LoraLayer, ...]:
    """Return the model's layers, each module once. Raises BadLora where a layer is incomplete or does not fit."""
    layers: dict[str, LoraLayer] = {}
    room = MOST_NUMBERS
    for name in sorted(parts):
        made = _to_diffusers(file, name, parts[name], alphas, family, room)
        if is_product(parts[name]):
            room -= sum(layer.down.numel() + layer.up.numel() for layer in made)
        for layer in made:
            known = layers.setdefault(layer.module, layer)
            if known is not layer and not _same_delta(known, layer):
                raise BadLora("lora_layer_twice", file=file, layer=layer.module)
            if layer.rank < known.rank:
                layers[layer.module] = layer
    check_values(file, tuple(layers.values()))
    return tuple(layers.values())


def check_values(file: str, layers: Sequence[LoraLayer]) -> None:
    """Raise BadLora where values are not finite, or where nothing would change."""
    for layer in layers:
        finite = math.isfinite(layer.alpha) and layer.down.isfinite().all() and layer.up.isfinite().all()
        if not finite:
            raise BadLora("lora_not_finite", file=file, layer=layer.module)
    if not any(layer.alpha and layer.down.any() and layer.up.any() for layer in layers):
        raise BadLora("lora_all_zero", file=file)


def _means_nothing(key: str, tensor: Tensor, family: Family) -> bool:
    """Whether a tensor says nothing of any layer: a quantiser's mark, a trainer's counter, a factor of one."""
    if _BESIDE.search(key):
        return True
    spellings = family.lora_spellings
    if tensor.numel() > 1 or spellings.parse(key) is not None:
        return False
    owner = spellings.parse(f"{key.rpartition('.')[0]}.alpha")
    return tensor.numel() == 0 or owner is None or not spellings.targets(owner.layer) or float(tensor) == 1.0


def _refuse_unless_untrained(
    file: str, known: str, strange: Mapping[str, Mapping[str, str]], tensors: Mapping[str, Tensor]
) -> None:
    """Refuse layers that the family does not have; `strange` are {layer: {part: key}}. One whose `up` is zero was never
    trained (it starts so), and an alpha alone is no layer: they change nothing.
    """
    for keys in strange.values():
        trained = "up" not in keys or bool(tensors[keys["up"]].float().any())
        if trained and set(keys) != {"alpha"}:
            raise BadLora("lora_unknown_layer", file=file, family=known, layer=next(iter(keys.values()))[:MAX_NAME])


def _refuse_unless_zero(file: str, known: str, name: TensorName, tensor: Tensor) -> None:
    # some tools write all-zero biases and norm differences beside a plain LoRA: they change nothing
    if name.part.endswith(_NO_DIFFERENCE) and not bool(tensor.float().any()):
        return
    kind = adapter_kind(name.part) or name.part
    raise BadLora("lora_not_plain", file=file, family=known, kind=kind, layer=name.layer, part=name.part)


def _to_diffusers(
    file: str, name: str, parts: Mapping[str, Tensor], alphas: StatedAlphas, family: Family, room: int
) -> list[LoraLayer]:
    """Split one layer of the file into the modules that diffusers has in its place; exact, only rows are moved.

    `room` is how many numbers there may be when it is multiplied out.
    """
    given, targets = parts.get("alpha"), family.lora_spellings.targets(name)
    if given is not None and given.numel() != 1:
        raise BadLora("lora_alpha_invalid", file=file, layer=name, count=given.numel())
    if is_product(parts):
        for part in PRODUCT_PARTS & parts.keys():
            _check_type(file, name, parts, part)
        down, up, divided = plain_factors(file, name, parts, family.name, room)
        if given is None:
            scale = alphas.scale_of_product(name, targets[0].module, divided)
        else:  # of two whole matrices LyCORIS leaves it aside
            scale = float(given) / divided if divided else 1.0
        given = torch.tensor(scale * down.shape[0], dtype=torch.float64)
    elif "down" not in parts or "up" not in parts:
        raise BadLora("lora_incomplete", file=file, layer=name)
    else:
        down, up = _matrix(file, name, parts, "down"), _matrix(file, name, parts, "up")
    rows = _rows(up, targets, down) if down.ndim == up.ndim == 2 and down.shape[0] == up.shape[1] else ()
    if not rows or not down.numel() or not up.numel():
        shapes = [list(down.shape), list(up.shape)]
        raise BadLora("lora_odd_shapes", file=file, family=family.name, layer=name, shapes=shapes)
    rank = down.shape[0]
    layers = []
    for number, (target, block) in enumerate(zip(targets, rows, strict=False)):
        alpha = alphas.of(name, target.module, rank) if given is None else float(given)
        block = torch.cat(block.chunk(2)[::-1]) if target.swapped else block
        own = _own_ranks(rows, number, rank)
        # alpha / rank stays what it was
        layers.append(
            LoraLayer(target.module, down[own], block[:, own].contiguous(), alpha * len(range(rank)[own]) / rank)
        )
    return layers


def _matrix(file: str, layer: str, parts: Mapping[str, Tensor], part: str) -> Tensor:
    """A layer's `down` or `up` as a matrix of float32; exact for all types but float64."""
    tensor, scale = parts[part], parts.get(f"{part}_scale")
    if scale is None or tensor.dtype != torch.int8:
        _check_type(file, layer, parts, part)
    matrix = tensor.float().reshape(matrix_shape(tensor.shape))
    if scale is None:
        return matrix
    scale = scale.float().flatten()
    if scale.numel() not in (1, matrix.shape[0]) or matrix.ndim != 2:
        raise BadLora("lora_odd_numbers", file=file, layer=layer, types=[f"{part}_scale {list(scale.shape)}"])
    return matrix * scale[:, None]


def _check_type(file: str, layer: str, parts: Mapping[str, Tensor], part: str) -> None:
    if parts[part].dtype not in _FLOATS:
        types = [str(tensor.dtype) for name, tensor in parts.items() if name != "alpha"]
        raise BadLora("lora_odd_numbers", file=file, layer=layer, types=types)


def _rows(up: Tensor, targets: Sequence[Target], down: Tensor) -> Sequence[Tensor]:
    """The rows of each target in order, of the first three alone where a file has only those (q, k and v of a single
    block's `linear1`); () where they cannot be shared out.
    """
    out, width = up.shape[0], down.shape[1]
    if len(targets) == 1:
        missing = targets[0].times * width - out
        return (torch.cat([up, up.new_zeros(missing, up.shape[1])]) if missing > 0 and out == 3 * width else up,)
    if targets[-1].share == -1:
        # q, k, v, each as wide as the input, and the MLP's first layer
        sizes = [width] * 3 + ([out - 3 * width] if out != 3 * width else [])
    else:
        sizes = [out // len(targets)] * len(targets)
    return torch.split(up, sizes) if min(sizes) > 0 and sum(sizes) == out else ()


def _own_ranks(rows: Sequence[Tensor], number: int, rank: int) -> slice:
    """The ranks that a target uses: all, or its share where the rows of `up` are block-sparse, one LoRA a target."""
    if len(rows) == 1 or rank % len(rows):
        return slice(rank)
    each = rank // len(rows)
    for other, block in enumerate(rows):
        if block[:, : other * each].any() or block[:, (other + 1) * each :].any():
            return slice(rank)
    return slice(number * each, (number + 1) * each)


def _equal(first: Tensor, second: Tensor) -> bool:
    one, two = first.float().flatten(), second.float().flatten()
    return one.shape == two.shape and bool((one - two).norm() <= _SAME * one.norm())


def _same_delta(first: LoraLayer, second: LoraLayer) -> bool:
    """Whether two spellings of a module hold the same ΔW; only small matrices are formed."""
    if first.up.shape[0] != second.up.shape[0] or first.down.shape[1] != second.down.shape[1]:
        return False
    up = torch.cat([first.up.double() * first.scale, -second.up.double() * second.scale], dim=1)
    down = torch.cat([first.down.double(), second.down.double()])
    r = first.rank
    ups, downs = up.T @ up, down @ down.T
    whole = float((ups * downs.T).sum())
    one = float((ups[:r, :r] * downs[:r, :r].T).sum())
    return max(whole, 0.0) <= _SAME**2 * one
