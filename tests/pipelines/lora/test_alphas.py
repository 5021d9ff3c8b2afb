"""Alphas that a file's settings state are those that peft would take, for the same names."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from peft import LoHaConfig, LoKrConfig, LoraConfig, get_peft_model
from peft.utils.other import get_pattern_key

from pipelines.errors import BadLora
from pipelines.lora import delta, read_lora
from studio.texts.errors import say_error
from studio.texts.texts import LANGUAGES, Texts
from tests.loras import MODULES, make_layers, plain_tensors, tiny_transformer

QKV, OUT = "double_blocks.0.img_attn.qkv", "double_blocks.0.img_attn.proj"
IN, LAST = "double_blocks.0.img_mlp.0", "single_blocks.0.linear2"
SHAPES = {QKV: (96, 32), OUT: (32, 32), IN: (128, 32), LAST: (32, 160)}


def pair(out: int, width: int, rank: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(out + width)
    return torch.randn(rank, width, generator=generator), torch.randn(out, rank, generator=generator)


def write_peft(folder: Path, settings: dict[str, Any]) -> Path:
    """What peft writes of a transformer that has black-forest-labs' names."""
    tensors: dict[str, Tensor] = {}
    for name, (out, width) in SHAPES.items():
        down, up = pair(out, width)
        tensors |= {f"base_model.model.{name}.lora_A.weight": down, f"base_model.model.{name}.lora_B.weight": up}
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": 4, "lora_alpha": 4} | settings))
    return folder / "adapter_model.safetensors"


def write_diffusers(path: Path, settings: dict[str, Any]) -> Path:
    tensors = plain_tensors(make_layers(tiny_transformer(), 1, rank=4), "transformer.{}", "lora_A", "lora_B")
    named = {f"transformer.{name}": value for name, value in settings.items()}
    save_file(tensors, path, {"lora_adapter_metadata": json.dumps(named)})
    return path


@pytest.mark.parametrize(
    "patterns",
    [
        {r"attn\.to_(k|v|q)": 32},
        {"to_q": 3, r".*\.attn\.to_q": 5},
        {r"(single_)?transformer_blocks\.\d+\.proj_out": 7, "proj_out": 9},
        {r"^proj_out": 2, r".*to_k": 6},
        {"x_embedder": 0.5},
    ],
)
def test_patterns_are_read_as_peft_reads_them(tmp_path: Path, patterns: dict[str, float]) -> None:
    file = read_lora(write_diffusers(tmp_path / "a.safetensors", {"lora_alpha": 6, "alpha_pattern": patterns}))
    expected = {name: patterns.get(get_pattern_key(list(patterns), name), 6) for name in MODULES}
    assert set(expected.values()) > {6}
    assert {layer.module: layer.alpha for layer in file.layers} == expected


def test_patterns_are_of_the_files_own_names(tmp_path: Path) -> None:
    """`proj` is the end of img_attn.proj, and, by diffusers' names, of img_mlp.0: peft knows the file's alone."""
    path = write_peft(tmp_path, {"alpha_pattern": {QKV: 16, "linear2": 32, "proj": 8}})
    alphas = {layer.module: layer.alpha for layer in read_lora(path).layers}
    assert {alphas[f"transformer_blocks.0.attn.to_{x}"] for x in "qkv"} == {16}
    assert alphas["single_transformer_blocks.0.proj_out"] == 32
    assert alphas["transformer_blocks.0.attn.to_out.0"] == 8
    assert alphas["transformer_blocks.0.ff.net.0.proj"] == 4


def test_patterns_in_diffusers_names_are_understood_beside_other_names(tmp_path: Path) -> None:
    path = write_peft(tmp_path, {"alpha_pattern": {r"^transformer_blocks\.0\.attn\.to_q$": 16}})
    alphas = {layer.module: layer.alpha for layer in read_lora(path).layers}
    assert [alphas[f"transformer_blocks.0.attn.to_{x}"] for x in "qkv"] == [16, 4, 4]


