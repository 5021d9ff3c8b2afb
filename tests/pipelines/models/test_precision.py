"""Precision and place are planned from headers alone, before anything is loaded; what does not fit is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipelines.backbones import load_backbone, resolve_backbone
from pipelines.errors import BadInput, ModelMissing, NotEnoughMemory
from pipelines.families.flux1.facts import FLUX1
from pipelines.families.folders import read_part_headers
from pipelines.models import precision
from pipelines.models.catalogue import MODELS, find_model
from pipelines.models.hardware import Hardware, work_bytes
from pipelines.models.headers import Header
from pipelines.models.licences import LICENCES, find_licence
from pipelines.models.precision import LoadPlan, Precision, part_bytes, plan_loading
from pipelines.models.variants import Part
from studio.texts.errors import say_error
from studio.texts.texts import Texts

GB = 1e9
PIXELS = 1024 * 768


def header(name: str, suffix: str = "safetensors", stored: int = 0, **shapes: tuple[int, ...]) -> tuple[Header, ...]:
    return (Header(Path(f"{name}.{suffix}"), {k.replace("__", "."): v for k, v in shapes.items()}, stored, {}),)


# FLUX.1's parameters: 8.7e9 in matrices that are cast, 3.2e9 in modulation that is not
FLUX = {
    "transformer": header("t", ff__weight=(3072, 2_830_000), norm__linear__weight=(3072, 1_044_000)),
    "text_encoder_2": header("t5", wi__weight=(4096, 1_162_674)),
    "text_encoder": header("clip", w__weight=(768, 160_234)),
    "vae": header("vae", conv__weight=(512, 163_710)),
}
GGUF = FLUX | {"transformer": header("t", "gguf", int(6.8 * GB), ff__weight=(3072, 3_874_000))}


def plan(device_gb: float, ram_gb: float = 128.0, wish: str = "auto", device: str = "cuda") -> LoadPlan:
    hardware = Hardware(device, device_gb * GB, ram_gb * GB)
    return plan_loading(FLUX1.parts, FLUX, 3072, PIXELS, hardware, torch.bfloat16, wish, "FLUX.1-dev")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if none of the optional packages were installed."""
    monkeypatch.setattr(precision, "find_spec", lambda name: None)


@pytest.mark.parametrize(
    ("device_gb", "way"),
    [(80, ("bf16", "none")), (32, ("bf16", "model")), (24, ("fp8", "model")), (12, ("fp8", "group"))],
)
@pytest.mark.usefixtures("bare")
def test_the_most_exact_way_that_fits_is_taken(device_gb: float, way: tuple[str, str]) -> None:
    found = plan(device_gb)
    assert (found.precision, found.offload) == way
    assert found.device_bytes <= device_gb * GB
    assert found.dtype == torch.bfloat16
    assert found.trains == (found.precision == "bf16")
    assert f"{found.device_bytes / GB:.1f} GB on the device" in found.describe()


def test_nf4_is_taken_where_its_package_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "find_spec", lambda name: object())
    small = plan(13)
    assert (small.precision, small.offload) == ("nf4", "model")
    assert small.device_bytes < plan(24).device_bytes


def test_sizes_are_those_that_are_published() -> None:
    """FLUX.1-dev's transformer is 23.8 GB in bf16 and its T5 9.5 GB; diffusers' documentation has 6.7 GB for nf4."""
    kinds: tuple[Precision, ...] = ("bf16", "fp8", "int8", "nf4")
    sizes = {kind: part_bytes(FLUX["transformer"], kind, 2, FLUX1.parts[0].uncast) / GB for kind in kinds}
    assert sizes["bf16"] == pytest.approx(23.8, abs=0.1)
    assert sizes["fp8"] == pytest.approx(15.1, abs=0.2)
    assert sizes["int8"] == pytest.approx(11.9, abs=0.1)
    assert sizes["nf4"] == pytest.approx(6.7, abs=0.1)


@pytest.mark.usefixtures("bare")
def test_what_fits_nowhere_is_refused_with_advice() -> None:
    with pytest.raises(NotEnoughMemory, match=r"no_memory_for_model.*FLUX\.1-dev, precision=fp8") as refused:
        plan(4)
    assert "pip install bitsandbytes" in say_error(refused.value, Texts("en"))[1]
    assert "GGUF" in say_error(refused.value, Texts("en"))[1]
    with pytest.raises(NotEnoughMemory) as refused:
        plan(32, ram_gb=16, wish="bf16")
    assert "PERSONA_STUDIO_PRECISION to auto" in say_error(refused.value, Texts("en"))[1]
    with pytest.raises(NotEnoughMemory):
        plan(24, ram_gb=24, device="cpu")


@pytest.mark.usefixtures("bare")
def test_a_wish_that_cannot_be_is_refused() -> None:
    with pytest.raises(BadInput, match=r"precision_unknown.*int3"):
        plan(80, wish="int3")
    with pytest.raises(ModelMissing, match=r"precision_package_missing.*bitsandbytes") as refused:
        plan(80, wish="nf4")
    assert "pip install bitsandbytes" in say_error(refused.value, Texts("en"))[1]
    with pytest.raises(BadInput, match="precision_gguf_without_file"):
        plan(80, wish="gguf")


