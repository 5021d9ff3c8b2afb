"""Single files of fp8 weights with scales: what is loaded is each weight times its scale, computed by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pipelines.backbones import Backbone, load_backbone, plan_backbone, resolve_backbone
from pipelines.errors import BadInput
from pipelines.models.hardware import Hardware
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import request_from
from studio.texts.errors import say_error
from studio.texts.texts import LANGUAGES, Texts
from tests import originals, originals_flux2, tiny_z_image
from tests.tiny import assert_same_picture, write_flux
from tests.tiny_flux2 import write_klein

FAMILIES: dict[str, tuple[Callable[[Path], Path], Callable[[Path], dict[str, Tensor]]]] = {
    "flux1": (write_flux, originals.original_tensors),
    "flux2": (write_klein, originals_flux2.original_tensors),
    "z-image": (tiny_z_image.write_z_image, tiny_z_image.original_tensors),
}
QKV = {
    "flux1": ("double_blocks.0.img_attn.qkv", "transformer_blocks.0.attn.to_k.weight"),
    "flux2": ("double_blocks.0.img_attn.qkv", "transformer_blocks.0.attn.to_k.weight"),
    "z-image": ("layers.0.attention.qkv", "layers.0.attention.to_k.weight"),
}


@pytest.fixture(params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return FAMILIES[request.param][0](tmp_path / request.param)


def tensors_of(folder: Path) -> dict[str, Tensor]:
    return FAMILIES[folder.name][1](folder)


def quantise(
    tensors: dict[str, Tensor], scale: str, *, by_row: bool = False, kind: torch.dtype = torch.float8_e4m3fn
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return (tensors of a scaled fp8 file, what they stand for in float32), its layers' matrices quantised.

    `scale` is the name of a scale behind its layer's; `by_row`: one for each row [out, 1], else one [].
    """
    stored, meant = {}, {}
    most = torch.finfo(kind).max
    for name, tensor in tensors.items():
        layer = name.removesuffix(".weight")
        if tensor.ndim != 2 or layer == name or ("blocks" not in name and "layers" not in name):
            stored[name] = tensor.bfloat16()
            meant[name] = stored[name].float()
            continue
        largest = tensor.abs().amax(1, keepdim=True) if by_row else tensor.abs().amax()
        stored[name] = (tensor / (largest / most)).to(kind)
        stored[f"{layer}.{scale}"] = (largest / most).float()
        stored[f"{layer}.input_scale"] = torch.tensor(0.3)
        meant[name] = stored[name].float() * stored[f"{layer}.{scale}"]
    return stored, meant


def decoded(numbers: Tensor) -> npt.NDArray[np.float64]:
    """float8_e4m3fn by its bits: sign, four of exponent with a bias of 7, three of mantissa."""
    bits = numbers.view(torch.uint8).numpy().astype(np.int64)
    sign, exponent, mantissa = 1.0 - 2.0 * (bits >> 7), (bits >> 3) & 15, bits & 7
    normal = (1 + mantissa / 8) * 2.0 ** (exponent - 7)
    return np.asarray(sign * np.where(exponent == 0, mantissa / 8 * 2.0**-6, normal))


def load(file: Path, folder: Path, dtype: torch.dtype = torch.float32) -> Backbone:
    return load_backbone(resolve_backbone(file, folder), "cpu", dtype)


@pytest.mark.parametrize("by_row", [False, True])
def test_a_weight_is_its_number_times_the_scale(folder: Path, by_row: bool, tmp_path: Path) -> None:
    stored, _ = quantise(tensors_of(folder), "weight_scale", by_row=by_row)
    save_file(stored, tmp_path / "model-fp8.safetensors")
    layer, module = QKV[folder.name]
    scale = stored[f"{layer}.weight_scale"].double().numpy()
    by_hand = np.split(decoded(stored[f"{layer}.weight"]) * scale, 3)[1]  # q, k and v are one matrix there
    for dtype in (torch.float32, torch.bfloat16):
        loaded = load(tmp_path / "model-fp8.safetensors", folder, dtype)
        found = dict(loaded.transformer.named_parameters())[module]
        assert found.dtype == dtype
        torch.testing.assert_close(found, torch.from_numpy(by_hand).to(dtype), rtol=2**-23, atol=0)


