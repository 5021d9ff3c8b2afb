"""Memory is planned from the files alone, before anything is loaded; what does not fit is refused with advice."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.backbones import load_backbone, plan_backbone, resolve_backbone
from pipelines.draw import draw, request_from
from pipelines.errors import BadInput, NotEnoughMemory
from pipelines.memory import Hardware, MemoryPlan, count_parameters, plan_memory
from pipelines.registry import MODELS, find_licence, find_model

GB = 1e9
FLUX = {"transformer": 11_901_408_320, "text_encoder_2": 4_762_310_656, "text_encoder": 123_060_480, "vae": 83_819_683}
PIXELS = 1024 * 768


def plan(device_gb: float, ram_gb: float = 128.0, device: str = "cuda", bytes_each: int = 2) -> MemoryPlan:
    return plan_memory(FLUX, bytes_each, 3072, PIXELS, Hardware(device, device_gb * GB, ram_gb * GB), "FLUX.1-dev")


def test_flux_goes_where_it_fits() -> None:
    whole, parts = plan(80), plan(32)
    assert not whole.offload
    assert 34 * GB < whole.device_bytes < 40 * GB
    assert parts.offload
    assert 24 * GB < parts.device_bytes < 30 * GB
    with pytest.raises(NotEnoughMemory, match=r"FLUX.1-dev needs about 2\d"):
        plan(16)
    with pytest.raises(NotEnoughMemory) as refused:
        plan(32, ram_gb=16)
    assert "smaller model" in refused.value.advice
    with pytest.raises(NotEnoughMemory):
        plan(24, ram_gb=24, device="cpu", bytes_each=4)


def test_parameters_are_counted_as_they_load(tiny_flux: Path) -> None:
    backbone = load_backbone(resolve_backbone(tiny_flux), "cpu")
    parts = {"transformer": backbone.transformer, "vae": backbone.vae, **backbone.text_encoders}
    assert count_parameters(tiny_flux) == {n: sum(p.numel() for p in m.parameters()) for n, m in parts.items()}


def test_too_little_memory_is_said_before_loading(tiny_flux: Path) -> None:
    with pytest.raises(NotEnoughMemory):
        load_backbone(resolve_backbone(tiny_flux), "cpu", hardware=Hardware("cpu", 1e6, 1e6))


def test_a_file_cut_short_is_named(tiny_flux: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_flux, tmp_path / "cut")
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(BadInput, match=r"transformer/diffusion_pytorch_model[.]safetensors is missing, damaged or cut"):
        plan_backbone(resolve_backbone(folder), torch.bfloat16, Hardware("cpu", GB, GB))


def test_offloaded_parts_draw_the_same_picture(tiny_flux: Path) -> None:
    spec = resolve_backbone(tiny_flux)
    total = 4 * sum(count_parameters(tiny_flux).values())
    near = Hardware("meta", total * 0.99 + 0.5e9 + 2560 * 96 * 64, 100 * GB)  # an accelerator all but large enough
    assert plan_backbone(spec, torch.float32, near).offload
    request = request_from(spec, "a woman", 1)
    pictures = [
        next(draw(load_backbone(spec, "cpu", torch.float32, hardware), [request]))[1] for hardware in (None, near)
    ]
    np.testing.assert_array_equal(pictures[0], pictures[1])


def test_known_models_say_what_a_merchant_may_do() -> None:
    assert find_model("black-forest-labs/flux.1-krea-dev") is MODELS["FLUX.1-Krea-dev"]
    assert find_model("nobody/knows", "") is None
    dev = find_licence(MODELS["FLUX.1-dev"].licence)
    assert (dev.outputs, dev.running, dev.fine_tuning) == (True, False, False)
    assert find_licence("Apache-2.0").running
    assert find_licence("something").outputs is None
    assert all(m.largest_part <= m.parameters for m in MODELS.values())
