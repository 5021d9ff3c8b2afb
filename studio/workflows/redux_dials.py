"""How a place is shown to the model without keeping its pixels: by Redux tokens or an IP-Adapter, with their dials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipelines.errors import BadInput
from pipelines.pictures import fit_to_canvas, fit_weights
from pipelines.references.ip_adapter import IpAdapterReference, block_count, block_scales
from pipelines.references.redux import ReduxReference, ReduxReferences, fill_foreground
from studio.application import Studio

if TYPE_CHECKING:
    from studio.domain.posts import PostRequest

__all__ = ["clear_person", "more_places", "through_adapter", "through_redux"]

_LEAST_PERSON, _MOST_PERSON = 0.02, 0.98

Picture = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def clear_person(picture: Picture, person: Mask) -> Mask:
    """Return what is to be hidden of a picture: its person, or nothing where that is only a speck.

    Raises BadInput where nothing but the person would be left.
    """
    share = float(person.mean())
    if share > _MOST_PERSON:
        raise BadInput("reference_without_background")
    return person if share > _LEAST_PERSON else np.zeros_like(person)


def through_redux(
    studio: Studio, request: PostRequest, shown: Picture, hidden: Mask
) -> ReduxReference | ReduxReferences:
    """The scene, and more references at the same scale; the weights are the scene's own."""
    dials = request.dials
    weights = None
    if dials.weights is not None:
        grey = studio.store.get_picture(dials.weights)[..., 0]
        height, width = shown.shape[:2]
        weights = fit_weights(grey, height, width, request.scene.crop_for(height, width))
    pool, scale = dials.pool, request.scale
    first = ReduxReference(shown, hidden if hidden.any() else None, scale=scale, pool=pool, weights=weights)
    others = [
        ReduxReference(picture, mask if mask.any() else None, scale=scale, pool=pool)
        for picture, mask in more_places(studio, request, shown.shape[:2])
    ]
    return first if not others and dials.merge == 1 else ReduxReferences((first, *others), dials.merge)


def through_adapter(studio: Studio, request: PostRequest, shown: Picture, hidden: Mask) -> IpAdapterReference | None:
    """The scene and more references for the IP-Adapter; None where no block is on."""
    scales = block_scales(request.blocks, request.scale, block_count(studio.backbone))
    pictures = [(shown, hidden), *more_places(studio, request, shown.shape[:2])]
    reference = IpAdapterReference(tuple(fill_foreground(p, m) for p, m in pictures), scales)
    return reference if reference.on else None


def more_places(studio: Studio, request: PostRequest, size: tuple[int, int]) -> list[tuple[Picture, Mask]]:
    """Return the further places on a canvas of this size (height, width), and what of each is to be hidden."""
    keys = [reference.photo for reference in request.dials.references]
    pictures = [fit_to_canvas(studio.store.get_picture(key), *size) for key in keys]
    return [(p, clear_person(p, studio.regions.read([p])[0].person)) for p in pictures]
