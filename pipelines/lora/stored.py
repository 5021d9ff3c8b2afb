"""A LoRA file's tensors and words as they are stored. Nothing in the file is executed."""

from __future__ import annotations

import hashlib
import io
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from pipelines.errors import BadLora
from pipelines.models.headers import header_strings, is_pickle, read_safetensors_header

__all__ = ["Stored", "read_stored"]


@dataclass(frozen=True, eq=False)
class Stored:
    """Tensors by the file's own names, what it says of itself, and the SHA-256 of the whole file."""

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]
    sha256: str


def read_stored(path: Path) -> Stored:
    """Read a safetensors file, whatever its name ends in. Raises BadLora for any other, and for damaged ones.

    A label that breaks the format's rules (numbers, lists) does not make its weights unreadable: it is read as text.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadLora("lora_file_not_opened", file=str(path), reason=error.strerror or str(error)) from error
    try:
        offset, entries = read_safetensors_header(io.BytesIO(data), len(data))
    except (ValueError, RecursionError) as error:
        raise _other_file(path, data[:9]) from error
    metadata = header_strings(entries.pop("__metadata__", None))
    tensors = _load(path.name, data, offset, entries)
    return Stored(tensors, metadata, hashlib.sha256(data).hexdigest())


def _other_file(path: Path, start: bytes) -> BadLora:
    """What is said of a file that is no safetensors file."""
    if start[:4] == b"GGUF":
        return BadLora("lora_is_gguf", file=path.name)
    if is_pickle(start) or path.suffix.lower() in (".pt", ".pth", ".bin", ".ckpt"):
        return BadLora("lora_is_pickle", file=path.name)
    return BadLora("lora_file_damaged", file=path.name)


def _load(file: str, data: bytes, offset: int, entries: Mapping[str, Any]) -> dict[str, Tensor]:
    try:
        return load(data)
    except (SafetensorError, KeyError, ValueError):
        pass
    # safetensors reads no file whose label holds a number or that is longer than its header says: once more, without
    try:
        end = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
        text = json.dumps(entries).encode()
        text += b" " * (-len(text) % 8)
        return load(struct.pack("<Q", len(text)) + text + data[offset : offset + end])
    except (SafetensorError, LookupError, ValueError, TypeError) as error:
        raise BadLora("lora_file_damaged", file=file) from error
