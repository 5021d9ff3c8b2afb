"""Donors: what is saved is what is loaded, and consent decides about new work."""

from __future__ import annotations

import datetime
import errno
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from personas.donors import (
    Consent,
    DonorList,
    check_consent,
    list_donors,
    load_donors,
    save_donor,
    with_consent,
)
from pipelines.errors import BadInput, ConsentMissing, OutOfDisk, UnknownCategory
from pipelines.lora import read_lora
from studio.texts.texts import LANGUAGES, Texts
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
    with pytest.raises(BadInput, match="donor_exists"):
        save_donor(tmp_path / "all", write_donor(tmp_path / "b", transformer, "lin", 1))
    for name in ("", "..", "../lin", "a/b", "a\\b", ".hidden"):
        with pytest.raises(BadInput, match="donor_name_invalid"):
            save_donor(tmp_path / "all", replace(donor, name=name))
    with pytest.raises(UnknownCategory):
        save_donor(tmp_path / "all", replace(donor, name="new", category="gothic"))
    with pytest.raises(UnknownCategory):
        load_donors(tmp_path / "all", "gothic")


def test_the_same_file_twice_is_said_and_stops_nothing(tmp_path: Path) -> None:
    donor = write_donor(tmp_path, tiny_transformer(), "lin", 0)
    save_donor(tmp_path / "all", donor)
    save_donor(tmp_path / "all", replace(donor, name="lan"))
    save_donor(tmp_path / "more", replace(donor, name="len"))
    found = list_donors(tmp_path / "all", tmp_path / "more")
    assert [d.name for d in found.donors] == ["lan"]
    told = [(d.folder.name, d.error.code, d.error.fields) for d in found.damaged]
    assert told == [
        ("lin", "donor_same_file", {"donor": "lin", "other": "lan"}),
        ("len", "donor_same_file", {"donor": "len", "other": "lan"}),
    ]
    for language in LANGUAGES:
        assert "lan" in Texts(language).error(found.damaged[0].error)


_CHANGES = {
    "missing lora": "donor_lora_unreadable",
    "no json": "donor_record_invalid",
    "cut short": "donor_record_invalid",
    "no consent": "donor_record_invalid",
    "extra field": "donor_record_invalid",
    "not utf-8": "donor_record_invalid",
    "deep": "donor_record_invalid",
    "a folder": "donor_record_unreadable",
    "other category": "unknown_category",
}


@pytest.mark.parametrize("change", sorted(_CHANGES))
def test_a_damaged_record_is_told_and_stops_no_other_donor(tmp_path: Path, change: str) -> None:
    transformer = tiny_transformer()
    donor = save_donor(tmp_path, write_donor(tmp_path / "loose", transformer, "lin", 0))
    save_donor(tmp_path, write_donor(tmp_path / "loose", transformer, "an", 1))
    record = donor.lora_path.parent / "donor.json"
    text = record.read_text(encoding="utf-8")
    fields = json.loads(text)
    if change == "missing lora":
        donor.lora_path.unlink()
    elif change == "a folder":
        record.unlink()
        record.mkdir()
    else:
        without = {name: value for name, value in fields.items() if name != "consent"}
        record.write_bytes(
            {
                "no json": b"{",
                "cut short": text.encode()[:40],
                "no consent": json.dumps(without).encode(),
                "extra field": json.dumps({**fields, "colour": "red"}).encode(),
                "not utf-8": b"\xff\xfe{}",
                "deep": b"[" * 100_000,
                "other category": json.dumps({**fields, "category": "gothic"}).encode(),
            }[change]
        )
    found = list_donors(tmp_path)
    assert [d.name for d in found.donors] == [d.name for d in load_donors(tmp_path)] == ["an"]
    (damaged,) = found.damaged
    assert (damaged.folder, damaged.error.code) == (record.parent, _CHANGES[change])
    if change != "other category":
        assert damaged.error.fields["donor"] == "sweet/lin"
        for language in LANGUAGES:
            assert "sweet/lin" in Texts(language).error(damaged.error)


def test_a_record_that_could_not_be_written_whole_is_no_donor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    donor = write_donor(tmp_path / "loose", tiny_transformer(), "lin", 0)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        with pytest.raises(OutOfDisk):
            save_donor(tmp_path / "all", donor)
    assert list_donors(tmp_path / "all") == DonorList((), ())
    assert not [path for path in (tmp_path / "all").rglob("*") if "donor.json" in path.name]
    assert save_donor(tmp_path / "all", donor).name == "lin"


def test_a_file_is_hashed_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transformer = tiny_transformer()
    one = save_donor(tmp_path, write_donor(tmp_path / "loose", transformer, "lin", 0))
    save_donor(tmp_path, write_donor(tmp_path / "loose", transformer, "an", 1))
    reads: list[str] = []
    digest = hashlib.file_digest

    def counting(stream: Any, name: str) -> Any:
        reads.append(stream.name)
        return digest(stream, name)

    monkeypatch.setattr(hashlib, "file_digest", counting)
    for _ in range(3):
        assert len(load_donors(tmp_path)) == 2
    assert reads == []
    other = write_donor(tmp_path / "loose", transformer, "other", 2)
    one.lora_path.write_bytes(other.lora_path.read_bytes())
    for _ in range(3):
        assert other.id in {d.id for d in load_donors(tmp_path)}
    assert reads == [str(one.lora_path)]


def test_consent_that_does_not_hold(tmp_path: Path) -> None:
    donor = write_donor(tmp_path, tiny_transformer(), "lin", 0)

    def change(**fields: object) -> object:
        return replace(donor, consent=Consent.model_validate({**donor.consent.model_dump(), **fields}))

    last_day = change(expires=TODAY)
    check_consent(last_day, TODAY)  # type: ignore[arg-type]
    for bad, reason in (
        (change(revoked=True), "consent_revoked"),
        (change(expires=TODAY - datetime.timedelta(days=1)), "consent_expired"),
        (change(file_sha256="0" * 64), "consent_of_other_file"),
    ):
        with pytest.raises(ConsentMissing, match=reason):
            check_consent(bad, TODAY)  # type: ignore[arg-type]
        assert with_consent([donor, bad], TODAY) == (donor,)  # type: ignore[list-item]
