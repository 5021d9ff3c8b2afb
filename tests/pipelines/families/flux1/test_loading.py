"""Every kind of source and precision loads and draws; what is damaged or another model's is refused before."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.backbones import Backbone, load_backbone, plan_backbone, resolve_backbone
from pipelines.errors import BadInput, ModelMissing
from pipelines.families.flux1.facts import FLUX1
from pipelines.lora import LoraStack
from pipelines.models.hardware import Hardware
from pipelines.models.headers import read_header
from pipelines.models.precision import part_bytes
from pipelines.sampling.draw import draw
from pipelines.sampling.request import request_from
from pipelines.training.lora import LoraTrainingConfig, TrainingExample, train_lora
from studio.texts.errors import say_error
from studio.texts.texts import Texts
from tests.loras import make_layers
from tests.originals import original_tensors, write_gguf, write_single_file
from tests.tiny import assert_same_picture

WEIGHTS = "diffusion_pytorch_model.safetensors"
Pixels = npt.NDArray[np.uint8]


def need_package(name: str) -> None:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed: pip install {name}")


def picture(backbone: Backbone) -> Pixels:
    return next(draw(backbone, [request_from(backbone.spec, "a woman", 1)]))[1]


def load(name: Path, base: Path | None = None, dtype: torch.dtype = torch.float32, **more: Any) -> Backbone:
    return load_backbone(resolve_backbone(name, base), "cpu", dtype, **more)


@pytest.fixture(scope="module")
def drawn(tiny_flux_dev: Path) -> Pixels:
    """From the folder, in float32."""
    return picture(load(tiny_flux_dev))


@pytest.fixture
def copy(tiny_flux_dev: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_flux_dev, tmp_path / "flux-copy"))


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_a_single_file_draws_what_its_folder_draws(
    tiny_flux_dev: Path, drawn: Pixels, tmp_path: Path, prefix: str
) -> None:
    file = write_single_file(tiny_flux_dev, tmp_path / "my-flux.safetensors", prefix)
    backbone = load(file, tiny_flux_dev)
    assert (backbone.spec.id, backbone.spec.licence, backbone.spec.source.kind) == (
        "my-flux", "apache-2.0", "single file",
    )  # fmt: skip
    assert_same_picture(picture(backbone), drawn)


def test_a_single_file_may_have_diffusers_names(tiny_flux_dev: Path, drawn: Pixels, tmp_path: Path) -> None:
    shutil.copy(tiny_flux_dev / "transformer" / WEIGHTS, tmp_path / "flat.safetensors")
    assert_same_picture(picture(load(tmp_path / "flat.safetensors", tiny_flux_dev)), drawn)


def test_the_base_need_not_have_the_same_depth_or_any_transformer(
    tiny_flux: Path, tiny_flux_dev: Path, drawn: Pixels, tmp_path: Path
) -> None:
    """A dev file over a schnell folder: the file says whether there is a guidance input."""
    base = Path(shutil.copytree(tiny_flux, tmp_path / "base"))
    (base / "transformer" / WEIGHTS).unlink()
    config = base / "transformer" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"num_layers": 5, "num_single_layers": 1}))
    backbone = load(write_single_file(tiny_flux_dev, tmp_path / "dev.safetensors"), base)
    assert backbone.transformer.config.guidance_embeds
    assert len(backbone.transformer.transformer_blocks) == 2


def test_a_file_in_fp8_is_drawn_in_the_fast_number_type(tiny_flux_dev: Path, tmp_path: Path) -> None:
    file = write_single_file(tiny_flux_dev, tmp_path / "flux-fp8.safetensors", dtype=torch.float8_e4m3fn)
    backbone = load(file, tiny_flux_dev)
    assert backbone.transformer.proj_out.weight.dtype == torch.float32
    expected = original_tensors(tiny_flux_dev)["final_layer.linear.weight"].to(torch.float8_e4m3fn).float()
    assert torch.equal(backbone.transformer.proj_out.weight, expected)
    assert np.isfinite(picture(backbone)).all()


def test_a_gguf_file_draws_nearly_what_its_folder_draws(tiny_flux_dev: Path, drawn: Pixels, tmp_path: Path) -> None:
    need_package("gguf")
    file = write_gguf(tiny_flux_dev, tmp_path / "flux-Q8_0.gguf")
    backbone = load(file, tiny_flux_dev)
    assert (backbone.plan.precision, backbone.plan.trains, backbone.spec.licence) == ("gguf", False, "apache-2.0")
    assert backbone.transformer.transformer_blocks[0].attn.to_q.weight.dtype == torch.uint8
    assert np.abs(picture(backbone).astype(float) - drawn).mean() < 4
    with pytest.raises(BadInput, match="precision_of_gguf"):
        load(file, tiny_flux_dev, precision="fp8")


def test_fp8_keeps_a_byte_a_number_and_draws_nearly_the_same(tiny_flux_dev: Path, drawn: Pixels) -> None:
    backbone = load(tiny_flux_dev, precision="fp8")
    blocks = backbone.transformer.transformer_blocks
    assert blocks[0].attn.to_q.weight.dtype == torch.float8_e4m3fn
    assert blocks[0].norm1.linear.weight.dtype == torch.float32  # modulation is not cast
    assert np.abs(picture(backbone).astype(float) - drawn).mean() < 12
    # the plan's estimate of the weights is what they take
    stored = sum(p.numel() * p.element_size() for p in backbone.transformer.parameters())
    header = read_header(tiny_flux_dev / "transformer" / WEIGHTS)
    assert part_bytes([header], "fp8", 4, FLUX1.parts[0].uncast) == stored


def test_int8_by_torchao(tiny_flux_dev: Path) -> None:
    need_package("torchao")
    backbone = load(tiny_flux_dev, precision="int8")
    assert backbone.dtype == torch.bfloat16
    assert type(backbone.transformer.transformer_blocks[0].attn.to_q.weight).__name__ == "Int8Tensor"
    assert np.isfinite(picture(backbone)).all()
    assert lora_changes(backbone)


@pytest.mark.parametrize("precision", ["fp8", "gguf"])
def test_a_lora_stands_beside_quantised_weights(tiny_flux_dev: Path, tmp_path: Path, precision: str) -> None:
    if precision == "gguf":
        need_package("gguf")
        backbone = load(write_gguf(tiny_flux_dev, tmp_path / "flux.gguf"), tiny_flux_dev)
    else:
        backbone = load(tiny_flux_dev, precision=precision)
    assert lora_changes(backbone)


def lora_changes(
    backbone: Backbone,
    linears: tuple[str, ...] = ("transformer_blocks.0.attn.to_q", "single_transformer_blocks.1.proj_out", "x_embedder"),
) -> bool:
    """ΔW·x is what a layer gives more, the picture changes, and nothing is left behind."""
    plain = torch.nn.ModuleDict()  # the shapes that `make_layers` reads, which a quantised weight does not show
    for name in linears:
        module = backbone.transformer.get_submodule(name)
        plain[name.replace(".", "/")] = torch.nn.Linear(module.in_features, module.out_features)
    shapes = make_layers(plain, 1, modules=[name.replace(".", "/") for name in linears])
    layers = [type(one)(one.module.replace("/", "."), one.down, one.up, one.alpha) for one in shapes]
    module = backbone.transformer.get_submodule(linears[0])
    x = torch.randn(1, 3, module.in_features, generator=torch.Generator().manual_seed(0)).to(backbone.dtype)
    before, whole = module(x), picture(backbone)
    stack = LoraStack(backbone.model)
    stack.set([(layers, 0.5)])
    stack.set([(layers, 1.0)])  # replaces, does not add
    layer = next(one for one in layers if one.module == linears[0])
    expected = before.float() + x.float() @ (layer.scale * layer.up @ layer.down).T
    tolerance = 2e-2 if backbone.dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(module(x).float(), expected, atol=tolerance, rtol=tolerance)
    changed = bool((picture(backbone) != whole).any())
    stack.clear()
    assert torch.equal(module(x), before)
    assert_same_picture(picture(backbone), whole)
    return changed


def test_what_cannot_be_trained_says_so_before_training(tiny_flux_dev: Path, tmp_path: Path) -> None:
    backbone = load(tiny_flux_dev, precision="fp8")
    example = TrainingExample(np.zeros((96, 64, 3), np.uint8), "a woman")
    with pytest.raises(BadInput, match="backbone_draws_only"):
        train_lora(backbone, [example], LoraTrainingConfig(steps=1), tmp_path)


@pytest.mark.parametrize("offload", ["model", "group"])
def test_parts_that_wait_in_memory_draw_the_same_picture(tiny_flux_dev: Path, drawn: Pixels, offload: str) -> None:
    spec = resolve_backbone(tiny_flux_dev)
    wide = Hardware("meta", 1e12, 1e12)  # an accelerator by name; what computes is the CPU
    whole = plan_backbone(spec, torch.float32, wide, precision="fp32")
    need = plan_backbone(spec, torch.float32, Hardware("meta", whole.device_bytes - 1, 1e12), precision="fp32")
    assert (whole.offload, need.offload) == ("none", "model")
    near = Hardware("meta", (whole if offload == "model" else need).device_bytes - 1, 1e12)
    backbone = load_backbone(spec, "cpu", torch.float32, near, "fp32")
    assert backbone.plan.offload == offload
    assert_same_picture(picture(backbone), drawn)
    if offload == "group":
        assert not backbone.plan.trains
        assert lora_changes(backbone)


def test_fp8_weights_that_travel_block_by_block_draw_the_same_picture(tiny_flux_dev: Path) -> None:
    spec = resolve_backbone(tiny_flux_dev)
    whole = load(tiny_flux_dev, precision="fp8")
    near = Hardware("meta", 1e12, 1e12)
    for _ in ("not all at once", "not one part at a time"):
        plan = plan_backbone(spec, torch.float32, near, precision="fp8")
        near = Hardware("meta", plan.device_bytes - 1, 1e12)
    backbone = load_backbone(spec, "cpu", torch.float32, near, "fp8")
    assert backbone.plan.offload == "group"
    assert_same_picture(picture(backbone), picture(whole))


def test_shards_that_are_missing_are_named(copy: Path) -> None:
    part = copy / "transformer"
    tensors = load_file(part / WEIGHTS)
    names = sorted(tensors)
    halves = {"a-00001-of-00002.safetensors": names[::2], "a-00002-of-00002.safetensors": names[1::2]}
    for file, keys in halves.items():
        save_file({key: tensors[key] for key in keys}, part / file)
    weight_map = {key: file for file, keys in halves.items() for key in keys}
    (part / f"{WEIGHTS}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (part / WEIGHTS).unlink()
    assert load(copy).transformer.config.guidance_embeds  # both halves are there
    (part / "a-00002-of-00002.safetensors").unlink()
    with pytest.raises(ModelMissing, match=r"model_file_missing.*transformer/a-00002-of-00002"):
        load(copy)


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder_2"])
def test_a_file_cut_short_is_named(copy: Path, part: str) -> None:
    file = next((copy / part).glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BadInput, match=rf"model_file_damaged.*{part}/\w+[.]safetensors"):
        load(copy)


def test_pickles_are_not_opened(copy: Path) -> None:
    (copy / "transformer" / WEIGHTS).rename(copy / "transformer" / "diffusion_pytorch_model.bin")
    with pytest.raises(ModelMissing, match="weights_are_pickles"):
        load(copy)


def test_a_transformer_with_missing_layers_is_not_filled_with_noise(copy: Path) -> None:
    file = copy / "transformer" / WEIGHTS
    tensors = load_file(file)
    del tensors["transformer_blocks.1.attn.to_q.weight"]
    save_file(tensors, file)
    with pytest.raises(BadInput, match=r"transformer_incomplete.*lacks=1, name=transformer_blocks\.1\.attn\.to_q"):
        load(copy)


def test_a_transformer_of_another_width_is_refused(copy: Path) -> None:
    config = copy / "transformer" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"num_attention_heads": 4}))
    with pytest.raises(BadInput, match="transformer_shape_other"):
        load(copy)


@pytest.mark.parametrize("part", ["transformer", "vae"])
def test_weights_that_are_no_numbers_are_refused(copy: Path, part: str) -> None:
    file = copy / part / WEIGHTS
    tensors = load_file(file)
    name = sorted(tensors)[3]
    tensors[name].view(-1)[0] = float("nan")
    save_file(tensors, file)
    with pytest.raises(BadInput, match=f"model_not_finite.*{name}"):
        load(copy)


def test_nan_in_what_torchao_quantises_is_refused(copy: Path) -> None:
    need_package("torchao")
    file = copy / "transformer" / WEIGHTS
    tensors = load_file(file)
    tensors["proj_out.weight"][0, 0] = float("nan")
    save_file(tensors, file)
    with pytest.raises(BadInput, match="model_not_finite"):
        load(copy, precision="int8")


def test_a_damaged_gguf_file_is_refused(tiny_flux_dev: Path, tmp_path: Path) -> None:
    need_package("gguf")
    file = write_gguf(tiny_flux_dev, tmp_path / "flux.gguf")
    file.write_bytes(file.read_bytes()[:-5000])
    with pytest.raises(BadInput, match="model_file_damaged"):
        resolve_backbone(file, tiny_flux_dev)


def test_a_file_that_does_not_go_with_its_base_is_refused(tiny_flux_dev: Path, tmp_path: Path) -> None:
    tensors = original_tensors(tiny_flux_dev)
    fill = tensors | {"img_in.weight": torch.zeros(32, 96)}
    save_file(fill, tmp_path / "fill.safetensors")
    with pytest.raises(BadInput, match="transformer_of_other_vae"):
        resolve_backbone(tmp_path / "fill.safetensors", tiny_flux_dev)
    save_file(tensors | {"txt_in.weight": torch.zeros(32, 8)}, tmp_path / "text.safetensors")
    with pytest.raises(BadInput, match=r"transformer_of_other_text_encoder.*reads=8") as refused:
        resolve_backbone(tmp_path / "text.safetensors", tiny_flux_dev)
    assert "PERSONA_STUDIO_BASE" in say_error(refused.value, Texts("en"))[1]
