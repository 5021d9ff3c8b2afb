"""What is said of a job before it is done, and stops nobody: what the drawing model may not know or cannot draw."""

from __future__ import annotations

from studio.application import Studio
from studio.domain.capabilities import vocabulary_of
from studio.domain.grid import GridRequest
from studio.domain.posts import PostRequest
from studio.domain.takes import FixRequest, StrengthsRequest, VaryRequest
from studio.domain.values import Request
from studio.domain.wording import Doubt, doubts

__all__ = ["doubts_before"]


def doubts_before(studio: Studio, request: Request) -> tuple[Doubt, ...]:
    """Return the own words of a set's shots and goods that the backbone may not know."""
    if isinstance(request, VaryRequest | FixRequest | StrengthsRequest | GridRequest):
        request = request.asked
    if not isinstance(request, PostRequest):
        return ()
    return doubts(request.shots, "" if request.goods is None else request.goods.name, vocabulary_of(studio.settings))
