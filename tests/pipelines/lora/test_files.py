"""LoRA files: every spelling gives the same ΔW, and other tools read ours."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pipelines.errors import BadLora, OutOfDisk
from pipelines.lora import (
    LoraLayer,
    LoraMetadata,
    LoraStack,
    check_fits,
    inspect_lora,
    norms,
    read_lora,
    write_lora,
)
from tests.loras import MODULES, Parts, float64_delta, make_layers, plain_tensors, same_delta, tiny_transformer

# isort: split
from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline
from transformers import CLIPTextConfig, CLIPTextModel

TITLE = LoraMetadata(title="test")


def test_written_file_is_read_back(tmp_path: Path) -> None:
    layers = make_layers(tiny_transformer(), 1, alpha=3.0)
    sha256 = write_lora(tmp_path / "a.safetensors", layers, TITLE)
    file = read_lora(tmp_path / "a.safetensors")
    assert file.sha256 == sha256 == hashlib.sha256((tmp_path / "a.safetensors").read_bytes()).hexdigest()
    assert file.format == "diffusers"
    assert {layer.module for layer in file.layers} == set(MODULES)
    same_delta(layers, file.layers)


def test_same_layers_give_the_same_bytes(tmp_path: Path) -> None:
    layers = make_layers(tiny_transformer(), 1)
    metadata = LoraMetadata(title="t", trigger_phrase="mira", license="CC0", training={"steps": "5", "seed": "1"})
    hashes = {write_lora(tmp_path / f"{i}.safetensors", layers, metadata) for i in range(4)}
    assert len(hashes) == 1


@pytest.mark.parametrize("ranks", [(4, 4), (2, 6)])
def test_plain_diffusers_gives_the_same_difference(tmp_path: Path, ranks: tuple[int, int]) -> None:
    """load_lora_weights + fuse_lora of diffusers itself against float64; alpha is not rank."""
    transformer: Any = tiny_transformer()
    layers = make_layers(transformer, 1, rank=ranks[0], alpha=5.0, modules=MODULES[:4])
    layers += make_layers(transformer, 2, rank=ranks[1], alpha=1.0, modules=MODULES[4:])
    write_lora(tmp_path / "a.safetensors", layers, TITLE)
    before = {name: weight.detach().clone() for name, weight in transformer.state_dict().items()}
    make: Any = FluxPipeline
    scheduler: Any = FlowMatchEulerDiscreteScheduler
    pipeline = make(
        scheduler=scheduler(),
        vae=None,
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=None,
        tokenizer_2=None,
        transformer=transformer,
    )
    pipeline.load_lora_weights(str(tmp_path), weight_name="a.safetensors", adapter_name="ours")
    config = transformer.peft_config["ours"]
    assert sorted(config.target_modules) == sorted(MODULES)  # it was built from our lora_adapter_metadata
    pipeline.fuse_lora()
    pipeline.unload_lora_weights()
    after = transformer.state_dict()
    expected = float64_delta(layers)
    for name, weight in after.items():
        difference = (weight.double() - before[name].double()).numpy()
        module = name.removesuffix(".weight")
        if module in expected:
            np.testing.assert_allclose(difference, expected[module], atol=3e-7 * float(weight.abs().max()) + 1e-8)
        else:
            assert not difference.any(), name


def test_file_of_diffusers_own_saver_is_read_with_its_alpha(tmp_path: Path) -> None:
    """save_lora_weights keeps alpha in the header only; whoever overlooks it gets half the strength."""
    from diffusers.training_utils import _collate_lora_metadata
    from peft import LoraConfig, get_peft_model_state_dict

    transformer: Any = tiny_transformer()
    targets = ["attn.to_q", "single_transformer_blocks.0.proj_out"]
    transformer.add_adapter(LoraConfig(r=4, lora_alpha=8, target_modules=targets, init_lora_weights=False))
    state = {name: value.contiguous() for name, value in get_peft_model_state_dict(transformer).items()}
    FluxPipeline.save_lora_weights(
        tmp_path,
        transformer_lora_layers=state,
        weight_name="theirs.safetensors",
        **_collate_lora_metadata({"transformer": transformer}),
    )
    file = read_lora(tmp_path / "theirs.safetensors")
    assert {layer.alpha for layer in file.layers} == {8.0}
    modules = {"transformer_blocks.0.attn.to_q", "single_transformer_blocks.0.attn.to_q"}
    assert {layer.module for layer in file.layers} == {*modules, "single_transformer_blocks.0.proj_out"}
    for layer in file.layers:
        expected = transformer.get_submodule(layer.module).get_delta_weight("default").detach().double().numpy()
        np.testing.assert_allclose(float64_delta([layer])[layer.module], expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("pattern", "down", "up", "format_"),
    [
        ("transformer.{}", "lora_A", "lora_B", "diffusers"),
        ("{}", "lora_A", "lora_B", "diffusers"),
        ("transformer.{}", "lora_A.default", "lora_B.default", "diffusers"),
        ("transformer.{}", "lora.down", "lora.up", "diffusers"),
        ("diffusion_model.{}", "lora_A", "lora_B", "diffusers"),
        ("base_model.model.{}", "lora_A", "lora_B", "peft"),
    ],
)
def test_spellings_of_diffusers_names(tmp_path: Path, pattern: str, down: str, up: str, format_: str) -> None:
    layers = make_layers(tiny_transformer(), 1)
    save_file(plain_tensors(layers, pattern, down, up), tmp_path / "a.safetensors")
    file = read_lora(tmp_path / "a.safetensors")
    assert file.format == format_
    same_delta(layers, file.layers, 1e-12)


def test_joined_names_with_alpha(tmp_path: Path) -> None:
    """OneTrainer: `lora_transformer_` + diffusers' names with underscores + `.alpha` tensors."""
    layers = make_layers(tiny_transformer(), 1, alpha=2.0)
    tensors: dict[str, torch.Tensor] = {}
    for layer in layers:
        name = "lora_transformer_" + layer.module.replace(".", "_")
        tensors |= {f"{name}.lora_down.weight": layer.down, f"{name}.lora_up.weight": layer.up}
        tensors[f"{name}.alpha"] = torch.tensor(2.0)
    save_file(tensors, tmp_path / "a.safetensors")
    file = read_lora(tmp_path / "a.safetensors")
    assert file.format == "onetrainer"
    same_delta(layers, file.layers, 1e-12)


