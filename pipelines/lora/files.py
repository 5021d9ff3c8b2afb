"""LoRA files: reading what other tools wrote, refusing what would do nothing or harm, writing what all can
read.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from pipelines.errors import BadLora
from pipelines.families.catalogue import FAMILIES, check_lora_family, family_name, find_family, judge_lora
from pipelines.files import write_whole
from pipelines.lora.alphas import StatedAlphas
from pipelines.lora.contents import check_values, group_tensors, to_layers
from pipelines.lora.layers import LoraLayer
from pipelines.lora.metadata import LoraMetadata, describe_layers
from pipelines.lora.stored import read_stored

__all__ = ["LoraFile", "read_lora", "write_lora"]


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


def read_lora(path: Path | str, family: str = "") -> LoraFile:
    """Read a LoRA of any family of `FAMILIES` in any of its spellings. Nothing in the file is executed.

    `family` is the id that a person stated; it decides only where the file itself leaves the choice. Raises BadLora for
    pickles, damaged files, other families, files that could be of two and no family is stated
    (`lora_family_ambiguous`), adapters that no sum of matrices is (DoRA, OFT, bias and norm differences), values that
    are not finite, and files that would change nothing.
    """
    path = Path(path)
    stored = read_stored(path)
    shapes = {name: tuple(tensor.shape) for name, tensor in stored.tensors.items()}
    verdict = judge_lora(shapes, stored.metadata, family)
    if verdict.fits == "other family":
        check_lora_family(path.name, verdict)
    # what is no plain LoRA is refused as that, whichever family it is for
    facts = find_family(verdict.family) if verdict.family else FAMILIES[0]
    ids = [verdict.family] if verdict.family else verdict.families or [each.id for each in FAMILIES]
    parts, format_ = group_tensors(path.name, stored.tensors, facts, " / ".join(family_name(each) for each in ids))
    check_lora_family(path.name, verdict)
    layers = to_layers(path.name, parts, StatedAlphas(path, stored.metadata, facts, parts), facts)
    return LoraFile(path, stored.sha256, layers, stored.metadata, format_, facts.id, verdict.width)


def write_lora(path: Path | str, layers: Sequence[LoraLayer], metadata: LoraMetadata) -> str:
    """Write diffusers' keys (`transformer.<module>.lora_A.weight`) in the layers' own dtype; the file's SHA-256.

    `metadata.family` says whose words and text encoders' names are used.

    alpha / r is multiplied into `up`, because tools differ in where they look for alpha and agree only on "no
    alpha means 1": ΔW is the same in diffusers, kohya and ComfyUI. The file appears whole or not at all, and
    the same layers and metadata give the same bytes (safetensors itself shuffles its header).
    """
    if not layers:
        raise BadLora("lora_empty")
    check_values(Path(path).name, layers)
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
