"""Every kind of source and precision of Z-Image loads and draws; what is damaged or another's is refused before."""

from __future__ import annotations

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
from pipelines.families.z_image.facts import Z_IMAGE
from pipelines.families.z_image.loading import check_transformer
from pipelines.models.hardware import Hardware
from pipelines.models.headers import Header, read_header
from pipelines.models.precision import part_bytes
from pipelines.models.sources import Source
from pipelines.sampling.draw import draw
from pipelines.sampling.request import request_from
from studio.texts.errors import say_error
from studio.texts.texts import LANGUAGES, Texts
from tests.data import need
from tests.folders import write_backbone_folder
from tests.pipelines.families.flux1.test_loading import need_package
from tests.pipelines.families.test_catalogue import shapes_of
from tests.tiny import assert_same_picture
from tests.tiny_z_image import WEIGHTS, original_tensors, write_gguf, write_single_file, write_z_image

Pixels = npt.NDArray[np.uint8]


def picture(backbone: Backbone) -> Pixels:
    return next(draw(backbone, [request_from(backbone.spec, "a woman", 1, cfg_scale=2.0)]))[1]


def load(name: Path, base: Path | None = None, dtype: torch.dtype = torch.float32, **more: Any) -> Backbone:
    return load_backbone(resolve_backbone(name, base), "cpu", dtype, **more)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_z_image(tmp_path_factory.mktemp("z") / "z-image")


@pytest.fixture(scope="module")
def drawn(folder: Path) -> Pixels:
    """From the folder, in float32."""
    return picture(load(folder))


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | values), encoding="utf-8")


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_a_single_file_draws_what_its_folder_draws(folder: Path, drawn: Pixels, tmp_path: Path, prefix: str) -> None:
    file = write_single_file(folder, tmp_path / "my-z.safetensors", prefix)
    backbone = load(file, folder)
    assert (backbone.spec.id, backbone.spec.licence, backbone.spec.source.kind) == (
        "my-z", "apache-2.0", "single file",
    )  # fmt: skip
    assert_same_picture(picture(backbone), drawn)


def test_a_single_file_may_have_diffusers_names(folder: Path, drawn: Pixels, tmp_path: Path) -> None:
    shutil.copy(folder / "transformer" / WEIGHTS, tmp_path / "flat.safetensors")
    assert_same_picture(picture(load(tmp_path / "flat.safetensors", folder)), drawn)


def test_the_base_need_not_have_the_same_depth_or_any_transformer(folder: Path, drawn: Pixels, copy: Path) -> None:
    (copy / "transformer" / WEIGHTS).unlink()
    change(copy / "transformer" / "config.json", n_layers=5, n_refiner_layers=2)
    file = write_single_file(folder, copy.parent / "z.safetensors")
    backbone = load(file, copy)
    assert len(backbone.transformer.layers) == 2
    assert_same_picture(picture(backbone), drawn)


def test_a_file_in_fp8_is_drawn_in_the_fast_number_type(folder: Path, tmp_path: Path) -> None:
    file = write_single_file(folder, tmp_path / "z-fp8.safetensors", dtype=torch.float8_e4m3fn)
    backbone = load(file, folder)
    weight = backbone.transformer.layers[0].attention.to_k.weight
    rows = original_tensors(folder)["layers.0.attention.qkv.weight"].to(torch.float8_e4m3fn).float()[32:64]
    assert weight.dtype == torch.float32
    assert torch.equal(weight, rows)
    assert np.isfinite(picture(backbone)).all()


@pytest.mark.parametrize("trimmed", [False, True])
def test_a_gguf_file_draws_nearly_what_its_folder_draws(
    folder: Path, drawn: Pixels, tmp_path: Path, trimmed: bool
) -> None:
    need_package("gguf")
    file = write_gguf(folder, tmp_path / "z-Q8_0.gguf", trimmed=trimmed)
    backbone = load(file, folder)
    assert (backbone.plan.precision, backbone.plan.trains, backbone.spec.licence) == ("gguf", False, "apache-2.0")
    assert backbone.transformer.layers[0].attention.to_q.weight.dtype == torch.uint8
    assert backbone.transformer.x_pad_token.shape == (1, 32)
    assert backbone.transformer.x_pad_token.dtype == backbone.transformer.t_embedder.mlp[0].bias.dtype == torch.float32
    assert np.abs(picture(backbone).astype(float) - drawn).mean() < 4