def _kohya_tensors(width: int, rank: int, alpha: float) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    shapes = {
        "double_blocks_0_img_attn_qkv": (3 * width, width),
        "double_blocks_1_txt_attn_proj": (width, width),
        "double_blocks_18_txt_mlp_2": (width, 4 * width),
        "double_blocks_2_img_mod_lin": (6 * width, width),
        "single_blocks_37_linear1": (7 * width, width),
        "single_blocks_0_linear2": (width, 5 * width),
    }
    tensors = {}
    for name, (out, into) in shapes.items():
        tensors[f"lora_unet_{name}.lora_down.weight"] = torch.randn(rank, into, generator=generator)
        tensors[f"lora_unet_{name}.lora_up.weight"] = torch.randn(out, rank, generator=generator)
        tensors[f"lora_unet_{name}.alpha"] = torch.tensor(alpha)
    return tensors


def test_kohya_file_agrees_with_diffusers_own_converter(tmp_path: Path) -> None:
    """At FLUX.1's own width, where diffusers' converter works, ours must give the same."""
    from diffusers.loaders.lora_conversion_utils import _convert_kohya_flux_lora_to_diffusers

    tensors = _kohya_tensors(3072, 2, alpha=1.0)
    save_file(tensors, tmp_path / "a.safetensors")
    convert: Any = _convert_kohya_flux_lora_to_diffusers
    theirs = convert(dict(tensors))
    file = read_lora(tmp_path / "a.safetensors")
    assert file.format == "kohya"
    assert {f"transformer.{layer.module}.lora_A.weight" for layer in file.layers} == {k for k in theirs if "_A." in k}
    generator = torch.Generator().manual_seed(0)
    for layer in file.layers:
        key = f"transformer.{layer.module}.lora_"
        probe = torch.randn(layer.down.shape[1], generator=generator)
        ours = layer.scale * (layer.up @ (layer.down @ probe))
        torch.testing.assert_close(ours, theirs[key + "B.weight"] @ (theirs[key + "A.weight"] @ probe))


