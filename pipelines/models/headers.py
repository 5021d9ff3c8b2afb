"""Headers of weights' files: names, shapes and sizes, read without the weights."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from math import prod
from pathlib import Path

from pipelines.errors import BadInput, ModelMissing
from pipelines.models.gguf_header import read_gguf_header

__all__ = ["Header", "read_header", "shards_of"]

_MAX_HEADER_BYTES = 100_000_000  # safetensors' own limit


@dataclass(frozen=True)
class Header:
    """Tensors by name with their shapes as torch has them; `stored_bytes` is what they take in the file."""

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    stored_bytes: int
    metadata: Mapping[str, str]

    @property
    def parameters(self) -> int:
        return sum(prod(shape) for shape in self.shapes.values())


def read_header(path: Path, max_bytes: int = _MAX_HEADER_BYTES) -> Header:
    """Read the header of a .safetensors or .gguf file; content of the other kind counts as damaged.

    Takes time and memory in proportion to the header, whatever the file says: a safetensors header of more than
    `max_bytes` is refused. Raises BadInput if the file is damaged or cut short, ModelMissing if it is not there, or if
    it is GGUF and the package gguf is missing.
    """
    if not path.is_file():
        raise ModelMissing("model_file_missing", files=[f"{path.parent.name}/{path.name}"])
    try:
        return _read_gguf(path) if path.suffix.lower() == ".gguf" else _read_safetensors(path, max_bytes)
    except (OSError, ValueError, struct.error, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput("model_file_damaged", file=f"{path.parent.name}/{path.name}", reason=str(error)) from error


def shards_of(folder: Path) -> list[Path]:
    """The files that diffusers and transformers load of a part: the shards of its index, else the one file.

    Raises ModelMissing where none is there or where shards of the index are missing, and names them.
    """
    for index in sorted(folder.glob("*.safetensors.index.json")):
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise BadInput("model_file_damaged", file=f"{folder.name}/{index.name}", reason=str(error)) from error
        if missing := [name for name in names if not (folder / name).is_file()]:
            raise ModelMissing("model_file_missing", files=[f"{folder.name}/{name}" for name in missing])
        return [folder / name for name in names]
    for name in ("diffusion_pytorch_model.safetensors", "model.safetensors"):
        if (folder / name).is_file():
            return [folder / name]
    if any(folder.glob("*.bin")) or any(folder.glob("*.ckpt")):
        raise ModelMissing("weights_are_pickles", folder=folder.name)
    raise ModelMissing("weights_missing", folder=folder.name)


def _read_safetensors(path: Path, max_bytes: int) -> Header:
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        if size > min(max_bytes, path.stat().st_size):
            raise ValueError("it is no safetensors file")
        entries = json.loads(file.read(size))
    metadata = entries.pop("__metadata__", {})
    end = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    if path.stat().st_size < 8 + size + end:
        raise ValueError(f"{8 + size + end} bytes are announced, {path.stat().st_size} are there")
    shapes = {name: tuple(int(size) for size in entry["shape"]) for name, entry in entries.items()}
    return Header(path, shapes, end, {str(name): str(text) for name, text in metadata.items()})


def _read_gguf(path: Path) -> Header:
    if find_spec("gguf") is None:
        raise ModelMissing("gguf_package_missing", file=path.name)
    from gguf.constants import GGML_QUANT_SIZES

    read = read_gguf_header(path, {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()})
    return Header(path, read.shapes, read.stored_bytes, read.metadata)