def test_fp8_keeps_a_byte_a_number_and_draws_nearly_the_same(folder: Path, drawn: Pixels) -> None:
    backbone = load(folder, precision="fp8")
    block = backbone.transformer.layers[0]
    assert block.attention.to_q.weight.dtype == torch.float8_e4m3fn
    assert block.attention.norm_q.weight.dtype == torch.float32
    assert backbone.transformer.t_embedder.mlp[0].weight.dtype == torch.float32
    assert np.abs(picture(backbone).astype(float) - drawn).mean() < 12
    # the plan's estimate of the weights is what they take
    stored = sum(p.numel() * p.element_size() for p in backbone.transformer.parameters())
    header = read_header(folder / "transformer" / WEIGHTS)
    assert part_bytes([header], "fp8", 4, Z_IMAGE.parts[0].uncast) == stored


@pytest.mark.parametrize("offload", ["model", "group"])
def test_parts_that_wait_in_memory_draw_the_same_picture(folder: Path, drawn: Pixels, offload: str) -> None:
    spec = resolve_backbone(folder)
    whole = plan_backbone(spec, torch.float32, Hardware("meta", 1e12, 1e12), precision="fp32")
    need = plan_backbone(spec, torch.float32, Hardware("meta", whole.device_bytes - 1, 1e12), precision="fp32")
    assert (whole.offload, need.offload) == ("none", "model")
    near = Hardware("meta", (whole if offload == "model" else need).device_bytes - 1, 1e12)
    backbone = load_backbone(spec, "cpu", torch.float32, near, "fp32")
    assert backbone.plan.offload == offload
    assert_same_picture(picture(backbone), drawn)


def said(refused: BadInput | ModelMissing, *words: str) -> None:
    """Both languages have a sentence with these words, and an advice."""
    for language in LANGUAGES:
        message, advice = say_error(refused, Texts(language))
        assert all(word in message for word in words)
        assert advice


def test_a_tokenizer_without_its_chat_template_is_refused(copy: Path) -> None:
    (copy / "tokenizer" / "chat_template.jinja").unlink()
    with pytest.raises(ModelMissing, match="chat_template_missing") as refused:
        load(copy)
    said(refused.value, "copy/tokenizer")


def test_a_text_encoder_of_another_width_is_refused(folder: Path, copy: Path) -> None:
    change(copy / "text_encoder" / "config.json", hidden_size=24)
    with pytest.raises(BadInput, match=r"transformer_of_other_text_encoder.*reads=16.*writes=24") as refused:
        load(copy)
    said(refused.value, "copy", "Qwen3", "16", "24")
    file = write_single_file(folder, copy.parent / "z.safetensors")
    with pytest.raises(BadInput, match=r"transformer_of_other_text_encoder.*reads=16.*writes=24"):
        resolve_backbone(file, copy)


def test_a_vae_of_another_kind_is_refused(copy: Path) -> None:
    change(copy / "vae" / "config.json", latent_channels=16)
    with pytest.raises(BadInput, match=r"transformer_of_other_vae.*channels=4.*latent=16") as refused:
        load(copy)
    said(refused.value, "copy", "4", "16")


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder"])
def test_a_file_cut_short_is_named(copy: Path, part: str) -> None:
    file = next((copy / part).glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BadInput, match=rf"model_file_damaged.*{part}/\w+[.]safetensors") as refused:
        load(copy)
    said(refused.value, file.name)


def test_a_part_that_is_missing_is_named(copy: Path) -> None:
    shutil.rmtree(copy / "text_encoder")
    with pytest.raises(ModelMissing, match="text_encoder"):
        load(copy)


