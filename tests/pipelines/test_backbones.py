"""Backbones: what a folder says about itself, and how it is loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from pipelines.backbones import Backbone, encode_prompt, fast_dtype, load_backbone, resolve_backbone
from pipelines.errors import BadInput, ModelMissing
from tests.tiny import flux1


@pytest.fixture
def card(tiny_flux: Path, tmp_path: Path) -> Path:
    """The JSON files of a backbone, without weights and without studio.json, to be changed by a test."""
    folder = tmp_path / "some-flux"
    shutil.copytree(tiny_flux, folder, ignore=shutil.ignore_patterns("*.safetensors", "studio.json"))
    return folder


def test_studio_json_sets_the_defaults(tiny_flux: Path) -> None:
    spec = resolve_backbone(tiny_flux)
    assert (spec.height, spec.width, spec.num_inference_steps, spec.true_cfg_scale) == (96, 64, 3, 2.0)
    assert spec.companions["redux"] == tiny_flux.parent / "redux"
    assert spec.licence == "apache-2.0"


@pytest.mark.parametrize(
    ("guidance_embeds", "steps", "guidance", "length"), [(True, 28, 3.5, 512), (False, 4, 0.0, 256)]
)
def test_defaults_are_those_of_flux_dev_and_schnell(
    card: Path, guidance_embeds: bool, steps: int, guidance: float, length: int
) -> None:
    config = card / "transformer" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"guidance_embeds": guidance_embeds}))
    (card / "README.md").write_text(
        "---\nlicense: other\nlicense_name: flux-1-dev-non-commercial-license\n---\n# FLUX\nlicense: mit\n"
    )
    spec = resolve_backbone(card)
    assert (spec.num_inference_steps, spec.guidance_scale, spec.max_sequence_length) == (
        steps,
        guidance,
        length,
    )
    assert spec.licence == "flux-1-dev-non-commercial-license"
    assert not spec.companions


def test_unknown_licence_is_said(card: Path) -> None:
    spec = resolve_backbone(card)
    assert spec.licence == "unknown"
    assert spec.licence_note == ""


@pytest.mark.parametrize(
    "override", [{"heigth": 96}, {"height": "96"}, {"height": 0}, {"height": True}, {"guidance_scale": -1}]
)
def test_a_wrong_setting_is_refused(card: Path, override: dict[str, object]) -> None:
    (card / "studio.json").write_text(json.dumps(override))
    with pytest.raises(BadInput, match=next(iter(override))):
        resolve_backbone(card)


def test_folders_that_are_no_flux(card: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelMissing):
        resolve_backbone(tmp_path / "nowhere")
    (card / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    with pytest.raises(BadInput, match="StableDiffusionPipeline"):
        resolve_backbone(card)
    (card / "model_index.json").write_text("{")
    with pytest.raises(BadInput, match="json_unreadable"):
        resolve_backbone(card)


def test_missing_weights_are_a_clear_error(card: Path) -> None:
    with pytest.raises(ModelMissing, match="weights_missing"):
        load_backbone(resolve_backbone(card), "cpu")


@pytest.mark.parametrize(
    ("able", "dtype"),
    [
        ({"amx_bf16": True}, torch.bfloat16),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": False, "avx512_f": True}, torch.float32),
    ],
)
def test_bfloat16_only_where_the_processor_computes_in_it(
    able: dict[str, bool], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert fast_dtype(torch.device("cpu")) == dtype


def test_older_builds_of_torch_are_asked_in_their_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    assert fast_dtype(torch.device("cpu")) == torch.bfloat16
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert fast_dtype(torch.device("cpu")) == torch.float32


def test_prompts_are_encoded_as_the_pipeline_does_and_kept(tiny_backbone_float32: Backbone) -> None:
    backbone = tiny_backbone_float32
    embeds = encode_prompt(backbone, "a young woman, smiling")
    length = backbone.spec.max_sequence_length
    theirs, pooled, _ = flux1(backbone).pipeline.encode_prompt("a young woman, smiling", max_sequence_length=length)
    assert torch.equal(embeds.prompt_embeds, theirs)
    assert torch.equal(embeds.pooled, pooled)
    assert encode_prompt(backbone, "a young woman, smiling") is embeds
    other = encode_prompt(backbone, "a young man at night")
    assert (other.prompt_embeds - embeds.prompt_embeds).abs().mean() > 0.1