@pytest.mark.parametrize(
    ("scale", "prefix", "kind", "marks"),
    [
        ("weight_scale", "", torch.float8_e4m3fn, {}),  # black-forest-labs' and ModelOpt's
        ("scale_weight", "model.diffusion_model.", torch.float8_e4m3fn,
         {"scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}),
        ("weight_scale", "", torch.float8_e5m2, {"img_in.comfy_quant": torch.zeros(9, dtype=torch.uint8)}),
    ],
)  # fmt: skip
def test_a_scaled_file_draws_as_the_file_of_what_it_stands_for(
    folder: Path, scale: str, prefix: str, kind: torch.dtype, marks: dict[str, Tensor], tmp_path: Path
) -> None:
    stored, meant = quantise(tensors_of(folder), scale, kind=kind)
    save_file({prefix + name: tensor for name, tensor in (stored | marks).items()}, tmp_path / "scaled.safetensors")
    save_file(meant, tmp_path / "plain.safetensors")
    scaled, plain = (load(tmp_path / f"{name}.safetensors", folder) for name in ("scaled", "plain"))
    for (name, one), other in zip(
        scaled.transformer.named_parameters(), plain.transformer.parameters(), strict=True
    ):  # fmt: skip
        assert torch.equal(one, other), name
    pictures = [draw_batch(one, [request_from(one.spec, "a woman", 1)])[0] for one in (scaled, plain)]
    assert_same_picture(*pictures)


def test_black_forest_labs_scales_are_told_of_by_the_plan(folder: Path, tmp_path: Path) -> None:
    """They weigh next to nothing, and change nothing of what is planned."""
    stored, meant = quantise(tensors_of(folder), "weight_scale")
    save_file(stored, tmp_path / "scaled.safetensors")
    save_file(meant, tmp_path / "plain.safetensors")
    hardware = Hardware("cpu", 1e12, 1e12)
    sizes = [
        plan_backbone(resolve_backbone(tmp_path / f"{name}.safetensors", folder), torch.float32, hardware).device_bytes
        for name in ("scaled", "plain")
    ]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.01)


@pytest.mark.parametrize(
    ("scale", "value", "weight"),
    [
        ("weight_scale", torch.zeros(96, 1, dtype=torch.uint8), None),  # MXFP8: one for 32 numbers of a row
        ("weight_scale", torch.ones(96, 4), None),
        ("weight_scale_2", torch.ones(()), None),  # NVFP4
        ("weight_scale", torch.ones(()), torch.bfloat16),
        ("scale_weight", torch.ones(()), torch.int8),
    ],
)
def test_other_ways_of_quantising_are_refused_in_words(
    folder: Path, scale: str, value: Tensor, weight: torch.dtype | None, tmp_path: Path
) -> None:
    tensors = tensors_of(folder)
    layer, _ = QKV[folder.name]
    rows = tensors[f"{layer}.weight"].shape[0]
    value = value.repeat(rows // 96, 1) if value.shape == (96, 4) else value
    value = value[: rows - 1] if value.dtype == torch.uint8 else value
    changed = tensors[f"{layer}.weight"].to(weight or torch.float8_e4m3fn)
    save_file(tensors | {f"{layer}.weight": changed, f"{layer}.{scale}": value}, tmp_path / "other.safetensors")
    with pytest.raises(BadInput, match="model_scales_unknown") as refused:
        load(tmp_path / "other.safetensors", folder)
    for language in LANGUAGES:
        message, advice = say_error(refused.value, Texts(language))
        assert f"{layer}.{scale}" in message
        assert "GGUF" in advice


def test_a_scale_without_its_weight_is_refused(folder: Path, tmp_path: Path) -> None:
    layer, _ = QKV[folder.name]
    save_file(tensors_of(folder) | {f"{layer}_2.weight_scale": torch.ones(())}, tmp_path / "odd.safetensors")
    with pytest.raises(BadInput, match="model_scales_unknown"):
        load(tmp_path / "odd.safetensors", folder)
