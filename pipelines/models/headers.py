"""Headers of weights' files: names, shapes and sizes, read without the weights."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from pipelines.errors import BadInput, ModelMissing
from pipelines.models.gguf_header import read_gguf_header

__all__ = ["Header", "header_strings", "is_pickle", "read_header", "read_safetensors_header", "shards_of"]

_MAX_HEADER_BYTES = 100_000_000  # safetensors' own limit


@dataclass(frozen=True)
class Header:
    """Tensors by name with their shapes as torch has them; `stored_bytes` is what they take in the file.

    `types` are their number types as safetensors writes them ("BF16", "F8_E4M3"), of a GGUF file none.
    """

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    stored_bytes: int
    metadata: Mapping[str, str]
    types: Mapping[str, str] = field(default_factory=dict)

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
        except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
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


def read_safetensors_header(
    file: BinaryIO, size: int, max_bytes: int = _MAX_HEADER_BYTES
) -> tuple[int, dict[str, Any]]:
    """Read a safetensors file's first bytes: the offset of its data and the header's JSON object, as it is.

    `size` is the whole file's, `max_bytes` the longest header (0: the format's own limit). Raises ValueError (or
    RecursionError, for JSON nested beyond reason) where the first eight bytes are no length within the file, or where
    no JSON object follows them: only then is it another kind of file, whatever its first two bytes look like.
    """
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > min(max_bytes or _MAX_HEADER_BYTES, size - 8):
        raise ValueError("it is no safetensors file")
    entries = json.loads(file.read(length))
    if not isinstance(entries, dict):
        raise ValueError("it is no safetensors file")
    return 8 + length, entries


def header_strings(raw: object) -> dict[str, str]:
    """Return a header's `__metadata__` as strings, which the format asks for and not every tool writes.

    Other values are taken as their JSON text, nulls left out; what is no object says nothing.
    """
    if not isinstance(raw, dict):
        return {}
    texts = {
        str(key): value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in raw.items()
        if value is not None
    }
    # half a surrogate pair, which JSON can name, is no text
    return {k.encode(errors="replace").decode(): t.encode(errors="replace").decode() for k, t in texts.items()}


def is_pickle(start: bytes) -> bool:
    """Return whether what is no safetensors file begins as a pickle or as the zip that torch.save writes.

    `start` are its first nine bytes. A safetensors file that was cut short begins with a length and a brace.
    """
    if start[4:9] == b"\0\0\0\0{":
        return False
    return start.startswith((b"PK\3\4", b"PK\5\6", b"\x80\2", b"\x80\3", b"\x80\4", b"\x80\5"))


def _read_safetensors(path: Path, max_bytes: int) -> Header:
    size = path.stat().st_size
    with path.open("rb") as file:
        offset, entries = read_safetensors_header(file, size, max_bytes)
    metadata = header_strings(entries.pop("__metadata__", None))
    numbers = (n for entry in entries.values() for n in (*entry["shape"], *entry["data_offsets"]))
    if not all(isinstance(number, int) for number in numbers):  # JSON has infinities and fractions, too
        raise ValueError("a shape or an offset is no whole number")
    end = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    if size < offset + end:
        raise ValueError(f"{offset + end} bytes are announced, {size} are there")
    shapes = {name: tuple(entry["shape"]) for name, entry in entries.items()}
    return Header(path, shapes, end, metadata, {name: str(entry["dtype"]) for name, entry in entries.items()})


def _read_gguf(path: Path) -> Header:
    if find_spec("gguf") is None:
        raise ModelMissing("gguf_package_missing", file=path.name)
    from gguf.constants import GGML_QUANT_SIZES

    read = read_gguf_header(path, {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()})
    return Header(path, read.shapes, read.stored_bytes, read.metadata)
