"""Whose a file or a folder is: every listing of real files is of its family, or is refused by its family's name."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pipelines.backbones import load_backbone, resolve_backbone
from pipelines.errors import BadInput, BadLora
from pipelines.families.catalogue import (
    FAMILIES,
    check_can_be_loaded,
    check_lora_family,
    detect_file,
    detect_folder,
    family_name,
    find_family,
    is_loaded,
    judge_lora,
)
from pipelines.families.flux1.facts import Flux1
from pipelines.families.known_others import KNOWN_OTHERS
from pipelines.families.protocol import Shapes, Verdict
from pipelines.models.catalogue import MODELS
from pipelines.models.variants import Variant
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import request_from
from studio.texts.errors import say_error
from studio.texts.texts import LANGUAGES, Texts
from tests.data import FOLDER, need

LISTINGS = sorted((FOLDER / "lora_keys").rglob("*.json"))
FOLDERS = {"flux2": "flux2", "z_image": "z-image", "qwen_image": "qwen-image", "krea2": "krea2"}
AMBIGUOUS = "qwen_image_lora_diffusers_format"  # an excerpt: attention of two blocks, which FLUX.1 has, too


def shapes_of(path: Path) -> dict[str, tuple[int, ...]]:
    return {name: tuple(shape) for name, shape in json.loads(path.read_text()).items()}


def klein_attention(**metadata: str) -> tuple[Shapes, dict[str, str]]:
    """An attention-only LoRA of FLUX.2-klein-4B as ai-toolkit names it."""
    shapes: dict[str, tuple[int, ...]] = {}
    for block in range(5):
        for stream in ("img", "txt"):
            for leaf, out in (("qkv", 9216), ("proj", 3072)):
                name = f"diffusion_model.double_blocks.{block}.{stream}_attn.{leaf}"
                shapes |= {f"{name}.lora_A.weight": (16, 3072), f"{name}.lora_B.weight": (out, 16)}
    return shapes, metadata


def test_there_are_listings() -> None:
    need("lora_keys")
    assert {p.parent.name for p in LISTINGS} == {"lora_keys", *FOLDERS}


@pytest.mark.parametrize("path", [p for p in LISTINGS if p.parent.name == "lora_keys"], ids=lambda p: p.stem)
def test_a_listing_of_flux1_is_for_flux1(path: Path) -> None:
    verdict = judge_lora(shapes_of(path), {})
    if "lokr" in path.stem:  # its matrices have no sides that tell; nobody can tell whose it is
        assert verdict.fits == "ambiguous"
    else:
        assert (verdict.fits, verdict.family, verdict.width) == ("yes", "flux1", 3072)
        assert judge_lora(shapes_of(path), {}, width=256).fits == "other width"


@pytest.mark.parametrize("path", [p for p in LISTINGS if p.parent.name != "lora_keys"], ids=lambda p: p.stem)
def test_a_listing_is_of_its_family_or_refused_by_name(path: Path) -> None:
    verdict = judge_lora(shapes_of(path), {}, width=3072)
    expected = FOLDERS[path.parent.name]
    if is_loaded(expected):  # a person's word does not make it another's
        assert judge_lora(shapes_of(path), {}, "flux1").family in (expected, "flux1" if path.stem == AMBIGUOUS else "")
        alone = judge_lora(shapes_of(path), {}, expected)
        assert (alone.fits, alone.family) == ("yes", expected)
        assert verdict.fits in ("yes", "other width", "ambiguous")
        assert (verdict.fits == "other width") == (alone.width != 3072)
        return
    if path.stem == AMBIGUOUS:
        assert (verdict.fits, verdict.families) == ("ambiguous", ("flux1", "flux2", "qwen-image"))
        assert judge_lora(shapes_of(path), {}, expected).family == expected
    else:
        assert (verdict.fits, verdict.family) == ("other family", expected)
        # a person's word does not make it another's
        assert judge_lora(shapes_of(path), {}, "flux1").fits == "other family"
    with pytest.raises(BadLora) as refused:
        check_lora_family(path.name, verdict)
    for language in LANGUAGES:
        message, advice = say_error(refused.value, Texts(language))
        assert family_name(expected) in message
        assert advice


def test_metadata_decides_before_shapes() -> None:
    for version in ("flux2_klein_4b", "flux_2_klein_4b", "flux_2_dev", "flux2"):
        assert judge_lora(*klein_attention(ss_base_model_version=version)).family == "flux2"
    spec = {"modelspec.architecture": "Flux.2-klein-4b/lora"}
    assert judge_lora(klein_attention()[0], spec).family == "flux2"
    for said in (
        {"ss_base_model_version": "flux1"}, {"modelspec.architecture": "flux-1-dev/lora"},
        {"modelspec.architecture": "Flux.1-dev/lora"}, {"ss_network_module": "networks.lora_flux"},
    ):  # fmt: skip
        verdict = judge_lora(klein_attention()[0], said)
        assert (verdict.fits, verdict.family, verdict.width) == ("yes", "flux1", 3072)
    assert judge_lora(klein_attention()[0], {"ss_network_module": "networks.lora_flux_2"}).family == "flux2"
    for version in ("qwen_image", "sdxl_base_v1-0", "sd_v1", "krea2", "chroma"):
        assert judge_lora(*klein_attention(ss_base_model_version=version)).fits == "other family"


def test_what_only_shared_layers_cannot_tell_is_asked() -> None:
    verdict = judge_lora(*klein_attention())
    assert (verdict.fits, verdict.families, verdict.width) == ("ambiguous", ("flux1", "flux2"), 3072)
    assert judge_lora(*klein_attention(ss_base_model_version="custom")).fits == "ambiguous"
    assert judge_lora(*klein_attention(), "flux1").fits == "yes"
    assert judge_lora(*klein_attention(), "flux1", 256).fits == "other width"
    assert judge_lora(*klein_attention(), "flux2").family == "flux2"
    assert judge_lora(*klein_attention(), "sdxl").fits == "ambiguous"  # no answer to this question
    outside = {"final_layer.linear.lora_A.weight": (8, 3072), "final_layer.linear.lora_B.weight": (64, 8)}
    assert judge_lora(outside, {}).fits == "ambiguous"
    assert judge_lora({f"x.{n}.lora_A.weight": (1, 1) for n in range(20_001)}, {}).fits == "unknown"


@pytest.mark.parametrize(
    ("layer", "down", "up", "family"),
    [
        ("double_blocks.5.img_attn.qkv", 3072, 9216, "flux1"),  # klein-4B has five double blocks
        ("double_blocks.0.img_attn.qkv", 4096, 12288, "flux2"),  # no FLUX.1 is 4096 wide
        ("double_blocks.0.img_mlp.0", 3072, 12288, "flux1"),
        ("double_blocks.0.img_mlp.0", 3072, 18432, "flux2"),
        ("double_blocks.0.txt_mlp.2", 12288, 3072, "flux1"),
        ("double_blocks.0.txt_mlp.2", 9216, 3072, "flux2"),
        ("single_blocks.0.linear1", 3072, 21504, "flux1"),
        ("single_blocks.0.linear1", 3072, 27648, "flux2"),
        ("single_blocks.0.linear2", 15360, 3072, "flux1"),
        ("single_blocks.0.linear2", 12288, 3072, "flux2"),
        ("txt_in", 4096, 3072, "flux1"),
        ("txt_in", 7680, 3072, "flux2"),
        ("double_blocks.0.img_mod.lin", 3072, 18432, "flux1"),
        ("double_stream_modulation_img.lin", 3072, 18432, "flux2"),
        ("transformer_blocks.0.ff.linear_in", 3072, 18432, "flux2"),
        ("single_transformer_blocks.3.attn.to_q", 3072, 3072, "flux1"),
        ("transformer_blocks.40.attn.to_q", 3072, 3072, "qwen-image"),
        ("transformer_blocks.20.attn.to_q", 1536, 1536, "sd3"),
    ],
)
def test_one_layer_tells_the_family(layer: str, down: int, up: int, family: str) -> None:
    shapes = {f"{layer}.lora_A.weight": (8, down), f"{layer}.lora_B.weight": (up, 8)}
    assert judge_lora(shapes, {}).family == family


def test_a_file_that_is_no_transformer_is_refused_in_each_language() -> None:
    with pytest.raises(BadInput, match="file_is_vae") as refused:
        detect_file(shapes_of(need("model_keys/flux2_vae_bfl_keys.json")), "a.safetensors")
    for language in LANGUAGES:
        message, advice = say_error(refused.value, Texts(language))
        assert "VAE" in message
        assert ("only" in message) == (language == "en")
        assert "FLUX.1" in advice


def test_a_folder_is_detected_or_refused_by_name() -> None:
    family, variant = detect_folder(Path("x"), {"_class_name": "FluxPipeline"}, {"guidance_embeds": True})
    assert (family.id, variant.id, variant.can.distilled_guidance) == ("flux1", "FLUX.1-dev", True)
    _, variant = detect_folder(Path("x"), {"_class_name": "FluxPipeline"}, {})
    assert (variant.id, variant.distilled, variant.num_inference_steps) == ("FLUX.1-schnell", True, 4)
    for kind, whose in (("Flux3Pipeline", "FLUX.3"), ("ZImageOmniPipeline", "Z-Image"),
                        ("QwenImageEditPlusPipeline", "Qwen-Image"), ("ChromaPipeline", "Chroma"),
                        ("SomethingElse", "SomethingElse")):  # fmt: skip
        with pytest.raises(BadInput) as refused:
            detect_folder(Path("x"), {"_class_name": kind}, {})
        assert whose in say_error(refused.value, Texts("en"))[0]


def test_every_family_says_all_that_is_asked_of_it() -> None:
    loaded, others = [family.id for family in FAMILIES], [other.id for other in KNOWN_OTHERS]
    assert len(set(loaded)) == len(loaded)
    assert len(set(others)) == len(others)
    assert {model.family for model in MODELS.values()} <= {*loaded, *others}
    for family in FAMILIES:
        assert find_family(family.id) is family
        assert family.parts[0].name == "transformer"
        assert family.parts[0].is_quantised
        assert {c.model for c in family.companions} <= {"", *MODELS}
        assert any(part.is_text_encoder for part in family.parts)
        assert {model.role for model in MODELS.values() if model.family == family.id} >= {"backbone"}
    # Chinese sentences say them, too
    called = [other.name for other in KNOWN_OTHERS] + [each.name for f in FAMILIES for each in f.companions]
    assert not [name for name in called if re.search(r"(?i)\b(an?|or|and|only|which|that|model|companion)\b", name)]
    with pytest.raises(BadInput) as refused:
        find_family("krea2")
    assert "Krea 2" in Texts("zh").error(refused.value)


@dataclass(frozen=True)
class Dummy(Flux1):
    """A family that takes all that FLUX.1 leaves to others."""

    id: str = "dummy"
    name: str = "Dummy"

    def detect_folder(self, index: Mapping[str, Any], transformer: Mapping[str, Any]) -> Variant | None:
        return Variant(id="Dummy-1", family=self.id, licence="mit") if index["_class_name"] == "DummyPipe" else None

    def detect_file(self, shapes: Shapes) -> Variant | None:
        return Variant(id="Dummy-1", family=self.id, licence="mit") if "dummy.weight" in shapes else None

    def lora_fits(self, shapes: Shapes, metadata: Mapping[str, str], width: int = 0) -> Verdict:
        return Verdict("yes", "dummy", 8) if "dummy.lora_A.weight" in shapes else Verdict("unknown")


@pytest.fixture
def dummy_folder(tiny_flux: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(tiny_flux, tmp_path / "dummy"))
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"_class_name": "DummyPipe"}))
    (folder / "studio.json").unlink()
    return folder


def test_a_new_family_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked, and named in refusals."""
    monkeypatch.setattr("pipelines.families.catalogue.FAMILIES", (*FAMILIES, Dummy()))
    family, variant = detect_folder(Path("x"), {"_class_name": "DummyPipe"}, {})
    assert (family.name, variant.id, find_family("dummy").name) == ("Dummy", "Dummy-1", "Dummy")
    assert judge_lora({"dummy.lora_A.weight": (2, 8)}, {}).family == "dummy"
    assert judge_lora(*klein_attention(), "flux1").family == "flux1"
    with pytest.raises(BadLora) as refused:
        check_lora_family("a", judge_lora(*klein_attention(ss_base_model_version="krea2")))
    assert refused.value.fields["known"] == [*(family.name for family in FAMILIES), "Dummy"]


