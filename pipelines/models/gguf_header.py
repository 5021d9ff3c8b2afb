"""Reads what a GGUF file says of itself, bounded by the file: no count and no length in it is believed.

Format: ggml-org/ggml docs/gguf.md, versions 2 and 3. The package gguf reads the same with a memory map, but loops for
as long as the file's own counts say.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import BinaryIO

__all__ = ["GgufHeader", "is_gguf", "read_gguf_header"]

_MAGIC = b"GGUF"
_MAX_HEADER_BYTES = 100_000_000
_MAX_DIMS = 8
_STRING, _ARRAY = 8, 9
# value type → struct format (docs/gguf.md, gguf_metadata_value_type)
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_MIN_KEY_VALUE_BYTES = 8 + 4 + 1
_MIN_TENSOR_BYTES = 8 + 4 + 4 + 8


class GgufHeader:
    """`shapes` as torch has them, `stored_bytes` of all tensors, `metadata` only the text fields "general.*"."""

    def __init__(self) -> None:
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.stored_bytes = 0
        self.metadata: dict[str, str] = {}


def is_gguf(path: Path) -> bool:
    """Return whether the file's first bytes say GGUF, whatever its name is."""
    with path.open("rb") as file:
        return file.read(4) == _MAGIC


def read_gguf_header(path: Path, block_sizes: Mapping[int, tuple[int, int]]) -> GgufHeader:
    """Return names, shapes and sizes. `block_sizes`: tensor type → (elements, bytes) of a block.

    Takes time and memory in proportion to the header's real bytes, at most 100 MB. Raises ValueError where a count,
    a length or an offset points behind the end of the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        reader = _Reader(file, min(size, _MAX_HEADER_BYTES))
        return _read(reader, size, block_sizes)


class _Reader:
    """Reads values one after the other; raises ValueError instead of reading behind `limit` (bytes)."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._data = memoryview(file.read(limit))
        self.at, self.order = 0, "<"

    @property
    def left(self) -> int:
        return len(self._data) - self.at

    def take(self, count: int) -> bytes:
        return bytes(self._data[self.skip(count) : self.at])

    def skip(self, count: int) -> int:
        """Go `count` bytes on and return where they began."""
        if count > self.left:
            raise ValueError(f"{count} bytes are announced, {self.left} are there")
        self.at += count
        return self.at - count

    def number(self, kind: str) -> int:
        """Return one whole number of a struct format."""
        return int(struct.unpack(self.order + kind, self.take(struct.calcsize(self.order + kind)))[0])

    def text(self) -> str:
        return self.take(self.number("Q")).decode("utf-8")

    def count(self, min_bytes: int) -> int:
        """Return a count of things that take at least `min_bytes` each."""
        count = self.number("Q")
        if count * min_bytes > self.left:
            raise ValueError(f"{count} entries are announced, {self.left} bytes are there")
        return count


def _read(reader: _Reader, size: int, block_sizes: Mapping[int, tuple[int, int]]) -> GgufHeader:
    header = GgufHeader()
    if reader.take(4) != _MAGIC:
        raise ValueError("it is no GGUF file")
    version = reader.number("I")
    if version & 0xFFFF == 0:  # written by a machine of the other byte order
        reader.order, version = ">", int.from_bytes(version.to_bytes(4, "little"), "big")
    if version not in (2, 3):
        raise ValueError(f"GGUF version {version} is not known")
    tensors, pairs = reader.count(_MIN_TENSOR_BYTES), reader.count(_MIN_KEY_VALUE_BYTES)
    alignment = 32
    for _ in range(pairs):
        name, kind = reader.text(), reader.number("I")
        if kind == _STRING and name.startswith("general."):
            header.metadata[name] = reader.text()
        elif name == "general.alignment" and kind == 4:
            alignment = reader.number("I")
        else:
            _skip_value(reader, kind)
    if alignment <= 0 or alignment & (alignment - 1):
        raise ValueError(f"the alignment {alignment} is no power of two")
    ends = [_read_tensor(reader, header, block_sizes) for _ in range(tensors)]
    start = -(-reader.at // alignment) * alignment
    if ends and start + max(ends) > size:
        raise ValueError(f"{start + max(ends)} bytes are announced, {size} are there")
    return header


def _read_tensor(reader: _Reader, header: GgufHeader, block_sizes: Mapping[int, tuple[int, int]]) -> int:
    """Add one tensor to the header; return where it ends, in bytes behind the first tensor's start."""
    name, dims = reader.text(), reader.number("I")
    if name in header.shapes or dims > _MAX_DIMS:
        raise ValueError(f"the tensor {name[:80]!r} is named twice or has {dims} dimensions")
    shape = tuple(reader.number("Q") for _ in range(dims))[::-1]
    kind, offset = reader.number("I"), reader.number("Q")
    if kind not in block_sizes:
        raise ValueError(f"the tensor type {kind} is not known")
    elements, block_bytes = block_sizes[kind]
    stored = prod(shape) * block_bytes // elements
    header.shapes[name] = shape
    header.stored_bytes += stored
    return offset + stored


def _skip_value(reader: _Reader, kind: int) -> None:
    if kind == _STRING:
        reader.skip(reader.number("Q"))
    elif kind in _SCALARS:
        reader.skip(struct.calcsize("<" + _SCALARS[kind]))
    elif kind == _ARRAY:
        inner = reader.number("I")
        if inner == _STRING:
            for _ in range(reader.count(8)):
                reader.skip(reader.number("Q"))
        elif inner in _SCALARS:
            width = struct.calcsize("<" + _SCALARS[inner])
            reader.skip(reader.count(width) * width)
        else:  # arrays of arrays: allowed, written by nobody
            raise ValueError(f"an array of the type {inner} is not known")
    else:
        raise ValueError(f"the value type {kind} is not known")
