"""Consents that are withdrawn or prolonged: what was said is noted with its day and owner, and nothing is deleted."""

from __future__ import annotations

import datetime
from datetime import UTC
from typing import Any

from sqlalchemy import select

from personas.donors import Donor, change_consent
from pipelines.errors import BadInput, ConsentMissing
from studio.domain.character import Character, CharacterConsent, check_agreed
from studio.domain.dataset import DataSet, DatasetRequest
from studio.domain.days import read_day
from studio.domain.posts import PostSet
from studio.domain.rights import ConsentFacts, ConsentState, Descendants
from studio.library.library import Library
from studio.library.records import JobFilesRecord, JobRecord, PersonaRecord, PostSetRecord, Records, RightsRecord
from studio.library.row import content_id

__all__ = [
    "check_dataset", "check_photos", "check_pictures", "dataset_consent", "descendants_of", "descendants_of_photo",
    "donor_consent", "note_word", "photos_consent", "prolong_dataset", "prolong_donor", "prolong_photo",
    "revoke_dataset", "revoke_donor", "revoke_photo",
]  # fmt: skip


def note_word(records: Records, owner: str, kind: str, thing: str, **facts: Any) -> None:
    """Keep a person's word; what was said earlier stays."""
    now = datetime.datetime.now(UTC)
    key = content_id([kind, thing, facts, now.isoformat()])
    records.keep(RightsRecord(id=key, owner=owner, created=now, kind=kind, thing=thing, facts=facts))


def revoke_donor(library: Library, owner: str, donor: Donor) -> Donor:
    """Withdraw the consent of a donor: nobody makes anything new of it from here on. Raises BadInput for one that comes
    along, whom nobody had to ask.
    """
    return _change(library, owner, donor, did="revoked", revoked=True)


def prolong_donor(library: Library, owner: str, donor: Donor, until: datetime.date | None, document: str = "") -> Donor:
    """Record that the consent holds (again) until a day, None without an end; `document` is the SHA-256 of what was
    signed. Raises BadInput where that day is over, and as `revoke_donor`.
    """
    if until is not None and until < datetime.date.today():
        raise BadInput("consent_over", date=until.isoformat())
    named = {"document_sha256": document} if document else {}
    return _change(library, owner, donor, did="prolonged", revoked=False, expires=until, **named)


def _change(library: Library, owner: str, donor: Donor, did: str, **changed: Any) -> Donor:
    if not donor.lora_path.resolve().is_relative_to(library.donors_folder.resolve()):
        raise BadInput("consent_of_invented", donor=donor.name)
    consent = donor.consent.model_copy(update=changed)
    now = change_consent(donor, consent)
    library.shared.sync("donors")
    told = consent.model_dump(mode="json", exclude={"file_sha256"})
    note_word(library.records, owner, "consent", f"donor:{donor.id}", did=did, consent=told)
    return now


def donor_consent(donor: Donor, invented: bool, today: datetime.date) -> ConsentFacts:
    """Return what a donor's consent says today; `invented` of one that comes along."""
    consent = donor.consent
    over = consent.expires is not None and consent.expires < today
    state: ConsentState = "invented" if invented else "revoked" if consent.revoked else "over" if over else "holds"
    expires = "" if consent.expires is None else consent.expires.isoformat()
    return ConsentFacts(
        state=state, who=consent.who, scope=consent.scope, expires=expires, document=consent.document_sha256 or "",
        adult=consent.adult,
    )  # fmt: skip


def revoke_photo(records: Records, owner: str, photo: str) -> None:
    """Withdraw the consent for a photo (a key of the store) that says who is shown in posts, or is in a data set."""
    note_word(records, owner, "consent", f"photo:{photo}", did="revoked")


def prolong_photo(records: Records, owner: str, photo: str, until: datetime.date | None) -> None:
    """Record that the consent for a photo holds (again) until a day. Raises BadInput where that day is over."""
    _prolong(records, owner, f"photo:{photo}", until)


def revoke_dataset(records: Records, owner: str, dataset: DataSet) -> None:
    """Withdraw the consent that a data set was made under: nothing more is learnt from it, nor from its pictures in
    another one.
    """
    pictures = sorted(picture.picture for picture in dataset.request.pictures)
    note_word(records, owner, "consent", f"dataset:{dataset.id}", did="revoked", pictures=pictures)


def prolong_dataset(records: Records, owner: str, dataset: DataSet, until: datetime.date | None) -> None:
    """Record that a data set's consent holds (again) until a day. Raises BadInput where that day is over."""
    _prolong(records, owner, f"dataset:{dataset.id}", until)


def _prolong(records: Records, owner: str, thing: str, until: datetime.date | None) -> None:
    if until is not None and until < datetime.date.today():
        raise BadInput("consent_over", date=until.isoformat())
    note_word(records, owner, "consent", thing, did="prolonged", until="" if until is None else until.isoformat())


