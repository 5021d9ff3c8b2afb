"""What licences say of a job, before it is done."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.models.licences import Use
from studio.application import Studio
from studio.domain.capabilities import backbone_facts
from studio.domain.design import UsedDonor
from studio.domain.grid import GridRequest
from studio.domain.licences import LicenceWarning, LicensedModel, find_warnings, models_beside
from studio.domain.posts import PostRequest
from studio.domain.takes import FixRequest, StrengthsRequest, VaryRequest
from studio.domain.values import Request, find_values
from studio.jobs.kinds import kind_of

__all__ = ["backbone_warnings", "warnings_before"]


def warnings_before(studio: Studio, request: Request) -> tuple[LicenceWarning, ...]:
    """Return what the licences of all models that a job would use say of it: the backbone's, its companions', and those
    of the donors that its persona or design was made from.
    """
    facts = backbone_facts(studio.settings)
    beside = () if facts is None else models_beside(facts, _ways_of(request))
    donors = [LicensedModel(donor.name, donor.licence, is_lora=True) for donor in find_values(request, UsedDonor)]
    return find_warnings((*beside, *donors), kind_of(request).uses)


def backbone_warnings(studio: Studio, uses: Sequence[Use]) -> tuple[LicenceWarning, ...]:
    """Return what the backbone's licence says of these uses."""
    facts = backbone_facts(studio.settings)
    return () if facts is None else find_warnings(models_beside(facts), uses)


def _ways_of(request: Request) -> tuple[str, ...]:
    """Return the kinds of reference that a job shows or keeps pictures with."""
    if isinstance(request, VaryRequest | FixRequest | StrengthsRequest | GridRequest):
        request = request.asked
    if not isinstance(request, PostRequest):
        return ()
    return (request.inject, request.keep, *(() if request.photos is None else ("character",)))
