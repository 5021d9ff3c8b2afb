"""Consents of all whom a job would show: asked when it is put on the queue, and again when it runs."""

from __future__ import annotations

import datetime

from personas.donors import check_consent
from studio.application import Studio
from studio.domain.dataset import DataSet, DatasetRequest
from studio.domain.design import UsedDonor
from studio.domain.persona import ConsolidateRequest, Persona
from studio.domain.posts import PostRequest
from studio.domain.values import Request, find_values
from studio.jobs.kinds import kind_of
from studio.library.consents import check_dataset, check_photos, check_pictures
from studio.library.styles import as_kept, check_style

__all__ = ["check_consents"]


def check_consents(studio: Studio, request: Request) -> None:
    """Raise ConsentMissing where somebody whose face is in a job's persona or design, in its photos or data set, or in
    the photos that its style was learnt from, has withdrawn their consent, or it has ended. What only looks at what is
    there already (texts, a look before the export) goes on.
    """
    if not kind_of(request).uses:
        return
    used = {donor.id for donor in find_values(request, UsedDonor)}
    if used:
        today = datetime.date.today()
        for donor in studio.donors():
            if donor.id in used:
                check_consent(donor, today)
    for dataset in find_values(request, DataSet):
        check_dataset(studio.records, request.owner, dataset)
    if isinstance(request, DatasetRequest):
        check_pictures(studio.records, request.owner, request)
    if isinstance(request, ConsolidateRequest) and request.character is not None:
        check_photos(studio.records, request.owner, request.character, request.character_consent)
    for persona in find_values(request, Persona):  # also where a picture of them alone says who it is
        if persona.character is not None and persona.character_consent is not None:
            check_photos(studio.records, request.owner, persona.character, persona.character_consent)
    for drawn in find_values(request, PostRequest):
        if drawn.styled is not None:
            check_style(studio.library, request.owner, as_kept(studio.library, request.owner, drawn.styled))
        if drawn.photos is not None and drawn.photos_consent is not None:  # a bundle does not tell of it
            check_photos(studio.records, request.owner, drawn.photos, drawn.photos_consent)