def test_missing_and_unknown_layers_are_not_filled_with_noise(copy: Path, folder: Path, tmp_path: Path) -> None:
    file = copy / "transformer" / WEIGHTS
    tensors = load_file(file)
    lost = tensors.pop("layers.1.feed_forward.w1.weight")
    save_file(tensors, file)
    with pytest.raises(BadInput, match=r"transformer_incomplete.*name=layers\.1\.feed_forward\.w1"):
        load(copy)
    save_file(tensors | {"layers.1.feed_forward.w1.weight": lost.repeat(2, 1)}, file)
    with pytest.raises(BadInput, match="transformer_shape_other"):
        load(copy)
    strange = original_tensors(folder) | {"layers.0.attention.qkv.lora_mid": torch.ones(1)}
    save_file(strange, tmp_path / "strange.safetensors")
    with pytest.raises(BadInput, match="transformer_name_unknown") as refused:
        load(tmp_path / "strange.safetensors", folder)
    said(refused.value, "Z-Image", "lora_mid")


@pytest.mark.parametrize(
    ("name", "shape", "code"),
    [
        ("x_embedder.weight", (), "transformer_incomplete"),
        ("x_embedder.weight", (0, 16), "transformer_incomplete"),
        ("cap_embedder.1.weight", (), "transformer_incomplete"),
        ("layers.0.attention.qkv.weight", (), "transformer_tensor_unknown"),
        ("layers.0.attention.qkv.weight", (95, 32), "transformer_tensor_unknown"),
    ],
)
def test_a_file_whose_tensors_have_no_sides_is_refused(
    folder: Path, name: str, shape: tuple[int, ...], code: str, tmp_path: Path
) -> None:
    save_file(original_tensors(folder) | {name: torch.ones(shape)}, tmp_path / "damaged.safetensors")
    with pytest.raises(BadInput, match=rf"{code}.*{name}"):
        load(tmp_path / "damaged.safetensors", folder)


def test_a_file_needs_a_folder_of_its_own_family(folder: Path, tiny_flux: Path, tmp_path: Path) -> None:
    file = write_single_file(folder, tmp_path / "z.safetensors")
    with pytest.raises(BadInput, match="base_of_other_family") as refused:
        load(file, tiny_flux)
    said(refused.value, "Z-Image", "FLUX.1")
    with pytest.raises(ModelMissing, match=r"base_missing.*Tongyi-MAI/Z-Image"):
        resolve_backbone(file)


def test_a_real_checkpoints_tensors_are_all_asked_for_at_its_true_size(tmp_path: Path) -> None:
    """The listing holds one block of each kind; without memory, the class of diffusers is built as wide as it says."""
    base = write_backbone_folder(tmp_path / "base", pipeline="ZImagePipeline", n_layers=30)
    for part, config in (("vae", {"latent_channels": 16}), ("text_encoder", {"hidden_size": 2560})):
        (base / part).mkdir()
        (base / part / "config.json").write_text(json.dumps(config), encoding="utf-8")
    shapes = shapes_of(need("model_keys/z_image_transformer_comfyui_keys.json"))
    file = tmp_path / "z_image_turbo_bf16.safetensors"
    config = check_transformer(Source("single file", file.stem, file, base), [Header(file, shapes, 0, {})])
    assert {name: config[name] for name in ("dim", "n_heads", "in_channels", "cap_feat_dim", "n_layers")} == {
        "dim": 3840, "n_heads": 30, "in_channels": 16, "cap_feat_dim": 2560, "n_layers": 1,
    }  # fmt: skip
    less = {name: shape for name, shape in shapes.items() if name != "layers.0.feed_forward.w2.weight"}
    with pytest.raises(BadInput, match=r"transformer_incomplete.*layers\.0\.feed_forward\.w2"):
        check_transformer(Source("single file", file.stem, file, base), [Header(file, less, 0, {})])
