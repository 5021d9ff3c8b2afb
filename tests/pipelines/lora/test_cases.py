"""Files that real people brought (public bug reports): each is applied whole, with the ΔW that is written beside it."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file

from pipelines.errors import BadLora
from pipelines.lora import LoraFile, LoraMetadata, inspect_lora, norms, read_lora, write_lora
from studio.library.donor_files import inspect_header
from tests.data import need
from tests.loras import float64_delta, make_layers, plain_tensors, same_delta, tiny_transformer

PICKLE_LIKE = (640, 896, 1152, 1408, 19280)  # lengths of headers whose first two bytes are a pickle's or a zip's


def check_norms(folder: Path, file: LoraFile) -> None:
    (expected,) = json.loads((folder / "expected.json").read_text()).values()
    found = {module: float(np.linalg.norm(delta)) for module, delta in float64_delta(file.layers).items()}
    assert expected.items() <= {module: pytest.approx(norm, rel=1e-5) for module, norm in found.items()}.items()


@pytest.mark.parametrize(
    ("case", "name", "layers"),
    [
        ("lora-conv-shaped", "face.safetensors", 5),
        ("lora-fp8", "face_fp8.safetensors", 5),
        ("lora-header-like-pickle", "face.safetensors", 5),
        ("lora-trailing-underscore", "face.safetensors", 14),
    ],
)
def test_a_case_is_applied_whole(case: str, name: str, layers: int) -> None:
    folder = need(f"cases/{case}")
    file = read_lora(folder / name)
    assert (file.family, file.width, file.format, len(file.layers)) == ("flux1", 256, "kohya", layers)
    check_norms(folder, file)
    seen = inspect_header(folder / name)
    assert (seen.family, len(seen.ranks) > 0) == ("flux1", True)


def test_the_other_float8_is_read_too() -> None:
    folder = need("cases/lora-fp8")
    one, two = (read_lora(folder / name).layers for name in ("face_fp8.safetensors", "face_fp8_e5m2.safetensors"))
    assert {x.module for x in one} == {x.module for x in two}
    assert norms(two) == pytest.approx(norms(one), rel=0.05)  # the same matrices, two bits shorter


def test_the_studios_own_file_is_read_back_whatever_its_headers_length() -> None:
    path = need("cases/lora-header-like-pickle") / "persona.safetensors"
    assert path.read_bytes()[:2] == b"\x80\x04"
    assert read_lora(path).layers
    assert inspect_header(path).layers


@pytest.mark.parametrize(
    ("name", "key", "text"), [("numbers", "ss_epoch", "10"), ("number_as_title", "ss_output_name", "5")]
)
def test_a_label_with_a_number_is_read_as_text(name: str, key: str, text: str) -> None:
    path = need("cases/lora-number-in-metadata") / f"{name}.safetensors"
    file = read_lora(path)
    assert len(file.layers) == 5
    assert file.metadata[key] == text
    assert all(isinstance(value, str) for value in file.metadata.values())
    assert inspect_lora(path).layers
    assert inspect_header(path).title == ("5" if name == "number_as_title" else inspect_header(path).title)


def write_with_header(path: Path, tensors: dict[str, torch.Tensor], metadata: object, length: int = 0) -> None:
    """A safetensors file whose label is any JSON, padded to a header of `length` bytes."""
    data = save(tensors)
    (size,) = struct.unpack("<Q", data[:8])
    entries = json.loads(data[8 : 8 + size])
    text = json.dumps({"__metadata__": metadata, **entries}).encode()
    text += b" " * (length - len(text) if length else -len(text) % 8)
    assert not length or len(text) == length
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])


@pytest.mark.parametrize("length", PICKLE_LIKE)
def test_no_length_of_a_header_makes_it_a_pickle(tmp_path: Path, length: int) -> None:
    layers = make_layers(tiny_transformer(), 1, modules=("transformer_blocks.0.ff.net.0.proj",))
    path = tmp_path / "a.safetensors"
    write_with_header(path, plain_tensors(layers, "transformer.{}", "lora_A", "lora_B"), {}, length)
    same_delta(layers, read_lora(path).layers, 1e-12)
    assert inspect_header(path).family == "flux1"
    whole = path.read_bytes()
    path.write_bytes(whole[: length // 2])  # cut short is damaged, which is not unsafe
    for read in (read_lora, inspect_header):
        with pytest.raises(BadLora, match="lora_file_damaged"):
            read(path)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_pickle_by_any_name_is_refused_unopened(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(pickle.dumps({"lora": [1.0] * 200}, protocol))
    for read in (read_lora, inspect_header):
        with pytest.raises(BadLora, match="lora_is_pickle"):
            read(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(1))
    for read in (read_lora, inspect_header):
        with pytest.raises(BadLora, match="lora_is_pickle"):
            read(path)


def test_what_a_file_is_says_its_content_not_its_name(tmp_path: Path) -> None:
    layers = make_layers(tiny_transformer(), 1)
    for name in ("a.bin", "a.ckpt", "a.pt", "a.SAFETENSORS", "no ending"):
        write_lora(tmp_path / name, layers, LoraMetadata(title="t"))
        same_delta(layers, read_lora(tmp_path / name).layers)
        assert inspect_header(tmp_path / name).family == "flux1"


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"ss_epoch": 10, "ss_tags": ["a", "b"], "none": None}, {"ss_epoch": "10", "ss_tags": '["a", "b"]'}),
        ({"modelspec.title": 5, "ss_output_name": 1.5}, {"modelspec.title": "5", "ss_output_name": "1.5"}),
        ({"modelspec.title": True, "nested": {"名": 1}}, {"modelspec.title": "true", "nested": '{"名": 1}'}),
        ({"ss_base_model_version": 7, "modelspec.trigger_phrase": [1]}, {"ss_base_model_version": "7"}),
        ({"title": "half \ud83d"}, {"title": "half ?"}),
        ({}, {}),
        ([1, 2], {}),
        ("a label", {}),
        (None, {}),
        (3, {}),
    ],
)
def test_no_label_makes_the_weights_unreadable(tmp_path: Path, metadata: object, expected: dict[str, str]) -> None:
    layers = make_layers(tiny_transformer(), 1)
    path = tmp_path / "a.safetensors"
    write_with_header(path, plain_tensors(layers, "transformer.{}", "lora_A", "lora_B"), metadata)
    file = read_lora(path)
    same_delta(layers, file.layers, 1e-12)
    assert expected.items() <= file.metadata.items()
    assert inspect_lora(path).family == inspect_header(path).family == "flux1"


def test_adapter_metadata_that_is_no_string_still_gives_the_alpha(tmp_path: Path) -> None:
    layers = make_layers(tiny_transformer(), 1, rank=4)
    tensors = plain_tensors(layers, "transformer.{}", "lora_A", "lora_B")
    write_with_header(tmp_path / "a.safetensors", tensors, {"lora_adapter_metadata": {"transformer.lora_alpha": "8"}})
    assert {layer.alpha for layer in read_lora(tmp_path / "a.safetensors").layers} == {8.0}


@pytest.mark.parametrize("words", ["{not json", '["a"]', "7", '{"transformer.lora_alpha": "much"}'])
def test_damaged_adapter_metadata_matters_only_where_no_alpha_stands(tmp_path: Path, words: str) -> None:
    layers = make_layers(tiny_transformer(), 1, alpha=2.0)
    tensors = plain_tensors(layers, "transformer.{}", "lora_A", "lora_B")
    path = tmp_path / "a.safetensors"
    save_file(tensors, path, {"lora_adapter_metadata": words})
    with pytest.raises(BadLora, match="lora_metadata_damaged"):
        read_lora(path)
    alphas = {f"transformer.{layer.module}.alpha": torch.tensor(2.0) for layer in layers}
    save_file(tensors | alphas, path, {"lora_adapter_metadata": words})
    same_delta(layers, read_lora(path).layers, 1e-12)


def test_bytes_behind_the_last_tensor_are_no_damage(tmp_path: Path) -> None:
    """Both checks take a file that is longer than its header says; one that is shorter is cut."""
    layers = make_layers(tiny_transformer(), 1)
    path = tmp_path / "a.safetensors"
    write_lora(path, layers, LoraMetadata(title="t"))
    whole = path.read_bytes()
    path.write_bytes(whole + b"\0" * 4096)
    same_delta(layers, read_lora(path).layers)
    assert inspect_header(path).title == "t"
    path.write_bytes(whole[:-1])
    for read in (read_lora, inspect_header):
        with pytest.raises(BadLora, match="lora_file_damaged"):
            read(path)


def test_a_label_of_megabytes_is_no_damage(tmp_path: Path) -> None:
    """The page reads less of it than the worker, and says so."""
    layers = make_layers(tiny_transformer(), 1)
    tensors = plain_tensors(layers, "transformer.{}", "lora_A", "lora_B")
    path = tmp_path / "a.safetensors"
    write_with_header(path, tensors, {"ss_tag_frequency": "x" * 4_000_000})
    same_delta(layers, read_lora(path).layers, 1e-12)
    assert inspect_header(path).family == "flux1"
    write_with_header(path, tensors, {"modelspec.thumbnail": "x" * 20_000_000})
    same_delta(layers, read_lora(path).layers, 1e-12)
    with pytest.raises(BadLora, match=r"lora_label_too_long.*size=20, most=16"):
        inspect_header(path)