@pytest.mark.parametrize("level", ["", "text_model."])
def test_text_encoders_have_their_own(tmp_path: Path, level: str) -> None:
    tensors = plain_tensors(make_layers(tiny_transformer(), 1, rank=4), "transformer.{}", "lora_A", "lora_B")
    for name in ("q_proj", "k_proj"):
        down, up = pair(24, 24)
        key = f"text_encoder.text_model.encoder.layers.0.self_attn.{name}"
        tensors |= {f"{key}.lora_A.weight": down, f"{key}.lora_B.weight": up}
    settings = {
        "transformer.lora_alpha": 2,
        "text_encoder.lora_alpha": 8,
        "text_encoder.alpha_pattern": {f"^{level}encoder.layers.0.self_attn.q_proj": 1},
    }
    save_file(tensors, tmp_path / "a.safetensors", {"lora_adapter_metadata": json.dumps(settings)})
    alphas = {layer.module: layer.alpha for layer in read_lora(tmp_path / "a.safetensors").layers}
    assert alphas["text_encoder.encoder.layers.0.self_attn.q_proj"] == 1
    assert alphas["text_encoder.encoder.layers.0.self_attn.k_proj"] == 8
    assert alphas[MODULES[0]] == 2


def test_a_pattern_of_no_layer_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(BadLora, match="lora_pattern_of_no_layer") as refused:
        read_lora(write_peft(tmp_path, {"alpha_pattern": {"linear2": 8, "img_attn.qvk": 16}}))
    for language in LANGUAGES:
        assert "img_attn.qvk" in say_error(refused.value, Texts(language))[0]


@pytest.mark.parametrize("patterns", [{"(": 1}, {"linear2": "much"}, ["linear2"], {"linear2": 10**400}])
def test_patterns_that_are_none_are_damaged_settings(tmp_path: Path, patterns: object) -> None:
    with pytest.raises(BadLora, match="lora_metadata_damaged"):
        read_lora(write_peft(tmp_path, {"alpha_pattern": patterns}))


def test_a_pattern_made_to_take_years_is_given_up(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(BadLora):
        read_lora(write_peft(tmp_path, {"alpha_pattern": {r"((\w|\.|[a-z0-9_])*)*(.*.*.*.*.*.*.*)*x\d": 1}}))
    assert time.monotonic() - began < 30


def test_the_alphas_of_tensors_come_first(tmp_path: Path) -> None:
    path = write_peft(tmp_path, {"alpha_pattern": {"nowhere": 16}})
    alphas = {f"{name}.alpha": torch.tensor(2.0) for name in SHAPES}
    save_file(load_file(path) | alphas, path)
    assert {layer.alpha for layer in read_lora(path).layers} == {2.0}


class _Originals(nn.Module):
    """A few layers by black-forest-labs' names."""

    def __init__(self) -> None:
        super().__init__()
        for name, (out, width) in SHAPES.items():
            place: nn.Module = self
            for step in name.split(".")[:-1]:
                if not hasattr(place, step):
                    place.add_module(step, nn.Module())
                place = getattr(place, step)
            place.add_module(name.split(".")[-1], nn.Linear(width, out, bias=False))


@pytest.mark.parametrize(
    "config",
    [
        LoraConfig(r=4, lora_alpha=6, alpha_pattern={"img_attn.(qkv|proj)": 16}, rank_pattern={"linear2": 2}),
        LoHaConfig(r=3, alpha=12, alpha_pattern={"proj": 5}, rank_pattern={"linear2": 2}),
        LoKrConfig(r=2, alpha=7, alpha_pattern={"linear2": 3}, decompose_both=True),
        LoKrConfig(r=16, alpha=8, decompose_factor=4, rank_pattern={"linear2": 40}),  # whole matrices, where r is large
    ],
    ids=["lora", "loha", "lokr", "whole lokr"],
)
def test_what_peft_saves_changes_what_peft_changes(tmp_path: Path, config: Any) -> None:
    module = _Originals()
    config.target_modules = list(SHAPES)
    model: Any = get_peft_model(module, config)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn(parameter.shape, generator=generator)
    model.save_pretrained(tmp_path)
    before = {name: module.get_submodule(name).base_layer.weight.detach().clone() for name in SHAPES}  # type: ignore[union-attr, operator]
    model.merge_and_unload()
    after = delta([read_lora(tmp_path / "adapter_model.safetensors").layers], [1.0])
    for name, ours in (
        (QKV, torch.cat([after[f"transformer_blocks.0.attn.to_{x}"] for x in "qkv"])),
        (OUT, after["transformer_blocks.0.attn.to_out.0"]),
        (IN, after["transformer_blocks.0.ff.net.0.proj"]),
        (LAST, after["single_transformer_blocks.0.proj_out"]),
    ):
        weight: Any = module.get_submodule(name).weight
        torch.testing.assert_close(ours, weight.detach() - before[name], rtol=1e-4, atol=1e-4)
