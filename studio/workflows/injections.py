"""Things put into posts besides the person: a scene's photo, its landmark, and goods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from personas.measures.subject import ShownGoods
from personas.shots import Shot
from pipelines.errors import BadInput
from pipelines.pictures import fit_mask, fit_to_canvas
from pipelines.references.catalogue import find_kind
from pipelines.references.cutout import Cutout, Place, fit_box
from pipelines.references.fill import FillReference
from pipelines.references.goods import place_goods
from pipelines.references.landmark import Landmark, grow_mask
from pipelines.references.protocol import Reference
from pipelines.references.redux import fill_foreground
from studio.application import Studio
from studio.library.scenes import get_mask
from studio.workflows.redux_dials import clear_person, through_adapter, through_redux

if TYPE_CHECKING:
    from studio.domain.posts import PostRequest

__all__ = ["Injections"]

Picture = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_LANDMARK_MARGIN_PX = 5
_PLACES = {"close-up": Place(0.8, 1.0, 0.3), "half-body": Place(0.82, 1.0, 0.28), "full-body": Place(0.84, 0.97, 0.16)}
_WITH_DIALS: Mapping[str, Callable[[Studio, PostRequest, Picture, Mask], Reference | None]] = {
    "redux": through_redux,
    "ip-adapter": through_adapter,
}
"""Kinds that have more to set than a scale; the others are shown by `Reference.show`."""
_IN_REFERENCE = Place(0.5, 0.95, 0.45)  # large enough to be read, with the place still around it


class Injections:
    """A scene and goods on the backbone's canvas, ready for any number of shots."""

    def __init__(self, studio: Studio, request: PostRequest) -> None:
        spec, scene, goods = studio.backbone.spec, request.scene, request.goods
        self._request = request
        self.canvas = fit_to_canvas(studio.store.get_picture(scene.photo), spec.height, spec.width)
        self.person = studio.regions.read([self.canvas])[0].person
        self._landmark: Landmark | None = None
        if scene.landmark is not None and request.keep_landmark:
            mask = get_mask(studio.library, scene.landmark)
            # Pixels cut on the exact outline clash with what is drawn beside them: some of the surroundings come along.
            kept = grow_mask(fit_mask(mask, spec.height, spec.width), _LANDMARK_MARGIN_PX)
            self._landmark = Landmark(self.canvas, kept)
        self._goods: Cutout | None = None
        self._place: Place | None = None
        if goods is not None:
            self._goods = Cutout(studio.store.get_picture(goods.picture), get_mask(studio.library, goods.mask))
            self._place = goods.place
            if request.goods_box is not None:
                left, top, right, bottom = request.goods_box
                self._place = fit_box(self._goods, (left, top, right, bottom), (spec.height, spec.width))
        self.references: tuple[Reference, ...] = ()
        """Return the references that show the place, the same for every shot."""
        if request.scale > 0:
            self._refer(studio)

    @property
    def referred(self) -> bool:
        """Whether the model is shown the place; else the words must say it."""
        return bool(self.references)

    @property
    def companion(self) -> str:
        """Which of the backbone's companions draws; "": itself."""
        return "fill" if self._request.keep == "fill" else next((r.companion for r in self.references), "")

    def landmark(self, shot: Shot) -> Landmark | None:
        """Return what is kept in this shot: the scene's landmark, the goods, both or nothing."""
        if self._goods is None or not self._as_pixels:
            return self._landmark
        return place_goods(self._goods, self._stand(shot), self.canvas, self._landmark)

    def beside(self, landmark: Landmark | None) -> tuple[Reference, ...]:
        """All references of a picture in which this is kept, in the way that was asked for.

        Raises BadInput where Fill has nothing to draw around.
        """
        if self._request.keep != "fill":
            return self.references if landmark is None else (*self.references, landmark)
        if landmark is None:
            raise BadInput("nothing_to_fill_around")
        return (*self.references, FillReference(landmark))

    def words(self, prompt: str) -> str:
        """The prompt with the goods in it, so that the drawing makes sense of them."""
        return prompt if self._request.goods is None else f"{prompt}, with {self._request.goods.name}"

    def goods_in(self, shot: Shot) -> ShownGoods | None:
        """Return the goods that a post of this shot shows; None without goods."""
        if self._goods is None:
            return None
        return ShownGoods(self._goods, self._stand(shot) if self._as_pixels else None)

    @property
    def _as_pixels(self) -> bool:
        return self._request.goods_as == "pixels"

    def _refer(self, studio: Studio) -> None:
        """The scene, and goods that are a reference standing in it, as one picture for the way that was chosen."""
        shown, hidden = self.canvas, clear_person(self.canvas, self.person)
        if self._goods is not None and not self._as_pixels:
            # a stranger goes first: filled in later, they would be filled with the goods' colours
            placed = place_goods(self._goods, self._place or _IN_REFERENCE, fill_foreground(shown, hidden))
            shown, hidden = placed.image, hidden & ~placed.mask
        with_dials = _WITH_DIALS.get(self._request.inject)
        if with_dials is not None:
            reference = with_dials(studio, self._request, shown, hidden)
        else:
            first = find_kind(self._request.inject).load()[0]
            reference = first.show(fill_foreground(shown, hidden), self._request.scale)
        self.references = () if reference is None else (reference,)

    def _stand(self, shot: Shot) -> Place:
        return self._place or _PLACES[shot.framing]