def dataset_consent(records: Records, owner: str, dataset: DataSet, today: datetime.date) -> ConsentFacts:
    """Return what the consent that a data set was made under says today, with what was said of it since."""
    asked, said = dataset.request, _last_word(records, owner, f"dataset:{dataset.id}")
    expires = asked.expires if said is None or said["did"] != "prolonged" else said["until"]
    over = bool(expires) and read_day(expires) < today
    revoked = said is not None and said["did"] == "revoked"
    return ConsentFacts(
        state="revoked" if revoked else "over" if over else "holds", who=asked.who, scope=asked.scope, expires=expires,
        document=asked.document, adult=asked.adult,
    )  # fmt: skip


def check_dataset(records: Records, owner: str, dataset: DataSet) -> None:
    """Raise ConsentMissing where who is in a data set no longer agrees, or one of its photos was withdrawn."""
    found = dataset_consent(records, owner, dataset, datetime.date.today())
    told = {"who": found.who, "name": dataset.request.name}
    if found.state == "revoked":
        raise ConsentMissing("dataset_consent_revoked", **told)
    if found.state == "over":
        raise ConsentMissing("dataset_consent_over", date=found.expires, **told)
    check_pictures(records, owner, dataset.request, but=dataset.id)


def check_pictures(records: Records, owner: str, asked: DatasetRequest, but: str = "") -> None:
    """Raise ConsentMissing where a picture of a data set to be made was withdrawn by itself, or with another data set
    than the one of the id `but`.
    """
    last = {row.thing: row for row in sorted(records.find(RightsRecord, owner, kind="consent"), key=_when)}
    withdrawn: set[str] = set()
    for thing, row in last.items():
        kind, _, key = thing.partition(":")
        if row.facts.get("did") == "revoked" and kind in ("photo", "dataset") and thing != f"dataset:{but}":
            withdrawn.update(row.facts["pictures"] if kind == "dataset" else (key,))
    names = [picture.name for picture in asked.pictures if picture.picture in withdrawn]
    if names:
        raise ConsentMissing("dataset_pictures_withdrawn", who=asked.who, count=len(names), picture=names[0])


def _when(row: RightsRecord) -> datetime.datetime:
    return row.created


def photos_consent(
    records: Records, owner: str, character: Character, consent: CharacterConsent | None, today: datetime.date
) -> ConsentFacts:
    """Return what the consent for a character's photos says today, with what was said of it since."""
    if consent is None:
        return ConsentFacts(state="none")
    expires, revoked = consent.expires, False
    for photo in character.photos:
        said = _last_word(records, owner, f"photo:{photo.picture}")
        if said is None:
            continue
        revoked = revoked or said["did"] == "revoked"
        if said["did"] == "prolonged":
            expires = datetime.date.fromisoformat(said["until"]) if said["until"] else None
    over = expires is not None and expires < today
    return ConsentFacts(
        state="revoked" if revoked else "over" if over else "holds", who=consent.who, scope=consent.scope,
        expires="" if expires is None else expires.isoformat(),
    )  # fmt: skip


def check_photos(records: Records, owner: str, character: Character, consent: CharacterConsent | None) -> None:
    """Raise BadInput where nobody agreed to be shown by these photos, or no longer does."""
    today = datetime.date.today()
    found = photos_consent(records, owner, character, consent, today)
    if found.state == "none":
        check_agreed(None, today)
    if found.state == "revoked":
        raise ConsentMissing("photos_consent_revoked", who=found.who)
    if found.state == "over":
        raise ConsentMissing("photos_consent_over", who=found.who, date=found.expires)


def descendants_of(records: Records, owner: str, donor: str) -> Descendants:
    """Return the owner's personas that a donor is mixed into, and their sets of posts, the oldest first."""
    personas = [
        row.id
        for row in records.find(PersonaRecord, owner)
        if any(used.get("id") == donor for used in row.facts.get("donors", ()))
    ]
    with records.transaction() as session:
        row = PostSetRecord
        query = select(row.id).where(row.owner == owner, row.persona.in_(personas)).order_by(row.created)
        sets = tuple(session.scalars(query))
    return Descendants(personas=tuple(personas), post_sets=sets)


def descendants_of_photo(records: Records, owner: str, photo: str) -> Descendants:
    """Return the owner's sets of posts that a photo said who is shown for, and the data sets that it is in."""
    kinds: dict[str, list[str]] = {PostSet.kind: [], DataSet.kind: []}
    for files in records.find(JobFilesRecord, owner):
        if photo in files.keys:
            job = records.get(JobRecord, files.id, owner)
            if job is not None and job.state == "done" and job.kind in kinds:
                kinds[job.kind].append(str(job.facts["id"]))
    return Descendants(personas=(), post_sets=tuple(kinds[PostSet.kind]), datasets=tuple(kinds[DataSet.kind]))


def _last_word(records: Records, owner: str, thing: str) -> dict[str, Any] | None:
    found = records.newest(RightsRecord, owner, 1, kind="consent", thing=thing)
    return dict(found[0].facts) if found else None
