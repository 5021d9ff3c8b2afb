"""Families whose text encoder is as large as the transformer: each part is planned by itself, from headers alone.

The headers are those of the published sizes: the real classes at their real dimensions, without memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.full_size_families import KLEIN, Z_IMAGE, Makers, klein_parts, z_image_parts
from pipelines.errors import NotEnoughMemory
from pipelines.families.catalogue import find_family
from pipelines.models import precision
from pipelines.models.catalogue import MODELS
from pipelines.models.hardware import Hardware, work_bytes
from pipelines.models.headers import Header
from pipelines.models.precision import LoadPlan, plan_loading

GB = 1e9
PIXELS = 1024 * 768
MAKERS: Mapping[str, Makers] = {"FLUX.2-klein-4B": klein_parts(KLEIN), "Z-Image-Turbo": z_image_parts(Z_IMAGE)}


@cache
def headers(model: str) -> dict[str, tuple[Header, ...]]:
    with torch.device("meta"):
        parts = {name: make() for name, make in MAKERS[model].items()}
    return {
        name: (Header(Path(f"{name}.safetensors"), {n: tuple(t.shape) for n, t in _named(part)}, 0, {}),)
        for name, part in parts.items()
    }


def _named(part: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """As a file has them: a tied head is written once."""
    return [(name, tensor) for name, tensor in part.named_parameters() if not name.startswith("lm_head")]


def plan(model: str, device_gb: float, wish: str = "auto", ram_gb: float = 64.0, device: str = "cuda") -> LoadPlan:
    known = MODELS[model]
    references = known.can.references_max * known.can.reference_px**2
    hardware = Hardware(device, device_gb * GB, ram_gb * GB)
    return plan_loading(
        find_family(known.family).parts, headers(model), 3072, PIXELS, hardware, torch.bfloat16, wish, model, references
    )


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if none of the optional packages were installed."""
    monkeypatch.setattr(precision, "find_spec", lambda name: None)


def test_parts_are_as_large_as_is_published() -> None:
    klein, z_image = plan("FLUX.2-klein-4B", 80), plan("Z-Image-Turbo", 80)
    for found, transformer in ((klein, 7.75), (z_image, 12.3)):
        sizes = {name: part.bytes / GB for name, part in found.parts.items()}
        assert sizes == pytest.approx({"transformer": transformer, "text_encoder": 8.04, "vae": 0.17}, abs=0.05)
        assert {(part.precision, part.offload) for part in found.parts.values()} == {("bf16", "none")}
    assert klein.device_bytes / GB == pytest.approx(16 + work_bytes(3072, PIXELS) / GB, abs=0.1)


@pytest.mark.parametrize(
    ("device_gb", "way", "most_gb"),
    [(24, ("bf16", "none"), 19), (16, ("bf16", "model"), 11), (9, ("fp8", "model"), 8), (4.5, ("fp8", "group"), 4.5)],
)
def test_klein_fits_from_24_gb_to_5(device_gb: float, way: tuple[str, str], most_gb: float) -> None:
    found = plan("FLUX.2-klein-4B", device_gb)
    assert (found.precision, found.offload) == way
    assert found.device_bytes / GB < most_gb
    assert found.precision_of("text_encoder") == way[0]
    assert found.precision_of("vae") == "bf16"
    assert found.trains == (way[0] == "bf16")


def test_in_fp8_embeddings_and_norms_are_not_cast() -> None:
    """Qwen3-4B: 0.39e9 of its parameters are embeddings."""
    text = plan("FLUX.2-klein-4B", 80, "fp8").parts["text_encoder"]
    assert text.precision == "fp8"
    assert text.bytes / GB == pytest.approx(4.02 + 0.39, abs=0.02)


def test_quantised_text_encoders_are_planned_as_they_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "find_spec", lambda name: object())
    int8, nf4 = (plan("Z-Image-Turbo", 80, wish) for wish in ("int8", "nf4"))
    assert (int8.precision_of("text_encoder"), nf4.precision_of("text_encoder")) == ("int8", "nf4")
    assert int8.parts["text_encoder"].bytes / GB == pytest.approx(3.63 + 2 * 0.39, abs=0.03)
    assert nf4.parts["text_encoder"].bytes / GB == pytest.approx(3.63 * 0.5625 + 2 * 0.39, abs=0.03)
    assert nf4.trains
    assert not int8.trains


def test_beside_a_gguf_transformer_the_text_encoder_is_cast_where_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "find_spec", lambda name: object())
    whole = headers("FLUX.2-klein-4B")
    (transformer,) = whole["transformer"]
    quantised = Header(Path("klein-Q4_K_M.gguf"), transformer.shapes, int(2.6 * GB), {})

    def planned(device_gb: float) -> LoadPlan:
        hardware = Hardware("cuda", device_gb * GB, 64 * GB)
        files = whole | {"transformer": (quantised,)}
        return plan_loading(find_family("flux2").parts, files, 3072, PIXELS, hardware, torch.bfloat16)

    ways = [(found := planned(gb), found.offload, found.precision_of("text_encoder")) for gb in (16, 11, 7.5)]
    assert [way[1:] for way in ways] == [("none", "bf16"), ("model", "bf16"), ("model", "fp8")]
    assert {way[0].precision for way in ways} == {"gguf"}


def test_memory_while_loading_is_that_of_one_cast_after_the_other() -> None:
    """fp8 is cast from bf16: at most one of the two large parts is whole at a time."""
    found = plan("FLUX.2-klein-4B", 9)
    sizes = [part.bytes for part in found.parts.values()]
    assert sum(sizes) < found.ram_bytes < sum(sizes) + 4 * GB
    with pytest.raises(NotEnoughMemory):
        plan("FLUX.2-klein-4B", 9, ram_gb=9)
    assert plan("FLUX.2-klein-4B", 24, ram_gb=24, device="cpu").precision == "bf16"
    assert plan("FLUX.2-klein-4B", 14, ram_gb=14, device="cpu").precision == "fp8"


def test_references_count_as_tokens_that_are_not_decoded() -> None:
    assert work_bytes(3072, PIXELS) == work_bytes(3072, PIXELS, 4 * 512**2)  # decoding takes more than they do
    assert work_bytes(3072, PIXELS, 8 * 1024**2) > 2 * work_bytes(3072, PIXELS)
