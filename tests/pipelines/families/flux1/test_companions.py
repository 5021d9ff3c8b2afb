"""Companions: found beside the backbone, checked before they are loaded, sharing all but the transformer."""

from __future__ import annotations

import json
import shutil
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.flux.pipeline_flux import calculate_shift

from pipelines.backbones import Backbone, encode_prompt, load_backbone, resolve_backbone
from pipelines.errors import BadInput, BadLora, ModelMissing, NotEnoughMemory
from pipelines.families.companions import drawing_spec
from pipelines.families.flux1.model import Flux1Model
from pipelines.lora import Lora
from pipelines.models.hardware import Hardware
from pipelines.references.fill import FillReference
from pipelines.references.landmark import Landmark
from pipelines.references.native import NativeReferences
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import request_from
from tests.loras import make_layers
from tests.tiny import assert_same_picture, flux1, write_companion


def test_they_are_found_and_drawn_with_their_own_defaults(tiny_family: Path, tiny_flux: Path) -> None:
    spec = resolve_backbone(tiny_family)
    fill, kontext = drawing_spec(spec, "fill"), drawing_spec(spec, "kontext")
    assert (fill.id, fill.guidance_scale, fill.num_inference_steps) == ("FLUX.1-Fill-dev", 30.0, 50)
    assert (kontext.id, kontext.guidance_scale, kontext.true_cfg_scale) == ("FLUX.1-Kontext-dev", 2.5, 1.0)
    assert fill.licence == "flux-1-dev-non-commercial-license"
    assert drawing_spec(spec, "") is spec
    with pytest.raises(ModelMissing, match=r"companion_missing.*FLUX\.1-Fill-dev.*PERSONA_STUDIO_FILL_FOLDER"):
        drawing_spec(resolve_backbone(tiny_flux), "fill")
    with pytest.raises(ModelMissing, match="companion_folder_empty"):
        drawing_spec(replace(spec, companions={"kontext": tiny_family / "vae"}), "kontext")


def test_the_miniature_has_none_and_says_so() -> None:
    for role in ("fill", "kontext"):
        with pytest.raises(ModelMissing, match=r"companion_missing.*miniature"):
            drawing_spec(resolve_backbone("miniature"), role)


