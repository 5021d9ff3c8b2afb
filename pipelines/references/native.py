"""Native references: pictures whose own latents stand in the image sequence, behind the noise.

FLUX.2 reads several of them itself, FLUX.1-Kontext reads one in its backbone's place (arXiv:2506.15742 §3). As in
diffusers' `Flux2KleinPipeline` and `FluxKontextPipeline`, each picture has position ids of its own, by its number, and
what the transformer says about its tokens is thrown away. A landmark can be kept beside them by inpainting.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from pipelines.backbones import Backbone
from pipelines.errors import BadInput
from pipelines.families.catalogue import find_family
from pipelines.families.companions import ReferenceReader, find_reader
from pipelines.families.model import ReferenceTokens
from pipelines.families.spec import BackboneSpec
from pipelines.pictures import check_rgb, fit_to_canvas
from pipelines.references.protocol import Conditions, Reference, Request
from pipelines.references.roles import ROLES, Role, reference_size

__all__ = ["NativeReferences", "ReferencePicture"]

Encoded = tuple[ReferenceTokens, ...]


@dataclass(frozen=True, eq=False)
class ReferencePicture:
    """A picture uint8 [h, w, 3] and what it shows."""

    role: Role
    image: npt.NDArray[np.uint8]

    def __post_init__(self) -> None:
        check_rgb(self.image)


@dataclass(frozen=True, eq=False)
class NativeReferences(Reference):
    """All pictures that the model reads, listed in any order; none of them: it is off.

    Each is read in the size of `pipelines.references.roles.reference_size`, bounded by what the model is for.
    """

    kind: ClassVar[str] = "references"

    pictures: tuple[ReferencePicture, ...]

    @classmethod
    def show(cls, image: npt.NDArray[np.uint8], scale: float) -> NativeReferences:
        """Show a scene; at a scale of 0 not. There is no more or less."""
        return cls((ReferencePicture("scene", image),) if scale > 0 else ())

    @property
    def ordered(self) -> tuple[ReferencePicture, ...]:
        """Return the pictures as they are numbered: by role, those of one role as they are listed."""
        return tuple(sorted(self.pictures, key=lambda picture: ROLES.index(picture.role)))

    def key(self) -> Hashable | None:
        return tuple((p.role, p.image.shape) for p in self.ordered) or None

    def check(self, request: Request) -> None:
        if sum(isinstance(r, NativeReferences) and r.key() is not None for r in request.references) > 1:
            raise BadInput("references_listed_twice")

    def drawn_by(self, spec: BackboneSpec) -> str:
        """Raises BadInput where the model reads no pictures, or not so many."""
        return self._reader(spec).role

    def encode(self, backbone: Backbone) -> Encoded:
        side_px, unit = self._reader(backbone.spec).side_px, backbone.model.token_px
        return tuple(
            backbone.model.encode_reference(_fitted(picture.image, side_px, unit)[None], number)
            for number, picture in enumerate(self.ordered)
        )

    @staticmethod
    def extend(conditions: Conditions, references: Sequence[NativeReferences], encoded: Sequence[Encoded]) -> None:
        """The references of a batch are of one key: as many pictures, each of one size."""
        for alike in zip(*encoded, strict=True):
            conditions.tokens.append(ReferenceTokens(torch.cat([one.tokens for one in alike]), alike[0].ids))

    def _reader(self, spec: BackboneSpec) -> ReferenceReader:
        reader = find_reader(find_family(spec.family), spec.can)
        if reader is None:
            raise BadInput("reference_not_for_family", kind=self.kind, model=spec.id)
        if len(self.pictures) > reader.most:
            raise BadInput(
                "references_too_many", model=reader.model or spec.id, count=len(self.pictures), most=reader.most
            )
        return reader


def _fitted(image: npt.NDArray[np.uint8], side_px: int, unit: int) -> npt.NDArray[np.uint8]:
    height, width = reference_size(image.shape[0], image.shape[1], side_px, unit)
    return image if image.shape[:2] == (height, width) else fit_to_canvas(image, height, width)
