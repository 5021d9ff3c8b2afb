"""Whether the backbone can draw what a request names: asked wherever a job comes from, before it waits in the queue."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.errors import BadInput
from studio.application import Studio
from studio.domain.capabilities import BackboneFacts, backbone_facts
from studio.domain.design import DesignRequest, PreviewRequest
from studio.domain.fit import MadeOn, made_on_donor, misfit
from studio.domain.persona import ConsolidateRequest, Persona, SwapRequest
from studio.domain.posts import PostRequest, PostSet
from studio.domain.takes import FixRequest, StrengthsRequest, VaryRequest
from studio.domain.values import Request
from studio.library.made_on import made_on_persona

__all__ = ["check_fits_backbone", "set_misfit"]


def check_fits_backbone(studio: Studio, request: Request) -> None:
    """Raise BadInput where a persona, a design or a donor that a job would draw with was made on a backbone that the
    studio does not draw with now, or where a take would be of another backbone than its set.
    """
    facts = backbone_facts(studio.settings)
    if facts is None:
        return  # the job itself says what is wrong with it
    for why in _misfits(studio, facts, request):
        if why is not None:
            raise why


def set_misfit(facts: BackboneFacts | None, post_set: PostSet) -> BadInput | None:
    """Return why no post of a set can be drawn again; None where they can, as far as its backbone goes."""
    drawn = post_set.drawn_with
    if facts is None or drawn is None or drawn.backbone == facts.id:
        return None
    return BadInput("set_of_other_backbone", drawn_with=drawn.backbone, backbone=facts.id)


def _misfits(studio: Studio, facts: BackboneFacts, request: Request) -> Iterator[BadInput | None]:
    if isinstance(request, VaryRequest | FixRequest):
        yield set_misfit(facts, request.post_set)
    if (persona := _persona_of(request)) is not None:
        yield misfit(facts, persona.name, made_on_persona(studio.store, persona))
    if isinstance(request, ConsolidateRequest):
        recipe, design = request.design.recipe, request.design
        yield misfit(facts, f"{recipe.category} {design.id[:6]}", MadeOn(recipe.family, recipe.width))
    if mixed := _donors_of(request):
        for donor in studio.donors():
            if donor.id in mixed:
                yield misfit(facts, donor.name, made_on_donor(donor))


def _persona_of(request: Request) -> Persona | None:
    """Return the persona whose LoRA a job would draw with; None where there is none, or a picture alone says who it
    is.
    """
    if isinstance(request, VaryRequest | FixRequest | StrengthsRequest):
        request = request.asked
    if isinstance(request, PostRequest):
        return None if request.person_as == "reference" else request.persona
    return request.persona if isinstance(request, SwapRequest) else None


def _donors_of(request: Request) -> frozenset[str]:
    """Return the ids of the donors that somebody chose to mix."""
    if isinstance(request, PreviewRequest):
        return frozenset(donor for recipe in request.recipes for donor in recipe.donors)
    own = request.recipe if isinstance(request, DesignRequest) else None
    return frozenset() if own is None else frozenset(own.donors)
