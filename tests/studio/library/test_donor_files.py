"""A LoRA file that is dropped is judged by its header; what is none is refused in words; the worker keeps it once."""

from __future__ import annotations

import asyncio
import datetime
import json
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipelines.errors import BadInput, BadLora
from pipelines.lora import read_lora
from studio.application import Studio
from studio.domain.donor import DonorRequest
from studio.library.donor_files import check_unexpired, inspect_header
from studio.library.uploads import keep_upload
from studio.settings import ASSETS, Settings
from studio.texts.texts import LANGUAGES, Texts
from studio.workflows import run_directly
from studio.workflows.donors import add_lora_donor

TODAY = datetime.date(2026, 11, 21)
DONOR = next((ASSETS / "donors").glob("sweet/*/lora.safetensors"))
FORM = DonorRequest(upload="0" * 64, category="sweet", name="Li", who="Li Lei", scope="fusion")


def _write(path: Path, *names: str) -> Path:
    header = {
        name: {"dtype": "F16", "shape": [4, 8], "data_offsets": [64 * i, 64 * i + 64]} for i, name in enumerate(names)
    }
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 64 * len(names))
    return path


def test_a_flux_lora_says_what_it_is() -> None:
    found = inspect_header(DONOR)
    assert found.layers > 10
    assert found.ranks
    assert all(rank > 0 for rank in found.ranks)


def test_a_lora_of_single_numbers_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    layer = "transformer.single_transformer_blocks.0.attn.to_q"
    save_file({f"{layer}.lora_A.weight": torch.zeros(()), f"{layer}.lora_B.weight": torch.zeros(())}, path)
    with pytest.raises(BadLora, match="lora_file_damaged"):
        inspect_header(path)


def test_what_is_no_flux_lora_is_refused_in_words(tmp_path: Path) -> None:
    sdxl = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.lora_down.weight"
    with pytest.raises(BadLora, match="family=Stable Diffusion"):
        inspect_header(_write(tmp_path / "a.safetensors", sdxl))
    with pytest.raises(BadLora, match="no_known_lora"):
        inspect_header(_write(tmp_path / "a.safetensors", "model.embed.weight"))
    (tmp_path / "a.safetensors").write_bytes(b"\x80\x04 a pickle")
    with pytest.raises(BadLora, match="lora_is_pickle"):
        inspect_header(tmp_path / "a.safetensors")
    (tmp_path / "a.safetensors").write_bytes(DONOR.read_bytes()[:5000])
    with pytest.raises(BadLora, match="lora_file_damaged"):
        inspect_header(tmp_path / "a.safetensors")
    (tmp_path / "a.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(BadLora, match="lora_file_damaged"):
        inspect_header(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": "../x"}, "bad_name"), ({"name": "  "}, "bad_name"), ({"who": " "}, "no_consent"),
        ({"scope": ""}, "no_consent"), ({"expires": "soon"}, "bad_date"), ({"expires": "2026-01-01"}, "consent_over"),
        ({"licence": "x" * 301}, "too_long"), ({"category": "tall"}, "unknown_category"),
    ],
)  # fmt: skip
def test_a_consent_without_its_words_is_none(change: dict[str, str], why: str) -> None:
    with pytest.raises(BadInput, match=why):
        check_unexpired(FORM.changed(**change), TODAY)


def test_a_good_form_is_trimmed() -> None:
    form = FORM.changed(name="  Li \n Lei ", expires=" 2028-12-31 ", licence="")
    assert (form.name, form.expires, form.licence) == ("Li Lei", "2028-12-31", "unknown")


def test_the_worker_keeps_an_uploaded_lora_once(tiny_flux: Path, tmp_path: Path) -> None:
    from pipelines.lora import LoraMetadata, write_lora
    from studio.workflows.donors import add_uploaded_donor
    from tests.loras import make_layers

    studio = Studio(Settings(data=tmp_path, backbone=str(tiny_flux), bundled_donors=tmp_path / "none"))
    lora = tmp_path / "li.safetensors"
    write_lora(lora, make_layers(studio.backbone.transformer, 1), LoraMetadata(title="Li"))

    async def blocks() -> AsyncIterator[bytes]:
        yield lora.read_bytes()

    token = asyncio.run(keep_upload(studio.settings, "me", lora.name, blocks()))
    wish = FORM.changed(upload=token, expires="2028-12-31")
    added = [add_uploaded_donor(studio, wish, run_directly) for _ in range(2)]  # a step may run twice
    assert added[0] == added[1]
    (donor,) = studio.donors()
    assert (donor.name, donor.consent.who, donor.consent.scope) == ("Li", "Li Lei", "fusion")
    assert wish.until == donor.consent.expires
    with pytest.raises(BadInput, match=r"known_donor.*donor=Li"):
        add_uploaded_donor(studio, wish.changed(name="Another"), run_directly)
    with pytest.raises(BadInput, match="no_upload"):
        add_uploaded_donor(studio, wish.changed(owner="wang"), run_directly)