def test_studio_json_names_the_folder_and_the_card_the_licence(tiny_family: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_family, tmp_path / "flux")
    write_companion(tmp_path / "other", "fill")
    (tmp_path / "other" / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    settings = json.loads((tmp_path / "flux" / "studio.json").read_text()) | {"fill_folder": "../other"}
    (tmp_path / "flux" / "studio.json").write_text(json.dumps(settings))
    spec = drawing_spec(resolve_backbone(tmp_path / "flux"), "fill")
    assert (spec.folder, spec.licence) == (tmp_path / "other", "apache-2.0")


def test_a_model_of_other_channels_is_refused(tiny_family_backbone: Backbone, tmp_path: Path) -> None:
    spec = tiny_family_backbone.spec
    with pytest.raises(BadInput, match=r"companion_does_not_fit.*in_channels, has=32, wanted=1088"):
        drawing_spec(replace(spec, companions={"fill": spec.companions["kontext"]}), "fill")
    with pytest.raises(BadInput, match=r"companion_does_not_fit.*in_channels, has=1088, wanted=32"):
        drawing_spec(replace(spec, companions={"kontext": spec.companions["fill"]}), "kontext")
    odd = write_companion(tmp_path, "fill", in_channels=384)
    with pytest.raises(BadInput, match=r"companion_does_not_fit.*in_channels, has=384"):
        drawing_spec(replace(spec, companions={"fill": odd}), "fill")
    config = json.loads((odd / "transformer" / "config.json").read_text())
    config |= {"in_channels": 1088, "joint_attention_dim": 4096}
    (odd / "transformer" / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadInput, match=r"companion_does_not_fit.*joint_attention_dim, has=4096, wanted=32"):
        drawing_spec(replace(spec, companions={"fill": odd}), "fill")


def test_one_is_kept_and_shares_all_but_the_transformer(tiny_family: Path) -> None:
    backbone = load_backbone(resolve_backbone(tiny_family), "cpu", torch.float32)
    assert backbone.drawn_by("") is backbone
    fill = backbone.drawn_by("fill")
    assert backbone.drawn_by("fill") is fill
    assert flux1(fill).latent_channels == flux1(backbone).latent_channels == 8
    assert fill.prompts is backbone.prompts
    backbone.drawn_by("kontext")
    assert list(backbone.companions) == ["kontext"]
    with pytest.raises(NotEnoughMemory, match=r"no_memory_for_model.*\+ FLUX\.1-Fill-dev"):
        backbone.drawn_by("fill", Hardware("cuda", 1e6, 1e6))


def test_the_one_before_is_let_go_before_the_next_is_loaded(tiny_family: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never are both in memory; one that cannot be loaded anyway costs nobody the one that is."""
    backbone = load_backbone(resolve_backbone(tiny_family), "cpu", torch.float32)
    before = weakref.ref(backbone.drawn_by("fill").transformer)
    held = []
    load = Flux1Model.load_companion

    def watched(self: Flux1Model, *args: Any) -> Any:
        held.append(before())
        return load(self, *args)

    monkeypatch.setattr(Flux1Model, "load_companion", watched)
    lacking = replace(backbone, spec=replace(backbone.spec, companions={}))
    with pytest.raises(ModelMissing, match="companion_missing"):
        lacking.drawn_by("kontext")
    assert list(backbone.companions) == ["fill"]
    backbone.drawn_by("kontext")
    assert held == [None]


@pytest.mark.parametrize("role", ["fill", "kontext"])
@pytest.mark.parametrize("own", [None, False, True])
def test_it_draws_by_its_own_schedule(tiny_family: Path, tmp_path: Path, role: str, own: bool | None) -> None:
    """Not by the backbone's, whose shift is constant, as FLUX.1-schnell's: `own` is what the companion's folder says,
    None nothing, which stands for the published one, by the number of tokens."""
    folder = write_companion(tmp_path / role, role)
    theirs = FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=own is not False)
    if own is not None:
        theirs.save_pretrained(folder / "scheduler")
    spec = resolve_backbone(tiny_family)
    backbone = load_backbone(replace(spec, companions={role: folder}), "cpu", torch.float32)
    found = backbone.drawn_by(role).model
    mu = calculate_shift(3072)
    theirs.set_timesteps(sigmas=np.linspace(1.0, 1 / 28, 28), mu=mu)
    assert torch.equal(found.sigmas(3072, 28), theirs.sigmas)
    assert not torch.allclose(found.sigmas(3072, 28), backbone.model.sigmas(3072, 28), atol=1e-2)


@pytest.mark.parametrize("role", ["fill", "kontext"])
def test_it_reads_as_much_text_as_it_was_trained_with(tiny_family: Path, tmp_path: Path, role: str) -> None:
    """FLUX.1-schnell reads 256 tokens, these 512, and padding is read, too; a folder's own number is its encoders'."""
    folder = Path(shutil.copytree(tiny_family, tmp_path / "flux"))
    write_companion(folder / role, role)
    own = resolve_backbone(folder).max_sequence_length
    assert drawing_spec(resolve_backbone(folder), role).max_sequence_length == own
    file = folder / "studio.json"
    file.write_text(json.dumps({k: v for k, v in json.loads(file.read_text()).items() if k != "max_sequence_length"}))
    backbone = load_backbone(resolve_backbone(folder), "cpu", torch.float32)
    companion = backbone.drawn_by(role)
    for _ in range(2):
        lengths = [encode_prompt(one, "a woman").prompt_embeds.shape[1] for one in (backbone, companion)]
        assert lengths == [256, 512]


def test_a_lora_is_put_on_the_companion(tiny_family_backbone: Backbone) -> None:
    backbone = tiny_family_backbone
    picture = np.random.default_rng(0).integers(0, 256, (96, 64, 3), dtype=np.uint8)
    spec = drawing_spec(backbone.spec, "kontext")
    request = request_from(spec, "a woman", 1, references=(NativeReferences.show(picture, 1.0),), num_inference_steps=3)
    kontext = backbone.drawn_by("kontext")
    plain = draw_batch(backbone, [request])[0]
    layers = make_layers(kontext.transformer, 3, modules=("transformer_blocks.0.attn.to_q",))
    changed = draw_batch(backbone, [replace(request, loras=(Lora(layers, 3.0),))])[0]
    assert not kontext.lora_stack.changed
    assert np.abs(plain.astype(int) - changed).mean() > 0.1
    assert np.array_equal(plain, draw_batch(backbone, [request])[0])


def test_a_lora_of_a_layer_that_differs_is_refused(tiny_family_backbone: Backbone) -> None:
    layers = make_layers(tiny_family_backbone.transformer, 3, modules=("x_embedder",))
    mark = Landmark(np.zeros((96, 64, 3), np.uint8), np.eye(96, 64, dtype=np.bool_))
    request = request_from(
        tiny_family_backbone.spec, "a woman", 1, references=(FillReference(mark),), loras=(Lora(layers),)
    )
    with pytest.raises(BadLora, match="lora_does_not_fit_companion") as error:
        draw_batch(tiny_family_backbone, [request])
    assert error.value.fields["cause"].fields["layer"] == "x_embedder"


def test_parts_that_wait_in_memory_draw_the_same(tiny_family: Path, tiny_family_backbone: Backbone) -> None:
    mask = np.zeros((96, 64), np.bool_)
    mask[5:70, 3:30] = True
    picture = np.random.default_rng(0).integers(0, 256, (96, 64, 3), dtype=np.uint8)
    plain = request_from(tiny_family_backbone.spec, "a woman", 1)
    mark = Landmark(picture, mask)
    inpainted = replace(plain, references=(mark,))
    in_context = replace(plain, references=(mark, NativeReferences.show(picture, 1.0)))
    asked = [plain, inpainted, in_context, inpainted, replace(plain, references=(FillReference(mark),)), plain]
    expected = [draw_batch(tiny_family_backbone, [request])[0] for request in asked]
    backbone = load_backbone(resolve_backbone(tiny_family), "cpu", torch.float32)
    kontext = tiny_family_backbone.drawn_by("kontext").transformer
    size = sum(p.numel() * p.element_size() for p in kontext.parameters())
    # room for the work and half of the companion beside what the backbone holds
    backbone.drawn_by("kontext", Hardware("cuda", 0.5e9 + 2560 * 96 * 64 + size / 2, 1e12))
    assert flux1(backbone).pipeline._all_hooks
    for request, picture in zip(asked, expected, strict=True):
        assert_same_picture(draw_batch(backbone, [request])[0], picture)
