"""Donors: what is saved is what is loaded, and consent decides about new work."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace
from pathlib import Path

import pytest

from personas.donors import Consent, check_consent, load_donors, save_donor, with_consent
from pipelines.errors import BadInput, ConsentMissing, UnknownCategory
from pipelines.lora import read_lora
from tests.loras import tiny_transformer, write_donor

TODAY = datetime.date(2026, 11, 20)


def test_saved_donors_are_loaded_by_category(tmp_path: Path) -> None:
    transformer = tiny_transformer()
    saved = [
        save_donor(tmp_path / "all", write_donor(tmp_path, transformer, name, seed, category))
        for seed, (name, category) in enumerate([("lin", "sweet"), ("an", "sweet"), ("bo", "ceo")])
    ]
    loaded = load_donors(tmp_path / "all")
    assert sorted(loaded, key=lambda d: d.name) == sorted(saved, key=lambda d: d.name)
    assert [donor.name for donor in load_donors(tmp_path / "all", "甜美系")] == ["an", "lin"]
    assert load_donors(tmp_path / "nowhere") == ()
    for donor in loaded:
        assert donor.thumbnail_path.is_file()
        assert read_lora(donor.lora_path).sha256.startswith(donor.id)
        check_consent(donor, TODAY)


def test_donor_is_not_overwritten_and_its_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    transformer = tiny_transformer()
    donor = write_donor(tmp_path, transformer, "lin", 0)
    save_donor(tmp_path / "all", donor)
    with pytest.raises(BadInput, match="already"):
        save_donor(tmp_path / "all", write_donor(tmp_path / "b", transformer, "lin", 1))
    for name in ("", "..", "../lin", "a/b", "a\\b", ".hidden"):
        with pytest.raises(BadInput, match="name"):
            save_donor(tmp_path / "all", replace(donor, name=name))
    with pytest.raises(UnknownCategory):
        save_donor(tmp_path / "all", replace(donor, name="new", category="gothic"))
    with pytest.raises(UnknownCategory):
        load_donors(tmp_path / "all", "gothic")


def test_same_file_twice_is_said(tmp_path: Path) -> None:
    donor = write_donor(tmp_path, tiny_transformer(), "lin", 0)
    save_donor(tmp_path / "all", donor)
    save_donor(tmp_path / "all", replace(donor, name="lan"))
    with pytest.raises(BadInput, match="same LoRA file"):
        load_donors(tmp_path / "all")


@pytest.mark.parametrize("change", ["missing lora", "no json", "no consent", "extra field", "not utf-8"])
def test_broken_record_is_a_clear_error(tmp_path: Path, change: str) -> None:
    donor = save_donor(tmp_path, write_donor(tmp_path / "loose", tiny_transformer(), "lin", 0))
    record = donor.lora_path.parent / "donor.json"
    fields = json.loads(record.read_text(encoding="utf-8"))
    if change == "missing lora":
        donor.lora_path.unlink()
    elif change == "no json":
        record.write_text("{", encoding="utf-8")
    elif change == "no consent":
        del fields["consent"]
        record.write_text(json.dumps(fields), encoding="utf-8")
    elif change == "extra field":
        record.write_text(json.dumps({**fields, "colour": "red"}), encoding="utf-8")
    else:
        record.write_bytes(b"\xff\xfe{}")
    with pytest.raises(BadInput, match="cannot be used"):
        load_donors(tmp_path)


def test_consent_that_does_not_hold(tmp_path: Path) -> None:
    donor = write_donor(tmp_path, tiny_transformer(), "lin", 0)

    def change(**fields: object) -> object:
        return replace(donor, consent=Consent.model_validate({**donor.consent.model_dump(), **fields}))

    last_day = change(expires=TODAY)
    check_consent(last_day, TODAY)  # type: ignore[arg-type]
    for bad, reason in (
        (change(revoked=True), "revoked"),
        (change(expires=TODAY - datetime.timedelta(days=1)), "expired"),
        (change(file_sha256="0" * 64), "another file"),
    ):
        with pytest.raises(ConsentMissing, match=reason):
            check_consent(bad, TODAY)  # type: ignore[arg-type]
        assert with_consent([donor, bad], TODAY) == (donor,)  # type: ignore[list-item]