def test_kohya_file_of_another_width_and_the_layers_that_diffusers_drops(tmp_path: Path) -> None:
    width = 32
    tensors = _kohya_tensors(width, 2, alpha=2.0)
    top = {
        "img_in": (width, 16),
        "final_layer_adaLN_modulation_1": (2 * width, width),
        "time_in_in_layer": (width, 8),
    }
    for name, (out, into) in top.items():
        tensors[f"lora_unet_{name}.lora_down.weight"] = torch.randn(2, into)
        tensors[f"lora_unet_{name}.lora_up.weight"] = torch.randn(out, 2)
    save_file(tensors, tmp_path / "a.safetensors")
    layers = {layer.module: layer for layer in read_lora(tmp_path / "a.safetensors").layers}
    single = "single_transformer_blocks.37"
    assert layers[f"{single}.attn.to_v"].up.shape == (width, 2)
    assert layers[f"{single}.proj_mlp"].up.shape == (4 * width, 2)
    linear1 = tensors["lora_unet_single_blocks_37_linear1.lora_up.weight"]
    parts = [layers[f"{single}.{leaf}"].up for leaf in ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")]
    assert torch.equal(torch.cat(parts), linear1)
    assert {"x_embedder", "norm_out.linear", "time_text_embed.timestep_embedder.linear_1"} <= layers.keys()
    shift, scale = tensors["lora_unet_final_layer_adaLN_modulation_1.lora_up.weight"].chunk(2)
    assert torch.equal(layers["norm_out.linear"].up, torch.cat([scale, shift]))


CLIP_LAYER = "encoder.layers.0.mlp.fc1"
CLIP_SPELLINGS = (
    "lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_{}",
    "text_encoder.text_model.encoder.layers.0.mlp.fc1.lora_linear_layer.{}",
    "text_encoders.clip_l.transformer.text_model.encoder.layers.0.mlp.fc1.lora_{}",
    "text_encoder.encoder.layers.0.mlp.fc1.{}",
)


@pytest.mark.parametrize("spelling", CLIP_SPELLINGS)
def test_text_encoder_layers_are_applied_too(tmp_path: Path, spelling: str) -> None:
    clip: Any = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=9, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
            bos_token_id=0, eos_token_id=1,
        )
    )  # fmt: skip
    transformer = tiny_transformer()
    tensors = _kohya_tensors(32, 2, alpha=2.0)
    down, up = torch.randn(2, 8), torch.randn(16, 2)
    tensors |= {f"{spelling.format('down')}.weight": down, f"{spelling.format('up')}.weight": up}
    save_file(tensors, tmp_path / "a.safetensors")
    layers = [x for x in read_lora(tmp_path / "a.safetensors").layers if x.module.startswith("text_encoder")]
    assert [x.module for x in layers] == [f"text_encoder.{CLIP_LAYER}"]
    words = torch.tensor([[0, 3, 4, 1]])
    plain = clip(words).pooler_output
    before = clip.get_submodule(CLIP_LAYER).weight.detach().clone()
    stack = LoraStack(Parts(transformer, {"text_encoder": clip}))
    stack.set([(tuple(layers), 1.0)])
    torch.testing.assert_close(clip.get_submodule(CLIP_LAYER).weight, before + up @ down)
    assert not torch.allclose(clip(words).pooler_output, plain)
    stack.clear()
    assert torch.equal(clip.get_submodule(CLIP_LAYER).weight, before)
    with pytest.raises(BadLora, match="lora_layer_not_here"):  # without its encoder it would be applied in part only
        check_fits(layers, Parts(transformer))


def test_text_encoder_layers_survive_being_written(tmp_path: Path) -> None:
    layers = [
        LoraLayer(f"text_encoder.{CLIP_LAYER}", torch.randn(2, 8), torch.randn(16, 2), 2.0),
        LoraLayer("text_encoder_2.encoder.block.0.layer.0.SelfAttention.q", torch.randn(3, 8), torch.randn(8, 3), 3.0),
        *make_layers(tiny_transformer(), 1, rank=2),
    ]
    write_lora(tmp_path / "a.safetensors", layers, TITLE)
    same_delta(tuple(layers), read_lora(tmp_path / "a.safetensors").layers)
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert f"text_encoder.text_model.{CLIP_LAYER}.lora_A.weight" in file.keys()  # noqa: SIM118
        adapter = json.loads(file.metadata()["lora_adapter_metadata"])
    assert adapter["text_encoder.target_modules"] == [CLIP_LAYER]
    assert adapter["text_encoder_2.rank_pattern"] == {"^encoder.block.0.layer.0.SelfAttention.q": 3}


def test_text_layers_that_no_encoder_of_flux_has_are_refused(tmp_path: Path) -> None:
    name = "lora_te2_text_model_encoder_layers_0_mlp_fc1"  # SDXL's second CLIP
    save_file({f"{name}.lora_down.weight": torch.ones(2, 8), f"{name}.lora_up.weight": torch.ones(8, 2)},
              tmp_path / "a.safetensors")  # fmt: skip
    with pytest.raises(BadLora, match="lora_unknown_layer"):
        read_lora(tmp_path / "a.safetensors")


def test_inspection_says_what_a_file_is(tmp_path: Path) -> None:
    metadata = LoraMetadata(title="Mira", trigger_phrase="mira, ohwx", license="CC0")
    sha256 = write_lora(tmp_path / "a.safetensors", make_layers(tiny_transformer(), 1, rank=4), metadata)
    report = inspect_lora(tmp_path / "a.safetensors")
    assert (report.format, report.ranks, report.alphas, report.width) == ("diffusers", (4,), (4.0,), 32)
    assert (report.trigger_words, report.licence, report.base_model) == (
        ("mira", "ohwx"),
        "CC0",
        "flux-1-width-32/lora",
    )
    assert report.layers == {"attention": 3, "embedding and output": 2, "feed-forward": 1, "projection": 1}
    assert report.sha256 == sha256
    assert report.autov2 == sha256[:10].upper()


