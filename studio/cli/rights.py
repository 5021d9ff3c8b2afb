"""`persona-studio rights …`: of whom a picture or a persona is made, what they agreed to, and consents that change."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from personas.donors import Donor
from pipelines.errors import BadInput
from pipelines.file_names import keep_beside
from studio.application import Studio
from studio.cli.options import Data, Json, Owner, say, settings_of, tell
from studio.domain.consent import hash_document
from studio.domain.dataset import DataSet
from studio.domain.days import read_day
from studio.domain.persona import Persona
from studio.domain.posts import PostSet
from studio.domain.rights import Descendants
from studio.domain.rights_words import say_lineage
from studio.library.consents import (
    descendants_of,
    descendants_of_photo,
    prolong_dataset,
    prolong_donor,
    prolong_photo,
    revoke_dataset,
    revoke_donor,
    revoke_photo,
)
from studio.library.results import find_result, job_of
from studio.texts.terminal import terminal_texts

__all__ = ["rights"]

rights = typer.Typer(no_args_is_help=True, help="Rights: who is in a picture, what they agreed to, and licences.")
Whose = Annotated[str, typer.Argument(help="A source face's id or name, a data set's id, or the key of a photo.")]
_KEY_LENGTH = 64


@rights.command()
def show(
    what: Annotated[
        str, typer.Argument(help="An exported picture, a bundle, or the id of a persona or set; the newest if empty.")
    ] = "",
    out: Annotated[Path | None, typer.Option(help="Write it all into this file, as JSON, too.")] = None,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Say of whom and of what a picture or a persona is made, with consents and licences as they are today."""
    from studio.workflows.rights import lineage_of_file, lineage_of_persona, lineage_of_set

    studio = Studio(settings_of(data, owner))
    asker, path = studio.settings.owner, Path(what)
    if what and path.is_file():
        found = lineage_of_file(studio, asker, path)
    else:
        try:
            found = lineage_of_persona(studio, asker, studio.result_of(Persona, what))
        except BadInput as error:
            if not what or error.code != "not_found":
                raise
            found = lineage_of_set(studio, asker, studio.result_of(PostSet, what))
    lines = say_lineage(terminal_texts(), found)
    if out is not None:
        place = keep_beside(out, found.model_dump_json(indent=2).encode())
        lines.append(tell("rights.written", path=place))
    say(found.model_dump(mode="json"), as_json, "\n".join(lines))


@rights.command()
def revoke(whose: Whose, data: Data = None, owner: Owner = None, as_json: Json = False) -> None:
    """Withdraw a consent: nothing new is made with it; what is there stays, and is named."""
    studio = Studio(settings_of(data, owner))
    asker, donor = studio.settings.owner, _find(studio, whose)
    if isinstance(donor, DataSet):
        revoke_dataset(studio.records, asker, donor)
        text = tell("rights.dataset_revoked", name=donor.request.name)
        say({"dataset": donor.id, "state": "revoked"}, as_json, text)
        return
    if donor is None:
        revoke_photo(studio.records, asker, whose)
        made = descendants_of_photo(studio.records, asker, whose)
        lines = [tell("rights.photo_revoked", photo=whose[:12]), *_say_descendants(made)]
        say({"photo": whose, "state": "revoked", **made.model_dump(mode="json")}, as_json, "\n".join(lines))
        return
    revoke_donor(studio.library, asker, donor)
    made = descendants_of(studio.records, asker, donor.id)
    lines = [tell("rights.revoked", name=donor.name), *_say_descendants(made)]
    say({"donor": donor.id, "state": "revoked", **made.model_dump(mode="json")}, as_json, "\n".join(lines))


@rights.command()
def prolong(
    whose: Whose,
    until: Annotated[str, typer.Option(help="The consent's last day, such as 2030-12-31; no end if empty.")] = "",
    document: Annotated[Path | None, typer.Option(help="What was signed; its hash is kept.")] = None,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Record that a consent holds, also one that was withdrawn or has ended."""
    try:
        day = read_day(until) if until.strip() else None
    except ValueError as error:
        raise BadInput("bad_date", date=until[:30]) from error
    try:
        signed = "" if document is None else hash_document(document)
    except OSError as error:
        raise BadInput("upload_no_file", file=str(document)) from error
    studio = Studio(settings_of(data, owner))
    asker, donor = studio.settings.owner, _find(studio, whose)
    last = tell("rights.no_end") if day is None else day.isoformat()
    if isinstance(donor, DataSet):
        prolong_dataset(studio.records, asker, donor, day)
        text = tell("rights.dataset_prolonged", name=donor.request.name, until=last)
    elif donor is None:
        prolong_photo(studio.records, asker, whose, day)
        text = tell("rights.photo_prolonged", photo=whose[:12], until=last)
    else:
        prolong_donor(studio.library, asker, donor, day, signed)
        text = tell("rights.prolonged", name=donor.name, until=last)
    told = {"donor": donor.id if isinstance(donor, Donor) else "", "photo": whose if donor is None else "",
            "dataset": donor.id if isinstance(donor, DataSet) else "", "state": "holds"}  # fmt: skip
    say({**told, "until": "" if day is None else day.isoformat()}, as_json, text)


def _find(studio: Studio, whose: str) -> Donor | DataSet | None:
    """Return the donor, or the data set; None for the key of a photo. Raises BadInput for what is none of these, or
    several.
    """
    found = [donor for donor in studio.donors() if whose in (donor.id, donor.name)]
    if len(found) > 1:
        raise BadInput("rights_donor_several", name=whose[:60], ids=[donor.id for donor in found])
    if found:
        return found[0]
    if len(whose) == _KEY_LENGTH and not whose.strip("0123456789abcdef"):
        return None
    if job_of(studio.records, studio.settings.owner, DataSet, whose) is not None:
        return find_result(studio.records, studio.store, studio.settings.owner, DataSet, whose)
    raise BadInput("rights_donor_unknown", name=whose[:60])


def _say_descendants(made: Descendants) -> list[str]:
    lines = [tell("rights.personas_made", ids=", ".join(made.personas))] if made.personas else []
    if made.personas or made.post_sets:
        lines.append(tell("rights.sets_made", ids=", ".join(made.post_sets) or "–"))
    if made.datasets:
        lines.append(tell("rights.datasets_made", ids=", ".join(made.datasets)))
    return lines or [tell("rights.nothing_made")]
