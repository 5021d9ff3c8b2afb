"""Whose a LoRA file is, and whether it goes onto this backbone: FLUX.1, FLUX.2 in three widths, Z-Image; both ways."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.lora_formats import make_tensors
from pipelines.errors import BadLora
from pipelines.families.catalogue import judge_lora
from pipelines.families.protocol import Shapes
from pipelines.lora import LoraLayer, LoraMetadata, check_fits, inspect_lora, read_lora, write_lora
from studio.texts.errors import say_error
from studio.texts.texts import LANGUAGES, Texts
from tests.data import need
from tests.lora_spellings import FLUX2_SPELLINGS, Z_IMAGE_SPELLINGS, flux2_transformer, z_image_transformer
from tests.loras import Parts, make_layers, tiny_transformer
from tests.pipelines.families.test_catalogue import LISTINGS, klein_attention, shapes_of

KLEIN_4B, KLEIN_9B, DEV = (3072, 5, 20), (4096, 8, 24), (6144, 8, 48)
FLUX1_DEV = (3072, 19, 38)


def listing(size: tuple[int, int, int], leaves: dict[str, tuple[float, float]], text: int = 0) -> Shapes:
    """A file in black-forest-labs' names: these leaves of every block; their sides (outputs, inputs) in widths."""
    width, double, single = size
    shapes: dict[str, tuple[int, ...]] = {}
    for blocks, count in (("double_blocks", double), ("single_blocks", single)):
        for index in range(count):
            for leaf, (out, into) in leaves.items():
                if ("linear" in leaf) == (blocks == "single_blocks"):
                    name = f"diffusion_model.{blocks}.{index}.{leaf}"
                    shapes[f"{name}.lora_A.weight"] = (16, int(into * width))
                    shapes[f"{name}.lora_B.weight"] = (int(out * width), 16)
    if text:
        shapes |= {
            "diffusion_model.txt_in.lora_A.weight": (16, text),
            "diffusion_model.txt_in.lora_B.weight": (width, 16),
        }
    return shapes


ATTENTION = {"img_attn.qkv": (3.0, 1.0), "img_attn.proj": (1.0, 1.0), "txt_attn.qkv": (3.0, 1.0)}
SINGLE_1, SINGLE_2 = {"linear1": (7.0, 1.0), "linear2": (1.0, 5.0)}, {"linear1": (9.0, 1.0), "linear2": (1.0, 4.0)}


@pytest.mark.parametrize(
    ("shapes", "family", "width"),
    [
        (listing(KLEIN_4B, SINGLE_2), "flux2", 3072),
        (listing(KLEIN_4B, {"linear2": (1.0, 4.0)}), "flux2", 0),
        (listing(KLEIN_4B, ATTENTION | SINGLE_2), "flux2", 3072),
        (listing(KLEIN_4B, ATTENTION | {"img_mlp.0": (6.0, 1.0)}), "flux2", 3072),
        (listing(KLEIN_4B, ATTENTION | {"txt_mlp.2": (1.0, 3.0)}), "flux2", 3072),
        (listing(KLEIN_4B, ATTENTION, text=7680), "flux2", 3072),
        (listing(KLEIN_9B, ATTENTION), "flux2", 4096),
        (listing(DEV, ATTENTION), "flux2", 6144),
        (listing(DEV, SINGLE_2), "flux2", 6144),
        (listing((3072, 1, 1), {"linear1": (9.0, 1.0)}), "flux2", 3072),
        (listing(FLUX1_DEV, ATTENTION), "flux1", 3072),
        (listing(FLUX1_DEV, SINGLE_1), "flux1", 3072),
        (listing((3072, 1, 1), {"linear1": (7.0, 1.0)}), "flux1", 3072),
        (listing((3072, 5, 20), ATTENTION | SINGLE_1), "flux1", 3072),
        (listing((3072, 5, 0), ATTENTION, text=4096), "flux1", 3072),
    ],
)
def test_a_file_without_words_is_told_by_its_shapes(shapes: Shapes, family: str, width: int) -> None:
    verdict = judge_lora(shapes, {})
    assert (verdict.fits, verdict.family, verdict.width) == ("yes", family, width)
    # nobody's word makes it another's, nor does its own
    for word in ("flux1", "flux2", "z-image", "qwen-image"):
        assert judge_lora(shapes, {}, word).family == family
    for version in ("flux1", "flux2_klein_4b", "zimage"):
        assert judge_lora(shapes, {"ss_base_model_version": version}).family == family
    assert judge_lora(shapes, {}, width=512).fits == ("other width" if width else "yes")