def test_xlabs_file(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    down, up = torch.randn(2, 32, generator=generator), torch.randn(96, 2, generator=generator)
    name = "double_blocks.0.processor.qkv_lora2"
    save_file({f"{name}.down.weight": down, f"{name}.up.weight": up}, tmp_path / "a.safetensors")
    file = read_lora(tmp_path / "a.safetensors")
    assert file.format == "xlabs"
    names = [f"transformer_blocks.0.attn.add_{part}_proj" for part in "qkv"]
    assert [layer.module for layer in file.layers] == names
    assert torch.equal(torch.cat([layer.up for layer in file.layers]), up)


def test_metadata_is_what_other_tools_look_for(tmp_path: Path) -> None:
    metadata = LoraMetadata(
        title="Mira 米拉",
        trigger_phrase="mira",
        license="CC-BY-4.0",
        merged_from=(("a", 0.5), ("b", 0.25)),
        thumbnail_jpeg=b"\xff\xd8\xff",
        height=256,
        width=192,
        training={"learning_rate": "0.001"},
    )
    write_lora(tmp_path / "a.safetensors", make_layers(tiny_transformer(), 1, rank=4), metadata)
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        strings = file.metadata()
    assert strings["modelspec.sai_model_spec"] == "1.0.1"
    assert strings["modelspec.title"] == "Mira 米拉"
    assert strings["modelspec.trigger_phrase"] == "mira"
    assert strings["modelspec.merged_from"] == "a: 0.5, b: 0.25"
    assert strings["modelspec.resolution"] == "192x256"
    assert strings["modelspec.thumbnail"] == "data:image/jpeg;base64,/9j/"
    assert strings["modelspec.architecture"] == "flux-1-width-32/lora"
    assert strings["ss_network_dim"] == strings["ss_network_alpha"] == "4"
    assert strings["ss_learning_rate"] == "0.001"
    assert json.loads(strings["lora_adapter_metadata"])["transformer.lora_alpha"] == 4
    data = (tmp_path / "a.safetensors").read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    assert size % 8 == 0
    assert strings["modelspec.hash_sha256"] == "0x" + hashlib.sha256(data[8 + size :]).hexdigest()


def test_rslora_and_alpha_patterns_in_the_header(tmp_path: Path) -> None:
    tensors = plain_tensors(make_layers(tiny_transformer(), 1, rank=4), "transformer.{}", "lora_A", "lora_B")
    settings = {
        "transformer.r": 4,
        "transformer.lora_alpha": 6,
        "transformer.alpha_pattern": {"^proj_out": 1, "attn.to_q": 3},
        "transformer.use_rslora": True,
    }
    save_file(tensors, tmp_path / "a.safetensors", {"lora_adapter_metadata": json.dumps(settings)})
    scales = {layer.module: layer.scale for layer in read_lora(tmp_path / "a.safetensors").layers}
    assert scales["x_embedder"] == 6 / 2  # alpha / sqrt(rank)
    assert scales["transformer_blocks.0.attn.to_q"] == 3 / 2
    assert scales["proj_out"] == 1 / 2
    assert scales["single_transformer_blocks.0.proj_out"] == 6 / 2  # "^" pins the name's beginning


def test_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno
    import os

    path = tmp_path / "a.safetensors"
    layers = make_layers(tiny_transformer(), 1)
    write_lora(path, layers, TITLE)
    old = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutOfDisk):
        write_lora(path, make_layers(tiny_transformer(), 2), TITLE)
    assert path.read_bytes() == old
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.safetensors"]


def test_half_precision_is_read_exactly(tmp_path: Path) -> None:
    layers = make_layers(tiny_transformer(), 1)
    halves = {k: v.bfloat16() for k, v in plain_tensors(layers, "transformer.{}", "lora_A", "lora_B").items()}
    save_file(halves, tmp_path / "a.safetensors")
    file = read_lora(tmp_path / "a.safetensors")
    assert all(layer.down.dtype == torch.float32 for layer in file.layers)
    stored = load_file(tmp_path / "a.safetensors")
    for layer in file.layers:
        assert torch.equal(layer.down.bfloat16(), stored[f"transformer.{layer.module}.lora_A.weight"])
    assert norms(file.layers) == pytest.approx(norms(layers), rel=1e-2)
