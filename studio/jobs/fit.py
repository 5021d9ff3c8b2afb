"""Whether the backbone can draw what a request names: asked wherever a job comes from, before it waits in the queue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.backbones import resolve_backbone
from pipelines.errors import BadInput, ModelMissing, StudioError
from pipelines.own_look import OwnLook
from pipelines.references.goods import box_of_goods
from studio.application import Studio
from studio.domain.capabilities import BackboneFacts, backbone_facts, own_look
from studio.domain.design import DesignRequest, PreviewRequest
from studio.domain.fit import MadeOn, made_on_donor, misfit
from studio.domain.grid import GridRequest
from studio.domain.persona import ConsolidateRequest, Persona, SwapRequest
from studio.domain.posts import PostRequest, PostSet
from studio.domain.takes import FixRequest, StrengthsRequest, VaryRequest
from studio.domain.values import FileKey, Request, find_values
from studio.jobs.kinds import kind_of
from studio.library.made_on import made_on_persona
from studio.library.styles import as_kept, style_reason
from studio.workflows.shown import goods_cutout, stand

__all__ = ["check_fits_backbone", "no_character", "other_look", "set_misfit"]


def check_fits_backbone(studio: Studio, request: Request) -> None:
    """Raise BadInput where a persona, a style, a design or a donor that a job would draw with was made on a backbone
    that the studio does not draw with now, where a take would be of another backbone than its set, where a scene or the
    pictures of a swap are none that the backbone could have drawn, where goods are wider than a picture, or where
    photos say who is shown and there is no adapter for them (ModelMissing).
    """
    facts = backbone_facts(studio.settings)
    if facts is None:
        return  # the job itself says what is wrong with it
    for why in _misfits(studio, facts, request):
        if why is not None:
            raise why
    asked = request.asked if isinstance(request, GridRequest) else request
    if isinstance(request, SwapRequest) and request.persona.lora is None:
        raise BadInput("persona_without_lora", name=request.persona.name)
    for drawn in find_values(request, PostRequest):
        _check_character(facts, drawn)
    if isinstance(request, ConsolidateRequest):
        _check_character(facts, request)
    if isinstance(request, VaryRequest | StrengthsRequest):
        _check_goods(studio, request.asked, request.number + 1 if isinstance(request, VaryRequest) else 1)
    elif isinstance(asked, PostRequest):
        _check_goods(studio, asked)
    if isinstance(asked, PostRequest | SwapRequest) and not asked.any_look:
        _check_look(studio, asked)


def _check_character(facts: BackboneFacts, asked: PostRequest | ConsolidateRequest) -> None:
    """Raise where photos are to say who is shown, and the backbone has no adapter that reads them."""
    shown = asked.photos if isinstance(asked, PostRequest) else asked.character
    if shown is not None and (why := no_character(facts)) is not None:
        raise why


def no_character(facts: BackboneFacts) -> StudioError | None:
    """Return why no photos can say who is shown; None where the backbone has an adapter that reads them."""
    if "character" in facts.companions:
        return None
    if "character" not in facts.can.companions:
        return BadInput("reference_not_for_family", kind="character", model=facts.id)
    return ModelMissing("character_missing", backbone=facts.id)


def other_look(studio: Studio, pictures: Mapping[str, FileKey]) -> tuple[str, ...]:
    """Return the names of those stored pictures that the backbone could not have drawn, such as real photos."""
    look = own_look(studio.settings)
    if look is None:
        return ()
    # of a file that is gone the job itself says so
    found = ((name, studio.store.fetch(key)) for name, key in pictures.items() if studio.store.has(key))
    return tuple(name for name, file in found if _is_other(file, look))


def _check_goods(studio: Studio, asked: PostRequest, first: int = 1) -> None:
    """Raise BadInput for the first picture that the goods would be wider than: most of them would be cut off. Pictures
    are counted from `first`.
    """
    goods, settings = asked.goods, studio.settings
    if goods is None or asked.goods_as == "reference" or asked.goods_box is not None:
        return  # a box is no wider than the picture
    if not all(map(studio.store.has, (goods.picture, goods.mask))):
        return  # the job itself says so
    # only the ratio of the sides matters here: any unit does
    height, width = resolve_backbone(settings.backbone, settings.base, settings.models).size_for(asked.shape, 1)
    cutout = goods_cutout(studio, goods)
    for number, shot in enumerate(asked.shots, first):
        wide = box_of_goods(cutout, stand(goods.place, shot), height, width)[2]
        if wide > width:
            raise BadInput("goods_larger_than_picture", number=number, times=wide / width)


def _check_look(studio: Studio, request: PostRequest | SwapRequest) -> None:
    """Raise BadInput where the place, or all pictures of a swap, are none that the backbone could have drawn."""
    if isinstance(request, PostRequest):
        scene = request.scene
        shown = request.scale > 0 or (request.keep_landmark and scene.landmark is not None)
        if shown and other_look(studio, {scene.name: scene.photo}):
            raise BadInput("scene_of_other_look", scene=scene.name)
        return
    others = other_look(studio, {picture.name: picture.picture for picture in request.pictures})
    if len(others) == len({picture.name for picture in request.pictures}):
        raise BadInput("picture_of_other_look", name=others[0])


@lru_cache(maxsize=256)
def _is_other(file: Path, look: OwnLook) -> bool:
    with Image.open(file) as picture:
        return look.is_other(np.asarray(picture.convert("RGB")))


def set_misfit(facts: BackboneFacts | None, post_set: PostSet) -> BadInput | None:
    """Return why no post of a set can be drawn again; None where they can, as far as its backbone goes."""
    drawn = post_set.drawn_with
    if facts is None or drawn is None or drawn.backbone == facts.id:
        return None
    return BadInput("set_of_other_backbone", drawn_with=drawn.backbone, backbone=facts.id)


def _misfits(studio: Studio, facts: BackboneFacts, request: Request) -> Iterator[BadInput | None]:
    for asked in find_values(request, PostRequest) if kind_of(request).draws else ():
        if asked.styled is not None:
            yield style_reason(studio.settings, as_kept(studio.library, request.owner, asked.styled))
            if asked.keep == "fill":
                yield BadInput("style_beside_companion", name=dict(asked.styled.names))
    if isinstance(request, VaryRequest | FixRequest):
        yield set_misfit(facts, request.post_set)
    for persona in _personas_of(request):
        yield misfit(facts, persona.name, made_on_persona(studio.store, persona))
    if isinstance(request, ConsolidateRequest) and request.design is not None:
        recipe, design = request.design.recipe, request.design
        yield misfit(facts, f"{recipe.category} {design.id[:6]}", MadeOn(recipe.family, recipe.width))
    if mixed := _donors_of(request):
        for donor in studio.donors():
            if donor.id in mixed:
                yield misfit(facts, donor.name, made_on_donor(donor))


def _personas_of(request: Request) -> tuple[Persona, ...]:
    """Return the personas whose LoRAs a job would draw with: not those of whom a picture alone says who they are."""
    if isinstance(request, GridRequest):
        return request.personas
    if isinstance(request, VaryRequest | FixRequest | StrengthsRequest):
        request = request.asked
    if isinstance(request, PostRequest):
        return (request.persona,) if request.by_lora else ()
    return (request.persona,) if isinstance(request, SwapRequest) else ()


def _donors_of(request: Request) -> frozenset[str]:
    """Return the ids of the donors that somebody chose to mix."""
    if isinstance(request, PreviewRequest):
        return frozenset(donor for recipe in request.recipes for donor in recipe.donors)
    own = request.recipe if isinstance(request, DesignRequest) else None
    return frozenset() if own is None else frozenset(own.donors)
