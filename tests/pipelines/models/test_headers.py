"""A header is read in time and memory of its own size, whatever the file says of itself."""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import BadInput
from pipelines.models.headers import read_header
from tests.originals import write_gguf

HUGE = 2**62


def _gguf(tensors: int, pairs: int, rest: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, pairs) + rest


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


_CRAFTED = {
    "an array without end": _gguf(0, 1, _text("a") + struct.pack("<IIQ", 9, 0, HUGE)),
    "texts without end": _gguf(0, 1, _text("a") + struct.pack("<IIQ", 9, 8, HUGE)),
    "arrays of arrays": _gguf(0, 1, _text("a") + struct.pack("<IIQ", 9, 9, HUGE) + b"\0" * 64),
    "pairs without end": _gguf(0, HUGE, b"\0" * 64),
    "tensors without end": _gguf(HUGE, 0, b"\0" * 64),
    "a name without end": _gguf(1, 0, struct.pack("<Q", HUGE) + b"\0" * 64),
    "dimensions without end": _gguf(1, 0, _text("a") + struct.pack("<I", 2**32 - 1) + b"\0" * 64),
    "a tensor behind the end": _gguf(1, 0, _text("a") + struct.pack("<IQIQ", 1, HUGE, 0, 0) + b"\0" * 64),
    "an unknown type": _gguf(0, 1, _text("a") + struct.pack("<I", 99) + b"\0" * 64),
    "an old version": b"GGUF" + struct.pack("<IQQ", 1, 0, 0),
    "the magic alone": b"GGUF",
    "another magic": b"\0" * 64,
}


@pytest.mark.parametrize("crafted", sorted(_CRAFTED))
def test_a_crafted_gguf_file_is_refused_at_once(tmp_path: Path, crafted: str) -> None:
    pytest.importorskip("gguf")
    file = tmp_path / "x.gguf"
    file.write_bytes(_CRAFTED[crafted])
    began = time.monotonic()
    with pytest.raises(BadInput, match="model_file_damaged"):
        read_header(file)
    assert time.monotonic() - began < 2  # the import of gguf


def test_a_gguf_header_is_what_the_package_reads(tiny_flux_dev: Path, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    from gguf import GGUFReader

    file = write_gguf(tiny_flux_dev, tmp_path / "flux-Q8_0.gguf")
    ours, theirs = read_header(file), GGUFReader(file)
    assert ours.shapes == {t.name: tuple(int(n) for n in reversed(t.shape)) for t in theirs.tensors}
    assert ours.stored_bytes == sum(int(t.n_bytes) for t in theirs.tensors)
    assert ours.metadata["general.license"] == theirs.fields["general.license"].contents()


def test_arrays_alignment_and_the_other_byte_order_are_read(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    from gguf import GGUFEndian, GGUFReader, GGUFWriter

    for order in (GGUFEndian.LITTLE, GGUFEndian.BIG):
        file = tmp_path / f"{order.name}.gguf"
        writer = GGUFWriter(file, "flux", endianess=order)
        writer.add_array("words", ["one", "two"])
        writer.add_array("numbers", [1.5, 2.5, 3.5])
        writer.add_bool("yes", True)
        writer.add_custom_alignment(64)
        writer.add_name("tiny")
        writer.add_tensor("weight", np.zeros((3, 5), np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        header = read_header(file)
        assert (header.shapes, header.stored_bytes) == ({"weight": (3, 5)}, 60)
        assert header.metadata["general.name"] == "tiny"
        assert len(GGUFReader(file).tensors) == 1


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        json.dumps({"a": {"dtype": "F16", "shape": [[1]], "data_offsets": [0, 2]}}),
        json.dumps({"a": {"dtype": "F16", "shape": [1], "data_offsets": [0, HUGE]}}),
        json.dumps({"a": {"dtype": "F16", "shape": [1], "data_offsets": [0]}}),
        '{"a": {"dtype": "F16", "shape": [1e999], "data_offsets": [0, 2]}}',
        '{"a": {"dtype": "F16", "shape": [1.5], "data_offsets": [0, 2]}}',
        '{"a": {"dtype": "F16", "shape": [1], "data_offsets": [0, NaN]}}',
        json.dumps({"a": []}),
        json.dumps([1]),
    ],
)
def test_a_crafted_safetensors_header_is_refused_at_once(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(struct.pack("<Q", len(text)) + text.encode() + b"\0" * 8)
    began = time.monotonic()
    with pytest.raises(BadInput, match="model_file_damaged"):
        read_header(file)
    assert time.monotonic() - began < 1


def test_a_header_longer_than_allowed_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    text = json.dumps({"__metadata__": {"words": "x" * 5000}}).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text)
    assert read_header(file).metadata["words"] == "x" * 5000
    with pytest.raises(BadInput, match="model_file_damaged"):
        read_header(file, max_bytes=4000)
