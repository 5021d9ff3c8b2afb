"""Donors: face LoRAs of consenting people, each in a folder of its own with a thumbnail and a consent record.

<folder>/<category>/<name>/{lora.safetensors, thumbnail.png, donor.json}
"""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from personas.looks import find_category
from pipelines.errors import BadInput, ConsentMissing
from pipelines.families.catalogue import judge_lora
from pipelines.file_names import file_name
from pipelines.files import write_whole
from pipelines.models.headers import read_header

__all__ = [
    "Consent",
    "DamagedDonor",
    "Donor",
    "DonorList",
    "change_consent",
    "check_consent",
    "check_new_donor",
    "list_donors",
    "load_donor",
    "load_donors",
    "save_donor",
]

LORA_NAME = "lora.safetensors"
THUMBNAIL_NAME = "thumbnail.png"
RECORD_NAME = "donor.json"


class Consent(BaseModel):
    """Consent: who allowed what, for which very file, until when. `file_sha256` is that of the LoRA file,
    `document_sha256` of what was signed, in hex, None where nobody named it; `adult` says that they are of age, None in
    consents from before it was asked.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    who: str = Field(min_length=1)
    scope: str = Field(min_length=1)
    file_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    expires: datetime.date | None = None
    revoked: bool = False
    document_sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    adult: bool | None = None


class _Record(BaseModel):
    """`family` is what was stated of the LoRA file or read from it; records from before there was a choice are of
    FLUX.1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    category: str
    trigger: str
    licence: str = Field(min_length=1)
    consent: Consent
    family: str = "flux1"


@dataclass(frozen=True)
class Donor:
    """`id` is made from the LoRA file's content, so the same weights are the same donor wherever they lie.

    `family` is the id of the model family that the LoRA is for, `lora_width` the hidden width that it was made for, 0
    if its layers do not tell.
    """

    id: str
    name: str
    category: str
    lora_path: Path
    trigger: str
    licence: str
    consent: Consent
    thumbnail_path: Path
    family: str = "flux1"
    lora_width: int = 0

    def fits(self, family: str, width: int) -> bool:
        """Whether it can be mixed for a backbone of this family and hidden width (0: not known)."""
        return self.family == family and (0 in (width, self.lora_width) or width == self.lora_width)


@dataclass(frozen=True)
class DamagedDonor:
    """A donor's folder that cannot be used, and why."""

    folder: Path
    error: BadInput


@dataclass(frozen=True)
class DonorList:
    """`donors` can be used, as far as their files go; `damaged` cannot, each for a reason of its own."""

    donors: tuple[Donor, ...]
    damaged: tuple[DamagedDonor, ...]


def list_donors(*folders: Path | str, category: str | None = None) -> DonorList:
    """Return every donor below the folders (of one category, if given), by folder, category and name.

    A damaged donor stops no other: it is told of. Of folders with the same LoRA file the first is the donor. Consent
    is not judged here but by `check_consent`, so that a list can still show who is no longer available.
    Raises UnknownCategory for a `category` that is none.
    """
    wanted = None if category is None else find_category(category).id
    donors: dict[str, Donor] = {}
    damaged: list[DamagedDonor] = []
    for folder in folders:
        for record in sorted(Path(folder).glob(f"*/*/{RECORD_NAME}")):
            try:
                donor = load_donor(record.parent)
                if other := donors.get(donor.id):
                    raise BadInput("donor_same_file", donor=donor.name, other=other.name)
            except BadInput as error:
                damaged.append(DamagedDonor(record.parent, error))
            else:
                donors[donor.id] = donor
    return DonorList(tuple(d for d in donors.values() if wanted in (None, d.category)), tuple(damaged))


def load_donors(folder: Path | str, category: str | None = None) -> tuple[Donor, ...]:
    """Return the donors of `list_donors` that can be used."""
    return list_donors(folder, category=category).donors


