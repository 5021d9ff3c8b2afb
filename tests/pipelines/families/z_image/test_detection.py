"""Z-Image and Z-Image-Turbo are told from folders, files, names and schedulers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from pipelines.backbones import resolve_backbone
from pipelines.errors import BadInput
from pipelines.families.catalogue import detect_file
from pipelines.families.z_image.detection import entrance, layout_of, says_turbo
from pipelines.models.catalogue import find_model
from pipelines.models.variants import Capabilities
from tests.data import need
from tests.folders import write_backbone_folder
from tests.pipelines.families.test_catalogue import shapes_of
from tests.tiny_z_image import original_tensors, write_z_image


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_z_image(tmp_path_factory.mktemp("z") / "mine")


def test_a_real_checkpoint_is_detected() -> None:
    shapes = shapes_of(need("model_keys/z_image_transformer_comfyui_keys.json"))
    family, variant = detect_file(shapes, "a.safetensors")
    assert (family.id, variant.id, layout_of(shapes)) == ("z-image", "Z-Image", "original")
    assert (family.hidden_width_of_file(shapes), entrance(shapes)) == (3840, (3840, 64))
    behind = {f"model.diffusion_model.{name}": shape for name, shape in shapes.items()}
    assert detect_file(behind, "a.safetensors")[0].id == "z-image"
    omni = shapes | {"siglip_embedder.0.weight": (1152,)}
    with pytest.raises(BadInput, match="file_of_no_family"):
        detect_file(omni, "omni.safetensors")


def test_another_models_file_is_none() -> None:
    lumina = {f"{name}.weight": (2304, 64) for name in ("x_embedder", "layers.0.attention.qkv", "noise_refiner.0.x")}
    assert layout_of(lumina) is None
    with pytest.raises(BadInput, match="file_is_controlnet"):
        detect_file({"control_layers.0.attention.to_q.weight": (2, 2), "control_x.weight": (2, 2)}, "a")


@pytest.mark.parametrize(
    ("names", "shift", "turbo"),
    [
        (["Z-Image-Turbo"], 6.0, True),
        (["my_zimageTurbo_v3"], None, True),
        (["nice", "Tongyi-MAI/Z-Image-Turbo"], None, True),
        (["z-image-de-turbo"], 3.0, False),
        (["zImageTurbo_deDistilled"], 3.0, False),
        (["zimage_base_fp8"], 3.0, False),
        (["Tongyi-MAI/Z-Image"], 3.0, False),
        (["realism"], 3.0, True),
        (["realism"], 6.0, False),
        (["realism", ""], None, None),
    ],
)
def test_names_decide_and_then_the_schedulers_shift(names: list[str], shift: float | None, turbo: bool | None) -> None:
    assert says_turbo(names, {} if shift is None else {"shift": shift}) is turbo


@pytest.mark.parametrize(
    ("name", "shift", "steps", "cfg_scale"),
    [("realism", 6.0, 50, 5.0), ("realism", 3.0, 9, 1.0), ("Z-Image-Turbo", 6.0, 9, 1.0), ("Z-Image", 3.0, 50, 5.0)],
)
def test_a_folder_is_drawn_as_its_variant(
    tmp_path: Path, name: str, shift: float, steps: int, cfg_scale: float
) -> None:
    folder = write_backbone_folder(tmp_path / name, pipeline="ZImagePipeline", dim=3840)
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps({"shift": shift}), encoding="utf-8")
    spec = resolve_backbone(folder)
    assert (spec.family, spec.num_inference_steps, spec.true_cfg_scale) == ("z-image", steps, cfg_scale)
    assert spec.can == Capabilities(lora=True, inpaint=True, cfg=True)


@pytest.mark.parametrize(
    ("file", "metadata", "steps"),
    [
        ("z_image_turbo_bf16", {}, 9),
        ("z_image_bf16", {}, 50),
        ("mine-turbo", {}, 9),
        ("realism", {"modelspec.title": "Realism for Z-Image Turbo"}, 9),
        ("realism", {}, 50),  # what the folder of its other parts is
    ],
)
def test_a_single_file_is_drawn_as_its_name_says(
    folder: Path, tmp_path: Path, file: str, metadata: dict[str, str], steps: int
) -> None:
    base = write_z_image(tmp_path / "base")
    (base / "studio.json").unlink()
    save_file(original_tensors(folder), tmp_path / f"{file}.safetensors", metadata)
    assert resolve_backbone(tmp_path / f"{file}.safetensors", base).num_inference_steps == steps
    turbo = write_z_image(tmp_path / "Z-Image-Turbo", shift=3.0)
    (turbo / "studio.json").unlink()
    steps = 9 if (file, metadata) == ("realism", {}) else steps
    assert resolve_backbone(tmp_path / f"{file}.safetensors", turbo).num_inference_steps == steps


def test_published_names_are_known() -> None:
    for name, model in (
        ("z_image_turbo_bf16", "Z-Image-Turbo"), ("z_image_turbo-Q4_K_S", "Z-Image-Turbo"), ("z_image_bf16", "Z-Image"),
        ("Tongyi-MAI/Z-Image", "Z-Image"),
    ):  # fmt: skip
        found: Any = find_model(name)
        assert found.id == model