def test_nf4_without_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "find_spec", lambda name: object())
    with pytest.raises(BadInput, match="precision_needs_gpu"):
        plan(80, wish="nf4", device="cpu")


def test_a_gguf_file_takes_what_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "find_spec", lambda name: object())
    found = plan_loading(FLUX1.parts, GGUF, 3072, PIXELS, Hardware("cuda", 14 * GB, 64 * GB), torch.bfloat16)
    assert (found.precision, found.offload) == ("gguf", "model")
    assert found.ram_bytes == pytest.approx((6.8 + 9.53 + 0.25 + 0.17) * GB, rel=0.01)
    with pytest.raises(NotEnoughMemory) as refused:
        plan_loading(FLUX1.parts, GGUF, 3072, PIXELS, Hardware("cuda", 8 * GB, 64 * GB), torch.bfloat16)
    assert "fewer bits" in say_error(refused.value, Texts("en"))[1]


def test_parameters_are_counted_as_they_load(tiny_flux: Path) -> None:
    spec = resolve_backbone(tiny_flux)
    backbone = load_backbone(spec, "cpu")
    parts = {"transformer": backbone.transformer, "vae": backbone.model.vae, **backbone.text_encoders}
    counted = {
        name: sum(h.parameters for h in headers) for name, headers in read_part_headers(spec.source, FLUX1).items()
    }
    assert counted == {n: sum(p.numel() for p in m.parameters()) for n, m in parts.items()}


def test_too_little_memory_is_said_before_loading(tiny_flux: Path) -> None:
    with pytest.raises(NotEnoughMemory):
        load_backbone(resolve_backbone(tiny_flux), "cpu", hardware=Hardware("cpu", 1e6, 1e6))


def test_known_models_say_what_a_merchant_may_do() -> None:
    assert find_model("black-forest-labs/flux.1-krea-dev") is MODELS["FLUX.1-Krea-dev"]
    assert find_model("flux1-dev-Q4_K_S") is find_model("flux1-dev-fp8") is MODELS["FLUX.1-dev"]
    assert (
        find_model("flux-2-klein-base-4b", "") is find_model("FLUX.2 klein base 4B") is MODELS["FLUX.2-klein-base-4B"]
    )
    assert find_model("z_image_turbo_bf16") is MODELS["Z-Image-Turbo"]
    assert find_model("nobody/knows", "", "...") is None
    dev = find_licence(MODELS["FLUX.1-dev"].licence)
    assert (dev.outputs, dev.running, dev.fine_tuning) == ("yes", "paid", "paid")
    assert find_licence("Apache-2.0").running == "yes"
    assert find_licence("something").outputs == "unknown"
    assert all(m.largest_part <= m.parameters for m in MODELS.values() if m.parameters)
    assert all(m.licence in LICENCES for m in MODELS.values())
    assert all(licence.read_on for licence in LICENCES.values())
    assert all(m.train_on in ("", *MODELS) for m in MODELS.values())


def test_guidance_of_a_published_model_is_an_input_or_classifier_free() -> None:
    guided = {model.id: model.cfg_scale for model in MODELS.values() if model.cfg_scale > 1}
    assert guided == {"FLUX.2-klein-base-4B": 4.0, "FLUX.2-klein-base-9B": 4.0, "Z-Image": 5.0}
    assert MODELS["FLUX.1-dev"].cfg_scale == MODELS["FLUX.2-klein-4B"].cfg_scale == 1.0


def test_which_parts_are_small_and_which_come_by_block_is_the_familys_to_say() -> None:
    """A family whose text encoder is as large as its transformer, as FLUX.2-klein's Qwen3 is."""
    parts = (
        Part("transformer", "diffusers", is_large=True, is_quantised=True),
        Part("text_encoder", "transformers", is_text_encoder=True, is_large=True, is_quantised=True),
        Part("vae", "diffusers"),
    )
    headers = {
        "transformer": header("t", norm__linear__weight=(1000, 4_000_000)),
        "text_encoder": header("qwen", w__weight=(1000, 4_000_000)),
        "vae": header("vae", conv__weight=(1000, 80_000)),
    }

    def bytes_of(wish: str, device_gb: float) -> tuple[str, float]:
        hardware = Hardware("cuda", device_gb * GB, 64 * GB)
        found = plan_loading(parts, headers, 3072, PIXELS, hardware, torch.bfloat16, wish)
        return found.offload, round((found.device_bytes - work_bytes(3072, PIXELS)) / GB, 6)

    assert bytes_of("bf16", 20) == ("none", 16.16)
    assert bytes_of("fp8", 20) == ("none", 8.16)  # both are cast, the VAE is not
    assert bytes_of("bf16", 12) == ("model", 8.0)
    assert bytes_of("bf16", 6) == ("group", 1.12)  # only the VAE stays
