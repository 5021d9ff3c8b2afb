"""A LoRA file's family when it is read and written: the studio's own words, other families, and what must be asked."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.lora_formats import make_tensors
from pipelines.errors import BadLora
from pipelines.families.catalogue import is_loaded
from pipelines.lora import LoraMetadata, inspect_lora, read_lora, write_lora
from studio.settings import ASSETS
from tests.data import need
from tests.loras import make_layers, tiny_transformer
from tests.pipelines.families.test_catalogue import FOLDERS, LISTINGS, klein_attention, shapes_of

EARLY = ("transformer_blocks.0.attn.to_q", "transformer_blocks.0.attn.add_v_proj")
# of the 40 bundled donors as they were rewritten before families had tables of their own
REWRITTEN = (40, "87f839ee4c1dcc967f344e874e5eb4de1d05e0b81d14d02e0236ec8a34447455")


def write_klein_attention(path: Path, **metadata: str) -> Path:
    shapes, said = klein_attention(**metadata)
    generator = torch.Generator().manual_seed(0)
    save_file({name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}, path, said or None)
    return path


def test_an_ambiguous_file_is_read_only_once_its_family_is_stated(tmp_path: Path) -> None:
    path = write_klein_attention(tmp_path / "a.safetensors")
    with pytest.raises(BadLora) as asked:
        read_lora(path)
    assert asked.value.code == "lora_family_ambiguous"
    assert asked.value.fields == {"file": "a.safetensors", "families": ["FLUX.1", "FLUX.2"]}
    file = read_lora(path, family="flux1")
    assert (file.family, file.width, len(file.layers)) == ("flux1", 3072, 40)
    assert inspect_lora(path, "flux1").family == "flux1"
    klein = read_lora(path, family="flux2")
    assert (klein.family, klein.width, len(klein.layers)) == ("flux2", 3072, 40)


def test_what_a_file_says_decides(tmp_path: Path) -> None:
    klein = write_klein_attention(tmp_path / "a.safetensors", ss_base_model_version="flux2_klein_4b")
    assert read_lora(klein).family == "flux2"
    with pytest.raises(BadLora, match="lora_other_family") as refused:
        read_lora(write_klein_attention(tmp_path / "c.safetensors", ss_base_model_version="qwen_image"))
    assert refused.value.fields["family"] == "Qwen-Image"
    said = write_klein_attention(tmp_path / "b.safetensors", ss_base_model_version="flux1")
    assert read_lora(said).family == "flux1"


def test_the_studios_own_files_are_read_without_a_question(tmp_path: Path) -> None:
    layers = make_layers(tiny_transformer(), 1, modules=EARLY)
    write_lora(tmp_path / "own.safetensors", layers, LoraMetadata(title="face"))
    file = read_lora(tmp_path / "own.safetensors")
    assert (file.family, file.width) == ("flux1", 32)
    save_file(
        {f"transformer.{x.module}.lora_{p}.weight": t for x in layers for p, t in (("A", x.down), ("B", x.up))},
        tmp_path / "silent.safetensors",
    )
    with pytest.raises(BadLora, match="lora_family_ambiguous"):
        read_lora(tmp_path / "silent.safetensors")


def test_bundled_donors_are_written_as_ever(tmp_path: Path) -> None:
    digest, count = hashlib.sha256(), 0
    for path in sorted((ASSETS / "donors").glob("*/*/lora.safetensors")):
        file = read_lora(path)
        assert (file.family, file.width) == ("flux1", 256)
        metadata = LoraMetadata(title=path.parent.name, trigger_phrase="someone")
        digest.update(write_lora(tmp_path / "again.safetensors", file.layers, metadata).encode())
        count += 1
    assert (count, digest.hexdigest()) == REWRITTEN


@pytest.mark.parametrize(
    "path", [p for p in LISTINGS if not is_loaded(FOLDERS.get(p.parent.name, "flux1"))], ids=lambda p: p.stem
)
def test_a_file_of_another_family_is_refused_when_it_is_read(path: Path, tmp_path: Path) -> None:
    need("lora_keys")
    narrow = {k: t.contiguous() for k, t in make_tensors({k: list(s) for k, s in shapes_of(path).items()}, 0).items()}
    save_file(narrow, tmp_path / "a.safetensors")
    with pytest.raises(BadLora) as refused:
        read_lora(tmp_path / "a.safetensors")
    assert refused.value.code in ("lora_other_family", "lora_family_ambiguous")
    assert (refused.value.code == "lora_family_ambiguous") == (path.stem == "qwen_image_lora_diffusers_format")