def test_a_new_familys_folder_is_loaded_and_draws(dummy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="folder_of_other_family"):
        resolve_backbone(dummy_folder)
    monkeypatch.setattr("pipelines.families.catalogue.FAMILIES", (*FAMILIES, Dummy()))
    spec = resolve_backbone(dummy_folder)
    backbone = load_backbone(spec, "cpu", torch.float32)
    assert (spec.family, backbone.model.family) == ("dummy", "dummy")
    (picture,) = draw_batch(backbone, [request_from(spec, "a woman", 1, height=96, width=64, num_inference_steps=2)])
    assert picture.std() > 1


def test_a_file_takes_its_other_parts_from_its_own_family(
    dummy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.families.catalogue.FAMILIES", (*FAMILIES, Dummy()))
    file = tmp_path / "some.safetensors"
    save_file({"double_blocks.0.img_attn.qkv.weight": torch.zeros(2, 2)}, file)
    with pytest.raises(BadInput, match="base_of_other_family") as refused:
        resolve_backbone(file, dummy_folder)
    assert say_error(refused.value, Texts("en")) == (
        "some.safetensors is of FLUX.1, and the other parts in dummy are those of Dummy.",
        "Name a FLUX.1 folder in PERSONA_STUDIO_BASE.",
    )


def test_a_known_other_that_is_loaded_is_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = {"dummy.weight": (2, 2), "transformer_blocks.0.img_mod.1.weight": (2, 2)}
    with pytest.raises(BadInput, match=r"model_not_yet.*Qwen-Image.*FLUX\.1-dev"):
        check_can_be_loaded("Qwen-Image")
    with pytest.raises(BadInput, match=r"file_of_other_family.*Qwen-Image"):
        detect_file(marks, "a")
    monkeypatch.setattr("pipelines.families.catalogue.FAMILIES", (*FAMILIES, Dummy("qwen-image", "Qwen-Image")))
    check_can_be_loaded("Qwen-Image")
    assert detect_file(marks, "a")[0].id == "qwen-image"
    said = judge_lora({"dummy.lora_A.weight": (2, 8)}, {"ss_base_model_version": "qwen_image"})
    assert said.fits == "yes"


def test_facts_do_not_import_torch() -> None:
    code = "import sys, pipelines.families.catalogue; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