def test_a_consent_file_that_lacks_something_is_told_what(tmp_path: Path) -> None:
    (tmp_path / "consent.json").write_text('{"who": "Li Lei"}')
    with pytest.raises(BadInput, match=r"consent_word_missing.*word=scope"):
        add_lora_donor(Studio(Settings(data=tmp_path)), DONOR, "sweet", tmp_path / "consent.json")


@pytest.mark.parametrize("name", ["a.gguf", "a.safetensors", "a"])
def test_a_gguf_file_is_refused_by_its_content_at_once(tmp_path: Path, name: str) -> None:
    """49 bytes that announce an array of 2^62 entries; a reader that believes them never returns."""
    array = struct.pack("<Q", 1) + b"a" + struct.pack("<IIQ", 9, 0, 2**62)
    (tmp_path / name).write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + array)
    assert (tmp_path / name).stat().st_size == 49
    began = time.monotonic()
    with pytest.raises(BadLora) as refused:
        inspect_header(tmp_path / name)
    assert (refused.value.code, refused.value.fields) == ("lora_is_gguf", {"file": name})
    assert time.monotonic() - began < 0.5
    for language in LANGUAGES:
        assert "GGUF" in Texts(language).error(refused.value)


def _ambiguous(path: Path) -> Path:
    """An attention-only LoRA in black-forest-labs' names, which FLUX.1 and FLUX.2-klein share."""
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for stream in ("img", "txt"):
        for leaf, out in (("qkv", 96), ("proj", 32)):
            name = f"diffusion_model.double_blocks.0.{stream}_attn.{leaf}"
            tensors[f"{name}.lora_A.weight"] = torch.randn(4, 32, generator=generator)
            tensors[f"{name}.lora_B.weight"] = torch.randn(out, 4, generator=generator)
    save_file(tensors, path)
    return path


def test_whose_lora_it_is_is_asked_where_nobody_can_tell(tmp_path: Path) -> None:
    path = _ambiguous(tmp_path / "a.safetensors")
    found = inspect_header(path)
    assert (found.family, found.families) == ("", ("flux1", "flux2"))
    assert "FLUX.1, FLUX.2" in Texts("en").error(found.ask(path.name))
    assert inspect_header(path, "flux1").family == "flux1"
    assert inspect_header(path, "flux2").family == "flux2"
    assert inspect_header(DONOR).family == "flux1"


def test_the_answer_stays_with_the_donor(tiny_flux: Path, tmp_path: Path) -> None:
    width = 32
    studio = Studio(Settings(data=tmp_path, backbone=str(tiny_flux), bundled_donors=tmp_path / "none"))
    assert studio.backbone.transformer.inner_dim == width
    lora = _ambiguous(tmp_path / "li.safetensors")
    (tmp_path / "consent.json").write_text('{"who": "Li Lei", "scope": "fusion"}')
    with pytest.raises(BadLora) as asked:
        add_lora_donor(studio, lora, "sweet", tmp_path / "consent.json")
    assert asked.value.code == "lora_family_ambiguous"
    add_lora_donor(studio, lora, "sweet", tmp_path / "consent.json", family="flux1")
    (donor,) = studio.donors()
    assert (donor.family, donor.lora_width) == ("flux1", width)
    assert len(read_lora(donor.lora_path, donor.family).layers) == 8
    assert studio.fitting_donors() == (donor,)
    bundled = Studio(Settings(data=tmp_path, backbone=str(tiny_flux)))
    assert len(bundled.donors()) > 1
    assert bundled.fitting_donors() == (donor,)  # the miniature's donors are wider