def load_donor(folder: Path) -> Donor:
    """Return the donor of one folder. Raises BadInput if its record or its LoRA is missing or not as it should."""
    name = f"{folder.parent.name}/{folder.name}"
    try:
        record = _Record.model_validate_json((folder / RECORD_NAME).read_bytes())
    except OSError as error:
        raise BadInput("donor_record_unreadable", donor=name, reason=error.strerror) from error
    except ValidationError as error:
        reason = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}".lstrip(": ") for e in error.errors())
        raise BadInput("donor_record_invalid", donor=name, reason=reason) from error
    lora = folder / LORA_NAME
    try:
        facts = lora.stat()
        sha256 = _sha256(lora, facts.st_size, facts.st_mtime_ns)
    except OSError as error:
        raise BadInput("donor_lora_unreadable", donor=name, reason=error.strerror) from error
    return Donor(
        id=sha256[:16],
        name=record.name,
        category=find_category(record.category).id,
        lora_path=lora,
        trigger=record.trigger,
        licence=record.licence,
        consent=record.consent,
        thumbnail_path=folder / THUMBNAIL_NAME,
        family=record.family,
        lora_width=_lora_width(lora, facts.st_size, facts.st_mtime_ns, record.family),
    )


def save_donor(folder: Path | str, donor: Donor) -> Donor:
    """Copy a donor's files to `folder`/<category>/<name>/ and return the donor as it lies there.

    The record appears last and whole: a folder without one is no donor. An existing donor of that name is not
    overwritten.
    """
    category = find_category(donor.category).id
    check_new_donor(folder, category, donor.name)
    place = Path(folder) / category / donor.name
    place.mkdir(parents=True, exist_ok=True)
    for source, name in ((donor.lora_path, LORA_NAME), (donor.thumbnail_path, THUMBNAIL_NAME)):
        if source.resolve() != (place / name).resolve():
            shutil.copyfile(source, place / name)
    return _write_record(place, replace(donor, category=category))


def change_consent(donor: Donor, consent: Consent) -> Donor:
    """Put another consent in a donor's record, which is never half written, and return the donor as it lies there."""
    return _write_record(donor.lora_path.parent, replace(donor, consent=consent))


def _write_record(place: Path, donor: Donor) -> Donor:
    record = _Record(
        name=donor.name,
        category=donor.category,
        trigger=donor.trigger,
        licence=donor.licence,
        consent=donor.consent,
        family=donor.family,
    )
    text = json.dumps(record.model_dump(mode="json"), ensure_ascii=False, indent=2) + "\n"
    write_whole(place / RECORD_NAME, text.encode())
    return load_donor(place)


def check_new_donor(folder: Path | str, category: str, name: str) -> None:
    """Raise BadInput where no donor of this name can be saved: it is no name that every disk takes, or is taken."""
    if not name or name != file_name(name):
        raise BadInput("donor_name_invalid", name=name)
    of_look = Path(folder) / category
    taken = [p.parent.name for p in of_look.glob(f"*/{RECORD_NAME}")]
    if name.casefold() in (other.casefold() for other in taken):
        raise BadInput("donor_exists", name=name, look=category)


def check_consent(donor: Donor, today: datetime.date) -> None:
    """Raise ConsentMissing unless the donor's consent is for this very file, not revoked and not expired."""
    consent = donor.consent
    if consent.revoked:
        raise ConsentMissing("consent_revoked", who=consent.who, donor=donor.name)
    if consent.expires is not None and consent.expires < today:
        raise ConsentMissing("consent_expired", who=consent.who, donor=donor.name, date=consent.expires.isoformat())
    if not consent.file_sha256.startswith(donor.id):
        raise ConsentMissing("consent_of_other_file", who=consent.who, donor=donor.name)


def with_consent(donors: Sequence[Donor], today: datetime.date) -> tuple[Donor, ...]:
    """Return the donors whose consent holds today."""

    def holds(donor: Donor) -> bool:
        try:
            check_consent(donor, today)
        except ConsentMissing:
            return False
        return True

    return tuple(donor for donor in donors if holds(donor))


@lru_cache(maxsize=10_000)
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    """Return the file's SHA-256; a file of the same path, size and time of change is not read again."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@lru_cache(maxsize=10_000)
def _lora_width(path: Path, size: int, mtime_ns: int, family: str) -> int:
    """Return the hidden width that a LoRA file's header tells of, 0 where it does not; read once, as `_sha256`."""
    try:
        header = read_header(path)
    except BadInput:
        return 0  # whoever reads the file itself says what is wrong with it
    return judge_lora(header.shapes, header.metadata, family).width
