"""What a merchant may name, and which model a folder or a file turns out to hold."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipelines.backbones import resolve_backbone
from pipelines.errors import BadInput, ModelMissing
from pipelines.families.flux1.detection import layout_of
from pipelines.families.flux1.facts import FLUX1
from pipelines.families.folders import read_part_headers
from pipelines.families.sources import find_source
from pipelines.models.sources import FETCHED
from studio.texts.errors import say_error
from studio.texts.texts import Texts
from tests.originals import original_tensors


def fetched(models: Path, folder: Path, hub_id: str) -> Path:
    place = models / hub_id
    shutil.copytree(folder, place)
    (place / FETCHED).write_text("{}")
    return place


def test_every_kind_of_source_is_found(tiny_flux: Path, tmp_path: Path) -> None:
    assert find_source("miniature").base.name == "flux"
    assert find_source(tiny_flux).kind == "folder"
    models = tmp_path / "models"
    place = fetched(models, tiny_flux, "black-forest-labs/FLUX.1-schnell")
    for name in ("black-forest-labs/FLUX.1-schnell", "FLUX.1-schnell", "flux1-schnell"):
        assert find_source(name, models=models).path == place.resolve()
    file = tmp_path / "some.safetensors"
    save_file(original_tensors(tiny_flux), file)
    assert find_source(file, tiny_flux).base == tiny_flux.resolve()
    assert find_source(file, models=models).base == place.resolve()
    assert find_source(file, "FLUX.1-schnell", models).base == place.resolve()


def test_a_file_takes_the_parts_of_a_fetched_backbone_of_its_family(tiny_flux: Path, tmp_path: Path) -> None:
    file, models = tmp_path / "some.safetensors", tmp_path / "models"
    save_file(original_tensors(tiny_flux), file)  # schnell's, by its shapes
    fetched(models, tiny_flux, "black-forest-labs/FLUX.2-klein-4B")
    with pytest.raises(ModelMissing, match="base_missing"):
        find_source(file, models=models)
    for name in ("FLUX.1-Krea-dev", "FLUX.1-dev", "FLUX.1-schnell"):  # any will do, the file's own model first
        fetched(models, tiny_flux, f"black-forest-labs/{name}")
        assert find_source(file, models=models).base.name == name


def test_a_file_beside_a_folders_parts_uses_them(tiny_flux: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_flux, tmp_path / "flux"))
    save_file(original_tensors(tiny_flux), folder / "flux1-dev.safetensors")
    spec = resolve_backbone(folder / "flux1-dev.safetensors")
    assert spec.folder == folder
    assert (spec.id, spec.height) == ("flux1-dev", 96)  # the folder's sizes, the file's name
    assert spec.licence == "flux-1-dev-non-commercial-license"  # and its licence, by its known name


def test_what_is_not_there_says_how_to_get_it(tiny_flux: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"model_not_fetched.*someone/some-flux") as missing:
        find_source("someone/some-flux", models=tmp_path)
    assert "persona-studio backbones fetch someone/some-flux" in say_error(missing.value, Texts("en"))[1]
    (tmp_path / "someone" / "some-flux").mkdir(parents=True)
    with pytest.raises(ModelMissing, match="model_fetched_in_part"):
        find_source("someone/some-flux", models=tmp_path)
    with pytest.raises(ModelMissing, match=r"model_unknown.*flucks"):
        find_source("flucks", models=tmp_path)
    file = tmp_path / "alone.safetensors"
    save_file(original_tensors(tiny_flux), file)
    with pytest.raises(ModelMissing, match=r"base_missing.*family=FLUX\.1") as missing:
        find_source(file, models=tmp_path)
    sentence, advice = say_error(missing.value, Texts("en"))
    assert "a FLUX.1 folder" in sentence
    assert "PERSONA_STUDIO_BASE" in advice
    assert "black-forest-labs/FLUX.1-schnell" in advice
    assert "FLUX.2" not in advice
    with pytest.raises(BadInput, match="base_is_file"):
        find_source(file, file.parent / "alone.safetensors", tmp_path)


def test_what_is_no_backbone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"model_is_companion.*role=redux"):
        find_source("FLUX.1-Redux-dev")
    with pytest.raises(BadInput, match=r"model_not_yet.*Qwen-Image-2512"):
        find_source("Qwen/Qwen-Image-2512")
    (tmp_path / "old.ckpt").touch()
    with pytest.raises(BadInput, match=r"model_is_pickle.*old\.ckpt"):
        find_source(tmp_path / "old.ckpt")


SD15 = ("model.diffusion_model.input_blocks.0.0.weight", "cond_stage_model.transformer.text_model.final.weight")
SDXL = ("model.diffusion_model.input_blocks.0.0.weight", "model.diffusion_model.label_emb.0.0.weight",
        "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight")  # fmt: skip


@pytest.mark.parametrize(
    ("names", "whose"),
    [
        (SD15, "Stable Diffusion 1.5 / 2"),
        (SDXL, "Stable Diffusion XL"),
        (("down_blocks.0.attentions.0.norm.weight", "add_embedding.linear_1.weight"), "Stable Diffusion XL"),
        (("model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight",), "Stable Diffusion 3"),
        (("double_blocks.0.img_attn.qkv.weight", "distilled_guidance_layer.in_proj.weight"), "Chroma"),
        (("lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight",), "file_is_lora"),
        (("transformer.transformer_blocks.0.attn.to_q.lora_A.weight",), "file_is_lora"),
        (("encoder.conv_in.weight", "decoder.conv_in.weight"), "file_is_vae"),
        (("encoder.block.0.layer.0.SelfAttention.q.weight", "shared.weight"), "file_is_text_encoder"),
        (("something.weight",), "file_of_no_family"),
    ],
)  # fmt: skip
def test_another_models_file_is_recognised_and_refused(
    tiny_flux: Path, tmp_path: Path, names: tuple[str, ...], whose: str
) -> None:
    file = tmp_path / "model.safetensors"
    save_file({name: torch.zeros(2, 2) for name in names}, file)
    with pytest.raises(BadInput, match=whose) as refused:
        resolve_backbone(file, tiny_flux)
    assert "FLUX.1-dev" in Texts("en").error(refused.value)


def test_flux_is_recognised_in_both_spellings(tiny_flux: Path) -> None:
    assert layout_of(original_tensors(tiny_flux)) == "black-forest-labs"
    names = [f"model.diffusion_model.{name}" for name in original_tensors(tiny_flux)]
    assert layout_of([*names, "vae.decoder.conv_in.weight", "text_encoders.t5xxl.shared.weight"]) == (
        "black-forest-labs"
    )
    (header,) = read_part_headers(find_source(tiny_flux), FLUX1)["transformer"]
    assert layout_of(header.shapes) == "diffusers"


@pytest.mark.parametrize(
    ("kind", "whose"),
    [
        ("StableDiffusionXLPipeline", "Stable Diffusion XL"),
        ("StableDiffusionPipeline", "1.5"),
        ("Flux3Pipeline", "FLUX.3"),
        ("FluxFillPipeline", r"folder_is_companion.*FLUX\.1-Fill"),
        ("FluxKontextPipeline", r"folder_is_companion.*FLUX\.1-Kontext"),
        ("FluxPriorReduxPipeline", r"folder_is_companion.*FLUX\.1-Redux"),
    ],
)
def test_another_models_folder_is_refused(tmp_path: Path, kind: str, whose: str) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": kind}))
    with pytest.raises(BadInput, match=whose):
        resolve_backbone(tmp_path)


@pytest.mark.parametrize("part", ["tokenizer_2", "scheduler", "text_encoder"])
def test_a_folder_with_a_part_missing_is_refused(tiny_flux: Path, tmp_path: Path, part: str) -> None:
    folder = Path(shutil.copytree(tiny_flux, tmp_path / "flux"))
    shutil.rmtree(folder / part)
    with pytest.raises(ModelMissing, match=rf"(tokenizer|model_config)_missing.*{part}"):
        read_part_headers(find_source(folder), FLUX1)
