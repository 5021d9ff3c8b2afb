"""Every kind of source and precision of FLUX.2 loads and draws; statistics stay exact."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.backbones import Backbone, load_backbone, plan_backbone, resolve_backbone
from pipelines.errors import BadInput
from pipelines.families.flux2.facts import FLUX2
from pipelines.models.hardware import Hardware
from pipelines.models.headers import read_header
from pipelines.models.precision import part_bytes
from tests.originals_flux2 import original_tensors, write_gguf, write_single_file
from tests.pipelines.families.flux1.test_loading import Pixels, lora_changes, need_package, picture
from tests.tiny import assert_same_picture
from tests.tiny_flux2 import flux2

WEIGHTS = "diffusion_pytorch_model.safetensors"


def load(name: Path, base: Path | None = None, dtype: torch.dtype = torch.float32, **more: Any) -> Backbone:
    return load_backbone(resolve_backbone(name, base), "cpu", dtype, **more)


@pytest.fixture(scope="module")
def drawn(klein: Path) -> Pixels:
    """From the folder, in float32."""
    return picture(load(klein))


@pytest.fixture
def copy(klein: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(klein, tmp_path / "copy"))


@pytest.mark.parametrize(("prefix", "norms"), [("", "scale"), ("model.diffusion_model.", "scale"), ("", "weight")])
def test_a_single_file_draws_what_its_folder_draws(
    klein: Path, drawn: Pixels, tmp_path: Path, prefix: str, norms: str
) -> None:
    file = write_single_file(klein, tmp_path / "mine.safetensors", prefix)
    save_file({name.replace("_norm.scale", f"_norm.{norms}"): x for name, x in load_file(file).items()}, file)
    backbone = load(file, klein)
    assert (backbone.spec.id, backbone.spec.source.kind) == ("mine", "single file")
    assert_same_picture(picture(backbone), drawn)


def test_a_single_file_may_have_diffusers_names(klein: Path, drawn: Pixels, tmp_path: Path) -> None:
    shutil.copy(klein / "transformer" / WEIGHTS, tmp_path / "flat.safetensors")
    assert_same_picture(picture(load(tmp_path / "flat.safetensors", klein)), drawn)


def test_a_file_in_fp8_is_drawn_in_the_fast_number_type(klein: Path, tmp_path: Path) -> None:
    backbone = load(write_single_file(klein, tmp_path / "k-fp8.safetensors", dtype=torch.float8_e4m3fn), klein)
    expected = original_tensors(klein)["final_layer.linear.weight"].to(torch.float8_e4m3fn).float()
    assert torch.equal(backbone.transformer.proj_out.weight, expected)
    assert picture(backbone).std() > 1


def test_a_gguf_file_draws_nearly_what_its_folder_draws(klein: Path, drawn: Pixels, tmp_path: Path) -> None:
    need_package("gguf")
    backbone = load(write_gguf(klein, tmp_path / "klein-Q8_0.gguf"), klein)
    assert (backbone.plan.precision, backbone.plan.trains) == ("gguf", False)
    assert backbone.transformer.transformer_blocks[0].attn.to_q.weight.dtype == torch.uint8
    assert np.abs(picture(backbone).astype(float) - drawn).mean() < 4


def test_fp8_keeps_a_byte_a_number_and_draws_nearly_the_same(klein: Path, drawn: Pixels) -> None:
    backbone = load(klein, precision="fp8")
    transformer = backbone.transformer
    assert transformer.transformer_blocks[0].attn.to_q.weight.dtype == torch.float8_e4m3fn
    assert transformer.norm_out.linear.weight.dtype == torch.float32
    assert np.abs(picture(backbone).astype(float) - drawn).mean() < 12
    stored = sum(p.numel() * p.element_size() for p in transformer.parameters())
    header = read_header(klein / "transformer" / WEIGHTS)
    assert part_bytes([header], "fp8", 4, FLUX2.parts[0].uncast) == stored


@pytest.mark.parametrize("offload", ["model", "group"])
def test_parts_that_wait_in_memory_draw_the_same_picture(klein: Path, drawn: Pixels, offload: str) -> None:
    spec = resolve_backbone(klein)
    wide = Hardware("meta", 1e12, 1e12)  # an accelerator by name; what computes is the CPU
    whole = plan_backbone(spec, torch.float32, wide, precision="fp32")
    need = plan_backbone(spec, torch.float32, Hardware("meta", whole.device_bytes - 1, 1e12), precision="fp32")
    near = Hardware("meta", (whole if offload == "model" else need).device_bytes - 1, 1e12)
    backbone = load_backbone(spec, "cpu", torch.float32, near, "fp32")
    assert backbone.plan.offload == offload
    assert_same_picture(picture(backbone), drawn)


def test_statistics_stay_in_float32_where_the_rest_is_rounded(klein: Path) -> None:
    model, exact = flux2(load(klein, dtype=torch.bfloat16)), load_file(klein / "vae" / WEIGHTS)
    assert model.vae.decoder.conv_in.weight.dtype == torch.bfloat16
    assert torch.equal(model.statistics.mean.flatten(), exact["bn.running_mean"])
    assert torch.equal(model.statistics.std.flatten(), (exact["bn.running_var"] + 1e-4).sqrt())
    assert not torch.equal(model.statistics.mean, model.statistics.mean.bfloat16().float())


@pytest.mark.parametrize(("part", "name"), [("transformer", "proj_out.weight"), ("vae", "bn.running_var")])
def test_what_is_no_number_is_refused(copy: Path, part: str, name: str) -> None:
    tensors = load_file(copy / part / WEIGHTS)
    tensors[name].view(-1)[0] = -1.0 if "var" in name else float("nan")
    save_file(tensors, copy / part / WEIGHTS)
    with pytest.raises(BadInput, match=rf"model_not_finite.*{name}"):
        load(copy)


def test_a_lora_stands_beside_quantised_weights(klein: Path) -> None:
    linears = ("transformer_blocks.0.attn.to_q", "single_transformer_blocks.1.attn.to_qkv_mlp_proj", "x_embedder")
    assert lora_changes(load(klein, precision="fp8"), linears)
