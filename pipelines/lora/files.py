"""LoRA files: reading what other tools wrote, refusing what would do nothing or harm, writing what all can
read.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from pipelines.errors import BadLora
from pipelines.families.catalogue import FAMILIES, check_lora_family, find_family, judge_lora
from pipelines.families.model import Adaptable
from pipelines.families.protocol import Family
from pipelines.families.spellings import MAX_NAME, TensorName
from pipelines.files import write_whole
from pipelines.lora.layers import LoraLayer
from pipelines.lora.metadata import LoraMetadata, describe_layers

__all__ = ["FitReport", "LoraFile", "check_fits", "named_linears", "read_lora", "write_lora"]

_KINDS = {"dora": "DoRA", "lora_magnitude": "DoRA", "lokr": "LoKr", "hada": "LoHa", "oft": "OFT"}
_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


@dataclass(frozen=True, eq=False)
class LoraFile:
    """A LoRA as it was read, complete: what could not be applied would have been refused. `sha256` is of the file.

    `family` is the id of the model family that it is for, `width` the hidden width that it was made for, 0 if its
    layers do not tell.
    """

    path: Path
    sha256: str
    layers: tuple[LoraLayer, ...]
    metadata: Mapping[str, str]
    format: str
    family: str
    width: int


@dataclass(frozen=True)
class FitReport:
    """How a LoRA meets a transformer: modules it changes, and guidance layers that this transformer lacks."""

    changed: tuple[str, ...]
    left_out: tuple[str, ...]


def read_lora(path: Path | str, family: str = "") -> LoraFile:
    """Read a LoRA of any family of `FAMILIES` in any of its spellings. Nothing in the file is executed.

    `family` is the id that a person stated; it decides only where the file itself leaves the choice. Raises BadLora for
    pickles, damaged files, other families, files that could be of two and no family is stated
    (`lora_family_ambiguous`), adapters that are no plain LoRA (DoRA, LoKr, bias and norm differences), values that are
    not finite, and files that would change nothing.
    """
    path = Path(path)
    data = _read_bytes(path)
    try:
        tensors = load(data)
        header: Mapping[str, object] = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    except (SafetensorError, ValueError, KeyError, struct.error) as error:
        raise BadLora("lora_file_damaged", file=path.name) from error
    raw = header.get("__metadata__")
    metadata = {str(key): str(value) for key, value in raw.items()} if isinstance(raw, dict) else {}
    verdict = judge_lora({name: tuple(t.shape) for name, t in tensors.items()}, metadata, family)
    if verdict.fits == "other family":
        check_lora_family(path.name, verdict)
    # what is no plain LoRA is refused as that, whichever family it is for
    facts = find_family(verdict.family) if verdict.family else FAMILIES[0]
    parts, format_ = _sort_tensors(path.name, tensors, facts)
    check_lora_family(path.name, verdict)
    alphas = _Alphas(path, metadata, facts)
    layers = tuple(
        layer for name in sorted(parts) for layer in _to_diffusers(path.name, name, parts[name], alphas, facts)
    )
    modules = Counter(layer.module for layer in layers)
    if twice := sorted(module for module, count in modules.items() if count > 1):
        raise BadLora("lora_layer_twice", file=path.name, layer=twice[0])
    _check_values(path.name, layers)
    return LoraFile(path, hashlib.sha256(data).hexdigest(), layers, metadata, format_, facts.id, verdict.width)


def write_lora(path: Path | str, layers: Sequence[LoraLayer], metadata: LoraMetadata) -> str:
    """Write diffusers' keys (`transformer.<module>.lora_A.weight`) in the layers' own dtype; the file's SHA-256.

    `metadata.family` says whose words and text encoders' names are used.

    alpha / r is multiplied into `up`, because tools differ in where they look for alpha and agree only on "no
    alpha means 1": ΔW is the same in diffusers, kohya and ComfyUI. The file appears whole or not at all, and
    the same layers and metadata give the same bytes (safetensors itself shuffles its header).
    """
    if not layers:
        raise BadLora("lora_empty")
    _check_values(Path(path).name, layers)
    spellings = find_family(metadata.family).lora_spellings
    tensors: dict[str, Tensor] = {}
    for layer in layers:
        name = spellings.written_key(layer.module)
        tensors[f"{name}.lora_A.weight"] = layer.down.contiguous().cpu()
        up = (layer.up.double() * layer.scale).to(layer.up.dtype) if layer.scale != 1.0 else layer.up
        tensors[f"{name}.lora_B.weight"] = up.contiguous().cpu()
    if len(tensors) != 2 * len(layers):
        raise BadLora("lora_layers_same_name")
    plain = save(tensors)
    size = struct.unpack("<Q", plain[:8])[0]
    body = plain[8 + size :]
    header = json.loads(plain[8 : 8 + size])
    strings = describe_layers(metadata, layers, hashlib.sha256(body).hexdigest())
    text = json.dumps({"__metadata__": strings, **header}, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the data must stay aligned
    data = struct.pack("<Q", len(text)) + text + body
    write_whole(Path(path), data)
    return hashlib.sha256(data).hexdigest()


def named_linears(model: Adaptable) -> dict[str, nn.Module]:
    """Every module that a LoRA layer may name."""
    modules: dict[str, nn.Module] = dict(model.transformer.named_modules())
    for encoder, part in model.text_encoders.items():
        # transformers 5 has taken CLIP's `text_model` level away
        modules |= {f"{encoder}.{name.removeprefix('text_model.')}": module for name, module in part.named_modules()}
    return modules


def check_fits(
    layers: Sequence[LoraLayer],
    model: Adaptable,
    name: str = "LoRA",
) -> FitReport:
    """Check every layer against the model's linear layers before anything is changed.

    Layers that only some variants of its family have (`Spellings.optional`) are left out where it has none. Raises
    BadLora if widths differ, if other layers are missing, or if nothing would change.
    """
    optional = find_family(model.family).lora_spellings.optional
    modules = named_linears(model)
    changed: list[str] = []
    left_out: list[str] = []
    for layer in layers:
        module = modules.get(layer.module)
        if module is None and any(word in layer.module for word in optional):
            left_out.append(layer.module)
        elif not isinstance(module, nn.Linear):
            raise BadLora("lora_layer_not_here", name=name, layer=layer.module)
        else:
            shape = (layer.up.shape[0], layer.down.shape[1])
            here = (module.out_features, module.in_features)  # a quantised weight has another shape
            if shape != here:
                raise BadLora("lora_shape_other", name=name, layer=layer.module, here=list(here), shape=list(shape))
            changed.append(layer.module)
    if not changed:
        raise BadLora("lora_changes_nothing_here", name=name)
    return FitReport(tuple(changed), tuple(left_out))


class _Alphas:
    """Alphas that stand in the header or beside the file instead of in `.alpha` tensors."""

    def __init__(self, path: Path, metadata: Mapping[str, str], family: Family) -> None:
        self._encoders = frozenset(part.name for part in family.parts if part.is_text_encoder)
        raw = metadata.get("lora_adapter_metadata")
        try:
            settings = json.loads(raw) if raw else {}
        except (ValueError, RecursionError) as error:
            raise BadLora("lora_metadata_damaged", file=path.name) from error
        if not isinstance(settings, dict):
            raise BadLora("lora_metadata_damaged", file=path.name)
        # "transformer.lora_alpha", "text_encoder.lora_alpha"; a key without a part is the transformer's
        self._settings: dict[str, dict[str, Any]] = {"transformer": {}}
        for key, value in settings.items():
            part, _, name = str(key).rpartition(".")
            self._settings.setdefault(part or "transformer", {})[name] = value
        beside = path.parent / "adapter_config.json"
        if not raw and path.name.startswith("adapter_model") and beside.is_file():
            # what peft's save_pretrained writes: the alpha is in that second file only
            self._settings["transformer"] = json.loads(beside.read_text(encoding="utf-8"))
        if any(settings.get("use_dora") for settings in self._settings.values()):
            raise BadLora("lora_not_plain", file=path.name, kind="DoRA")

    def of(self, module: str, rank: int) -> float:
        encoder, _, name = module.partition(".")
        inside = encoder in self._encoders
        settings = self._settings.get(encoder, {}) if inside else self._settings["transformer"]
        patterns = settings.get("alpha_pattern") or {}
        exact = next((v for k, v in patterns.items() if _matches(str(k), name if inside else module)), None)
        alpha = float(settings.get("lora_alpha", rank) if exact is None else exact)
        return alpha * math.sqrt(rank) if settings.get("use_rslora") else alpha  # rsLoRA: alpha / sqrt(r)


def _matches(pattern: str, module: str) -> bool:
    """peft's rule (`get_pattern_key`): the pattern is the module's name or its end; "^" pins the start."""
    bare = pattern.removeprefix("^")
    return module == bare or (not pattern.startswith("^") and module.endswith(f".{bare}"))


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadLora("lora_file_not_opened", file=str(path), reason=error.strerror or str(error)) from error
    if data[:4] == b"GGUF":
        raise BadLora("lora_is_gguf", file=path.name)
    if data[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05") or path.suffix in (
        ".pt",
        ".bin",
        ".ckpt",
    ):
        raise BadLora("lora_is_pickle", file=path.name)
    return data


def _sort_tensors(file: str, tensors: Mapping[str, Tensor], family: Family) -> tuple[dict[str, dict[str, Tensor]], str]:
    """Group tensors by layer and part: ({layer: {part: tensor}}, spelling)."""
    spellings = family.lora_spellings
    parts: dict[str, dict[str, Tensor]] = {}
    formats: list[str] = []
    for key in sorted(tensors):
        name = spellings.parse(key)
        if key.endswith(("_norm.scale", ".norm_q.weight", ".norm_k.weight")):
            raise BadLora("lora_is_control", file=file, key=key)
        if name is None or not spellings.targets(name.layer):
            raise BadLora("lora_unknown_layer", file=file, family=family.name, layer=key[:MAX_NAME])
        if name.part not in ("down", "up", "alpha"):
            _refuse_unless_zero(file, name, tensors[key])
            continue
        formats.append(name.format)
        if parts.setdefault(name.layer, {}).setdefault(name.part, tensors[key]) is not tensors[key]:
            raise BadLora("lora_layer_twice", file=file, layer=name.layer)
    if all(layer.startswith("text_encoder") for layer in parts):
        # nor does a LoRA of Stable Diffusion's, whose CLIP is FLUX.1's too, say anything about FLUX.1
        raise BadLora("lora_of_text_encoders_only", file=file, family=family.name)
    return parts, formats[-1]  # names are sorted: the transformer's come behind the text encoders'


def _refuse_unless_zero(file: str, name: TensorName, tensor: Tensor) -> None:
    # some tools write all-zero biases and norm differences beside a plain LoRA: they change nothing
    if name.part in ("diff", "diff_b", "lora_B.bias", "w_norm", "b_norm") and not bool(tensor.float().any()):
        return
    kind = next((kind for start, kind in _KINDS.items() if name.part.startswith(start)), name.part)
    raise BadLora("lora_not_plain", file=file, kind=kind, layer=name.layer, part=name.part)


def _to_diffusers(
    file: str, name: str, parts: Mapping[str, Tensor], alphas: _Alphas, family: Family
) -> list[LoraLayer]:
    """Split one layer of the file into the modules that diffusers has in its place; exact, only rows are moved."""
    down, up = parts.get("down"), parts.get("up")
    if down is None or up is None:
        raise BadLora("lora_incomplete", file=file, layer=name)
    if down.dtype not in _FLOATS or up.dtype not in _FLOATS:
        raise BadLora("lora_odd_numbers", file=file, layer=name, types=[str(down.dtype), str(up.dtype)])
    if down.ndim != 2 or up.ndim != 2 or down.shape[0] != up.shape[1] or not down.numel() or not up.numel():
        shapes = [list(down.shape), list(up.shape)]
        raise BadLora("lora_odd_shapes", file=file, family=family.name, layer=name, shapes=shapes)
    targets = family.lora_spellings.targets(name)
    rank, width = down.shape
    given = parts.get("alpha")
    if given is not None and given.numel() != 1:
        raise BadLora("lora_alpha_invalid", file=file, layer=name, count=given.numel())
    rows = _rows(up.float(), [target.share for target in targets], width)
    if not rows:
        shapes = [list(down.shape), list(up.shape)]
        raise BadLora("lora_odd_shapes", file=file, family=family.name, layer=name, shapes=shapes)
    layers = []
    for target, block in zip(targets, rows, strict=True):
        alpha = alphas.of(target.module, rank) if given is None else float(given)
        shift_scale = block.chunk(2)
        block = torch.cat(shift_scale[::-1]) if target.swapped else block
        layers.append(LoraLayer(target.module, down.float(), block.contiguous(), alpha))
    return layers


def _rows(up: Tensor, shares: Sequence[int], width: int) -> Sequence[Tensor]:
    """The rows of each target in order; () where they cannot be shared out."""
    out = up.shape[0]
    if len(shares) == 1:
        return (up,)
    # linear1 of a single block (-1) is q, k, v, each as wide as the input, and the MLP's first layer
    sizes = [width] * 3 + [out - 3 * width] if -1 in shares else [out // len(shares)] * len(shares)
    if min(sizes) <= 0 or sum(sizes) != out:
        return ()
    return torch.split(up, sizes)


def _check_values(file: str, layers: Sequence[LoraLayer]) -> None:
    for layer in layers:
        finite = math.isfinite(layer.alpha) and layer.down.isfinite().all() and layer.up.isfinite().all()
        if not finite:
            raise BadLora("lora_not_finite", file=file, layer=layer.module)
    if not any(layer.alpha and layer.down.any() and layer.up.any() for layer in layers):
        raise BadLora("lora_all_zero", file=file)
