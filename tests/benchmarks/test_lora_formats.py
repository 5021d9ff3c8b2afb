"""Real files' layouts: applied completely and exactly, or refused with the reason."""

import pytest

from benchmarks.lora_formats import check_listing
from tests.data import FOLDER

DATA = FOLDER / "lora_keys"
APPLIED = (
    "flux_lora_aitoolkit_format",
    "flux_lora_diffusers_base_model_format",
    "flux_lora_diffusers_format",
    "flux_lora_diffusers_no_proj_mlp_format",
    "flux_lora_kohya_format",
    "flux_lora_kohya_with_te1_format",
    "flux_lora_xlabs_format",
    "flux2/derived_flux2_klein4b_aitoolkit",
    "flux2/derived_flux2_klein4b_diffusers_dreambooth",
    "flux2/derived_flux2_klein4b_fal",
    "flux2/derived_flux2_klein4b_musubi_kohya",
    "z_image/derived_z_image_aitoolkit",
    "z_image/derived_z_image_comfyui_fused",
    "z_image/derived_z_image_diffusers_dreambooth",
    "z_image/derived_z_image_musubi_kohya",
)
REFUSED = {
    "flux_control_lora_format": "controls pictures",
    "flux_dora_onetrainer_format": "(DoRA)",
    "flux_lokr_bfl_format": "for any of these",
    "qwen_image/qwen_image_lora_diffusers_format": "Qwen-Image",
    "qwen_image/qwen_image_lora_kohya_format": "Qwen-Image",
    "krea2/krea2_lora_kohya_format": "Krea 2",
}

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"NO TEST DATA: {DATA} is missing; set STUDIO_TEST_DATA to a folder with lora_keys/"
)


@pytest.mark.parametrize("name", APPLIED)
def test_layout_is_applied_completely_and_exactly(name: str) -> None:
    row = check_listing(DATA / f"{name}.json")
    assert (row.verdict, row.dropped) == ("applied", 0)
    assert row.delta_error is not None
    assert row.delta_error <= 1e-5
    assert row.layers > 20


@pytest.mark.parametrize(("name", "reason"), REFUSED.items())
def test_layout_is_refused_with_its_reason(name: str, reason: str) -> None:
    row = check_listing(DATA / f"{name}.json")
    assert row.verdict == "refused"
    assert reason in row.reason


def test_no_listing_is_forgotten() -> None:
    assert {str(p.relative_to(DATA).with_suffix("")) for p in DATA.rglob("*.json")} == {*APPLIED, *REFUSED}