@pytest.mark.parametrize("double", range(1, 6))
def test_attention_that_all_have_is_asked_for(double: int) -> None:
    shapes = listing((3072, double, 0), ATTENTION)
    verdict = judge_lora(shapes, {})
    assert (verdict.fits, verdict.families, verdict.width) == ("ambiguous", ("flux1", "flux2"), 3072)
    for said, family in (("flux2_klein_4b", "flux2"), ("flux_2_klein_4b", "flux2"), ("flux1", "flux1")):
        assert judge_lora(shapes, {"ss_base_model_version": said}).family == family
        assert judge_lora(shapes, {}, family).family == family


def test_both_answers_to_the_question_are_applied(tmp_path: Path) -> None:
    """The same file is three matrices of FLUX.1 or of FLUX.2: as its maker says."""
    shapes = {key: (s[0] // 96, s[1]) if "_B" in key else (s[0], s[1] // 96) for key, s in klein_attention()[0].items()}
    generator = torch.Generator().manual_seed(0)
    first = {k: torch.randn(shape, generator=generator) for k, shape in shapes.items() if ".0." in k}
    save_file(first, tmp_path / "a.safetensors")
    for family, transformer in (("flux1", tiny_transformer()), ("flux2", flux2_transformer())):
        file = read_lora(tmp_path / "a.safetensors", family)
        assert len(check_fits(file.layers, Parts(transformer, family=family), "a", file.family).changed) == 8
    with pytest.raises(BadLora, match="lora_family_ambiguous"):
        read_lora(tmp_path / "a.safetensors")


@pytest.mark.parametrize("said", ["flux2_klein_4b", "flux2_klein_9b", "flux2", "flux_2_dev", "Flux.2-klein-9b/lora"])
def test_words_of_trainers_for_flux2(said: str) -> None:
    for key in ("ss_base_model_version", "modelspec.architecture"):
        assert judge_lora(klein_attention()[0], {key: said}).family == "flux2"


def test_a_lora_for_the_9b_on_the_4b_is_refused_with_both_widths(tmp_path: Path) -> None:
    """At tiny widths: 64 and 32; layers that the smaller one lacks do not come first."""
    large = flux2_transformer(heads=4)
    modules = ["transformer_blocks.0.attn.to_q", "single_transformer_blocks.0.attn.to_qkv_mlp_proj"]
    layers = make_layers(large, 1, modules=modules)
    write_lora(tmp_path / "a.safetensors", layers, LoraMetadata(title="t", family="flux2"))
    file = read_lora(tmp_path / "a.safetensors")
    assert (file.family, file.width) == ("flux2", 64)
    with pytest.raises(BadLora) as refused:
        check_fits(file.layers, Parts(flux2_transformer(), family="flux2"), "a.safetensors", file.family)
    assert refused.value.code == "lora_width_other"
    for language in LANGUAGES:
        message, advice = say_error(refused.value, Texts(language))
        assert "64" in message
        assert "32" in message
        assert advice


def test_a_lora_of_another_family_is_not_put_on_layers_of_the_same_name(tmp_path: Path) -> None:
    modules = ["transformer_blocks.0.attn.to_q", "transformer_blocks.0.attn.add_v_proj"]
    layers = make_layers(flux2_transformer(), 1, modules=modules)
    transformers = {"flux1": tiny_transformer(), "flux2": flux2_transformer(), "z-image": z_image_transformer()}
    for family in ("flux1", "flux2"):
        write_lora(tmp_path / "a.safetensors", layers, LoraMetadata(title="t", family=family))
        file = read_lora(tmp_path / "a.safetensors")
        for other, transformer in transformers.items():
            model = Parts(transformer, family=other)
            if other == family:
                assert check_fits(file.layers, model, "a", file.family).changed
                continue
            with pytest.raises(BadLora, match="lora_of_other_backbone"):
                check_fits(file.layers, model, "a", file.family)


@pytest.mark.parametrize(
    ("family", "width", "words"),
    [
        ("flux2", 3072, ("flux2_klein_4b", "Flux.2-klein-4b/lora")),
        ("flux2", 4096, ("flux2_klein_9b", "Flux.2-klein-9b/lora")),
        ("flux2", 6144, ("flux2", "Flux.2-dev/lora")),
        ("flux2", 32, ("flux2", "Flux.2-width-32/lora")),
        ("z-image", 3840, ("zimage", "Z-Image/lora")),
        ("flux1", 3072, ("flux1", "flux-1-dev/lora")),
    ],
)
def test_what_is_written_says_whose_it_is(family: str, width: int, words: tuple[str, str], tmp_path: Path) -> None:
    module = "layers.0.attention.to_q" if family == "z-image" else "transformer_blocks.0.attn.to_q"
    generator = torch.Generator().manual_seed(0)
    down, up = torch.randn(1, width, generator=generator), torch.randn(width, 1, generator=generator)
    layers = (LoraLayer(module, down, up, 1.0),)
    write_lora(tmp_path / "a.safetensors", layers, LoraMetadata(title="t", family=family))
    said = read_lora(tmp_path / "a.safetensors").metadata
    assert (said["ss_base_model_version"], said["modelspec.architecture"]) == words
    assert inspect_lora(tmp_path / "a.safetensors").family == family


@pytest.mark.parametrize("path", LISTINGS, ids=lambda p: p.stem)
def test_every_listing_is_read_whole_or_refused_by_name(path: Path, tmp_path: Path) -> None:
    """Files of the listings' names, 64 times narrower: every layer is read, or the refusal names the family."""
    need("lora_keys")
    folder = path.parent.name
    shapes = {key: list(shape) for key, shape in shapes_of(path).items()}
    save_file({k: t.contiguous() for k, t in make_tensors(shapes, 0).items()}, tmp_path / "a.safetensors")
    if folder in ("flux2", "z_image"):
        file = read_lora(tmp_path / "a.safetensors")
        assert file.family == {"flux2": "flux2", "z_image": "z-image"}[folder]
        fused = 3 * sum(1 for key in shapes if "qkv" in key and ("_A." in key or "_down." in key) and "proj" not in key)
        downs = sum(1 for key in shapes if "_A." in key or "_down." in key)
        assert len(file.layers) == downs + fused - fused // 3
        return
    if folder == "lora_keys" and not any(word in path.stem for word in ("dora", "lokr", "control")):
        assert read_lora(tmp_path / "a.safetensors").family == "flux1"
        return
    with pytest.raises(BadLora) as refused:
        read_lora(tmp_path / "a.safetensors")
    name = {"qwen_image": "Qwen-Image", "krea2": "Krea 2", "lora_keys": "FLUX.1"}[folder]
    if "control" not in path.stem:
        for language in LANGUAGES:
            assert name in say_error(refused.value, Texts(language))[0]


def test_a_file_of_lumina_is_not_taken_for_z_image() -> None:
    """It has the same names; Z-Image's transformer comes from it."""
    for shapes in (
        {"lora_unet_layers_0_attention_to_q.lora_down.weight": (4, 2304)},
        {
            "lora_unet_layers_0_attention_qkv.lora_down.weight": (4, 2304),
            "lora_unet_layers_0_attention_qkv.lora_up.weight": (3840, 4),
        },
        {"layers.0.adaLN_modulation.1.lora_A.weight": (4, 256), "layers.0.attention.out.lora_A.weight": (4, 1536)},
    ):
        verdict = judge_lora(shapes, {})
        assert (verdict.fits, verdict.family) == ("other family", "lumina2")


@pytest.mark.parametrize("family", ["flux2", "z-image"])
def test_a_report_counts_the_kinds_of_layers(family: str, tmp_path: Path) -> None:
    made = (FLUX2_SPELLINGS if family == "flux2" else Z_IMAGE_SPELLINGS)["diffusers"]()
    save_file(made.tensors, tmp_path / "a.safetensors")
    report = inspect_lora(tmp_path / "a.safetensors")
    assert sum(report.layers.values()) == len(made.expected)
    assert {"attention", "feed-forward", "embedding and output"} <= report.layers.keys()
    assert (report.width, report.ranks, report.format) == (32, (4,), "diffusers")
